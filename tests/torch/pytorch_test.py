"""Artifacts in plain PyTorch: what they compute, that they stay small, and the library inside a Python that has torch."""

import ctypes
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import warnings
import zipfile
from pathlib import Path

warnings.filterwarnings("ignore")

import torch

SOURCE, BUILD = Path(sys.argv[1]), Path(sys.argv[2])
MODULES = SOURCE / "tests/data/modules"
FOLDER = tempfile.TemporaryDirectory()


def monoquant(*arguments):
    done = subprocess.run([BUILD / "bin/monoquant", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout


def quantized(file, settings):
    out = Path(FOLDER.name) / f"{Path(file).stem}-{abs(hash(settings))}.pt"
    if not out.exists():
        sets = [word for setting in settings.split() for word in ("--set", setting)]
        monoquant("quantize", file, "-o", out, "-q", *sets)
    return out


def read_safetensors(path):
    dtypes = {"F32": torch.float32, "I64": torch.int64}
    data = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return {
        name: torch.frombuffer(bytearray(data[8 + length + e["data_offsets"][0] : 8 + length + e["data_offsets"][1]]), dtype=dtypes[e["dtype"]]).reshape(e["shape"])
        for name, e in header.items()
    }


EXPECTED = read_safetensors(MODULES / "expected.safetensors")


def inputs_of(name):
    return tuple(EXPECTED[f"{name}.in.{i}"] for i in range(9) if f"{name}.in.{i}" in EXPECTED)


def leaves(value):
    if isinstance(value, torch.Tensor):
        return [value]
    values = value.values() if isinstance(value, dict) else value
    return [leaf for one in values for leaf in leaves(one)]


def run(module, name):
    with torch.no_grad(), torch.jit.optimized_execution(False):
        return leaves(module(*inputs_of(name)))


def sqnr(reference, outputs):
    signal = sum((a.double() ** 2).sum() for a in reference)
    error = sum(((a.double() - b.double()) ** 2).sum() for a, b in zip(reference, outputs, strict=True))
    return float("inf") if error == 0 else (10 * torch.log10(signal / error)).item()


def size_of(module):
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    return len(buffer.getvalue())


def decoded(state, name, specs):
    """A weight from its stored parts, by the formulas of the README: nothing of ours computes here."""
    spec = specs[name]
    shape, scale = spec["shape"], state[name + "_scale"].double() if name + "_scale" in state else None
    zero_point = state.get(name + "_zero_point")
    if spec["scheme"] == "float16":
        return state[name].double()
    rows = shape[0] if spec["channel_axis"] == 0 else None
    if spec["bits"] == 4:
        packed = state[name + "_packed"]
        codes = torch.stack([packed & 15, packed >> 4], -1).flatten(1)[:, : torch.Size(shape[1:]).numel()].double() - 8
        if zero_point is not None:
            words = zero_point.reshape(zero_point.shape[0], -1, 4)
            nibbles = torch.stack([words & 15, words >> 4], -1).flatten(2)
            zero_point = nibbles.permute(0, 2, 1).reshape(-1, words.shape[1])[:rows].double() - 8
    else:
        codes = state[name].double()
    zeros = torch.zeros_like(scale) if zero_point is None else zero_point.double()
    if scale.dim() == 2 and (spec["bits"] == 4 or spec["group_size"]):
        flat = codes.reshape(rows, -1)
        group = spec["group_size"] or flat.shape[1]
        columns = torch.arange(flat.shape[1]) // group
        return ((flat - zeros[:, columns]) * scale[:, columns]).reshape(shape)
    view = [1] * len(shape)
    view[spec["channel_axis"]] = -1
    return (codes - zeros.reshape(view)) * scale.reshape(view)


ALL = "layer_types=Linear,Conv1d,Conv2d,Conv3d,ConvTranspose1d,ConvTranspose2d,ConvTranspose3d,Embedding,LSTM,GRU,LSTMCell,GRUCell"
SETTINGS = [
    "",
    "per_channel=false",
    "dtype=quint8 " + ALL,
    "group_size=7 " + ALL,
    "bits=4 min_parameters=0 group_size=8 " + ALL,
    "bits=4 min_parameters=0 group_size=0 " + ALL,
    "bits=4 min_parameters=0 group_size=5 symmetric=false " + ALL,
    "dtype=float16 " + ALL,
]
NAMES = ["scripted", "traced", "recurrent", "tied", "tied_traced", "root_linear", "half", "bfloat16", "double", "methods"]


class Artifacts(unittest.TestCase):
    def test_they_give_what_the_dequantized_weights_give(self):
        for name in NAMES:
            for settings in SETTINGS if name in ("scripted", "tied", "half") else SETTINGS[4:7:2]:
                with self.subTest(name=name, settings=settings):
                    path = quantized(MODULES / f"{name}.pt", settings)
                    described = json.loads(monoquant("info", path, "--json"))
                    specs = {entry["tensor"]: entry for entry in described["quantized"]}
                    artifact = torch.jit.load(path)
                    state = {key: value for key, value in artifact.state_dict().items()}
                    reference = torch.jit.load(MODULES / f"{name}.pt")
                    with torch.no_grad():
                        for weight in specs:
                            parts = weight.split(".")
                            owner = reference
                            for part in parts[:-1]:
                                owner = getattr(owner, part)
                            getattr(owner, parts[-1]).copy_(decoded(state, weight, specs))
                    original = run(torch.jit.load(MODULES / f"{name}.pt"), name)
                    by_hand, outputs = run(reference, name), run(artifact, name)
                    tolerance = 0.1 if name not in ("half", "bfloat16") else 0.5
                    if sqnr(original, by_hand) != float("inf"):
                        self.assertAlmostEqual(sqnr(original, outputs), sqnr(original, by_hand), delta=tolerance)
                    self.assertGreater(sqnr(by_hand, outputs), 40 if name == "bfloat16" else 55)

    def test_they_stay_small(self):
        for name in ["scripted", "tied_traced", "root_linear"]:
            for settings in SETTINGS:
                with self.subTest(name=name, settings=settings):
                    path = quantized(MODULES / f"{name}.pt", settings)
                    outputs = run(torch.jit.load(path).eval(), name)
                    frozen = torch.jit.freeze(torch.jit.load(path).eval())
                    self.assertLess(size_of(frozen), path.stat().st_size)
                    self.assertGreater(sqnr(outputs, run(frozen, name)), 100)
                    optimized = torch.jit.optimize_for_inference(torch.jit.load(path).eval())
                    self.assertGreater(sqnr(outputs, run(optimized, name)), 50)
                    buffer = io.BytesIO()
                    torch.jit.save(frozen, buffer)
                    buffer.seek(0)
                    self.assertGreater(sqnr(outputs, run(torch.jit.load(buffer), name)), 100)

    def test_sizes_on_disk(self):
        torch.manual_seed(1)
        module = torch.nn.Sequential(*[torch.nn.Linear(1024, 1024) for _ in range(4)])
        file = Path(FOLDER.name) / "linear.pt"
        torch.jit.script(module).save(file)
        weights = sum(layer.weight.numel() for layer in module) * 4
        self.assertLessEqual(quantized(file, "").stat().st_size, 0.27 * weights)
        self.assertLessEqual(quantized(file, "bits=4 group_size=128").stat().st_size, 0.15 * weights)
        optimized = torch.jit.optimize_for_inference(torch.jit.load(quantized(file, "bits=4 group_size=128")).eval())
        self.assertLessEqual(size_of(optimized), 0.15 * weights)

    def test_mode_methods_and_extra_files_are_kept(self):
        module = torch.jit.load(quantized(MODULES / "scripted.pt", ""), _extra_files=(files := {"notes.txt": ""}))
        self.assertEqual(files["notes.txt"], b"kept")
        self.assertFalse(module.training)
        self.assertTrue(torch.jit.load(quantized(MODULES / "methods.pt", "")).training)
        self.assertFalse(any(inner.training for inner in module.modules()))
        self.assertEqual(module.factor, 1.5)
        module.train()
        self.assertTrue(module.first.training)
        methods = torch.jit.load(quantized(MODULES / "methods.pt", ""))
        x = torch.ones(2)
        self.assertEqual(methods.nested((x, x), [x, x], {"a": x, "b": x})[0].left.tolist(), [2, 2])
        self.assertEqual(methods.names, ["plain", "double"])

    def test_half_of_an_artifact_runs(self):
        module = torch.jit.load(quantized(MODULES / "root_linear.pt", "")).half()
        (output,) = leaves(module(inputs_of("root_linear")[0].half()))
        self.assertEqual(output.dtype, torch.half)
        self.assertGreater(sqnr([EXPECTED["root_linear.out.0"]], [output]), 30)

    def test_ties_hold(self):
        module = torch.jit.load(quantized(MODULES / "tied.pt", ""))
        self.assertEqual(module.embedding.weight.data_ptr(), module.head.weight.data_ptr())
        self.assertEqual(module.a.weight.data_ptr(), module.again.weight.data_ptr())
        self.assertEqual(module.embedding.weight.dtype, torch.int8)


def saved(name, module):
    file = Path(FOLDER.name) / f"{name}.pt"
    torch.jit.save(module, file)
    return file


def layers_of(file):
    return {layer["tensor"]: layer for layer in json.loads(monoquant("quantize", file, "--dry-run", "--json"))["layers"]}


@torch.jit.script
class Product:
    def __init__(self, weight: torch.Tensor):
        self.weight = weight

    def of(self, x: torch.Tensor):
        return x @ self.weight


class Held(torch.nn.Module):
    """Weights that something else is beside: an attribute called as a part, another holder of the tensor."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(24, 24))
        self.weight_scale = 0.5
        self.linear = torch.nn.Linear(24, 24)
        self.product = Product(self.linear.weight.detach())

    def forward(self, x):
        return torch.nn.functional.linear(self.linear(x), self.weight) * self.weight_scale + self.product.of(x)


class Turned(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(30, 24)
        self.convolution = torch.nn.Conv1d(7, 7, 3, padding=1)
        self.weight = torch.nn.Parameter(torch.randn(24, 24) / 5)

    def forward(self, ids):
        return self.convolution(self.embedding(ids)) @ self.weight.T


class Layers(unittest.TestCase):
    def test_attention_scripted_and_traced(self):
        torch.manual_seed(3)
        layer = torch.nn.TransformerEncoderLayer(24, 4, 48, batch_first=True).eval()
        x = torch.randn(2, 5, 24)
        with torch.no_grad():
            traced = torch.jit.trace(layer, x, check_trace=False)
        for form, module in (("scripted", torch.jit.script(layer)), ("traced", traced)):
            with torch.no_grad(), torch.jit.optimized_execution(False):
                expected = module(x)
                artifact = torch.jit.load(quantized(saved(f"attention_{form}", module), ""))
                for name in ("self_attn.in_proj_weight", "self_attn.out_proj.weight", "linear1.weight", "linear2.weight"):
                    self.assertEqual(artifact.state_dict()[name].dtype, torch.int8, name)
                self.assertGreater(sqnr([expected], [artifact(x)]), 35)

    def test_the_lengths_of_weight_norm_stay(self):
        with torch.no_grad():
            module = torch.jit.trace(torch.nn.utils.weight_norm(torch.nn.Conv1d(64, 512, 3)), torch.randn(1, 64, 9))
        artifact = torch.jit.load(quantized(saved("weight_norm", module), "bits=4")).state_dict()
        self.assertTrue(torch.equal(artifact["weight_g"], module.state_dict()["weight_g"]))
        self.assertIn("weight_v_packed", artifact)

    def test_weight_norm_in_both_of_its_forms(self):
        torch.manual_seed(6)
        x = torch.randn(1, 64, 9)
        for norm, weight, lengths in (
                (torch.nn.utils.weight_norm, "weight_v", "weight_g"),
                (torch.nn.utils.parametrizations.weight_norm, "parametrizations.weight.original1",
                 "parametrizations.weight.original0")):
            with torch.no_grad():
                layer = norm(torch.nn.Conv1d(64, 32, 3))
                module = torch.jit.trace(layer, x)
                artifact = torch.jit.load(quantized(saved("norm_" + weight[-1], module), ""))
                state = artifact.state_dict()
                self.assertEqual(state[weight].dtype, torch.int8)
                self.assertEqual(state[weight + "_scale"].shape, (32, 1, 1))
                self.assertEqual(state[lengths].dtype, torch.float32)
                self.assertGreater(sqnr([layer(x)], [artifact(x)]), 35)

    def test_an_embedding_with_a_scale_for_each_column(self):
        torch.manual_seed(7)
        with torch.no_grad():
            layer = torch.nn.Embedding(20, 6)
            artifact = torch.jit.load(quantized(saved("columns", torch.jit.script(layer)), "channel_axis=1"))
            state = artifact.state_dict()
            self.assertEqual(state["weight_scale"].shape, (1, 6))
            ids = torch.tensor([[19, 3], [0, 3]])
            self.assertTrue(torch.equal(artifact(ids), (state["weight"].float() * state["weight_scale"])[ids]))

    def test_what_is_in_the_way_is_said(self):
        file = saved("held", torch.jit.script(Held()))
        layers = layers_of(file)
        self.assertEqual(layers["weight"]["reason"], "its module has something else called weight_scale")
        self.assertEqual(layers["linear.weight"]["action"], "quantize")
        self.assertIn("linear.weight: product holds it, too", monoquant("info", file, "--json"))
        torch.jit.load(quantized(file, ""))(torch.randn(2, 24))

    def test_an_artifact_can_be_moved_to_another_dtype(self):
        torch.manual_seed(4)
        file = saved("turned", torch.jit.script(Turned().eval()))
        ids = torch.arange(14).reshape(2, 7)
        for settings in (ALL, "group_size=8 " + ALL, "bits=4 min_parameters=0 group_size=8 " + ALL):
            with torch.no_grad(), torch.jit.optimized_execution(False):
                expected = torch.jit.load(quantized(file, settings))(ids)
                for dtype, least in ((torch.half, 40), (torch.bfloat16, 25), (torch.double, 100)):
                    output = torch.jit.load(quantized(file, settings)).to(dtype)(ids)
                    self.assertEqual(output.dtype, dtype)
                    self.assertGreater(sqnr([expected], [output]), least, settings)


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def instance(name, attributes):
    """A pickled object of the class, which is in training mode."""
    items = b"".join(text(key) + value for key, value in [("training", b"\x89"), *attributes])
    return b"c__torch__\n" + name.encode() + b"\n)\x81}(" + items + b"ub"


def tensor(sizes, strides):
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x10tQ"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + sizes + strides + b"\x89ccollections\nOrderedDict\n)RtR"


def class_of(name, attributes, methods):
    """methods: (name, lines)."""
    lines = [f"class {name}(Module):", "  __parameters__ = []", "  __buffers__ = []", "  training : bool"]
    lines += [f"  {key} : {kind}" for key, kind in attributes]
    for method, body in methods:
        lines += [f"  def {method}(self: __torch__.{name},", "    x: Tensor) -> Tensor:", *("    " + line for line in body)]
    return "\n".join(lines) + "\n"


def archive(name, code, data):
    file = Path(FOLDER.name) / f"{name}.pt"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("m/data.pkl", b"\x80\x02" + data + b".")
        out.writestr("m/code/__torch__.py", code)
        out.writestr("m/data/0", bytes(64))
        out.writestr("m/constants.pkl", b"\x80\x02).")
        out.writestr("m/version", "3\n")
    return file


MATRIX = tensor(b"K\x04K\x04\x86", b"K\x04K\x01\x86")


class SmallFilesThatGrow(unittest.TestCase):
    """Sound TorchScript of a few kilobytes that is large once it is spelled out."""

    def refused(self, file, message):
        with self.assertRaisesRegex(RuntimeError, message):
            monoquant("quantize", file, "-o", f"{file}.out.pt")

    def test_methods_that_call_the_next_one_twice(self):
        twice = [(f"m{i}", [f"y = (self).m{i + 1}(x, )", f"return (self).m{i + 1}(y, )"]) for i in range(26)]
        code = class_of("M", [], [("forward", ["return (self).m0(x, )"]), *twice, ("m26", ["return torch.relu(x)"])])
        self.refused(archive("twice", code, instance("M", [])), "operators long once calls are inlined")

    def test_views_that_repeat_their_storage(self):
        names = [f"b{i}" for i in range(20)]
        code = class_of("M", [(name, "Tensor") for name in names], [("forward", ["return x"])])
        views = [(name, tensor(b"(J" + struct.pack("<I", 16_000_000 - i) + b"t", b"(K\x00t")) for i, name in enumerate(names)]
        described = json.loads(monoquant("info", archive("repeated", code, instance("M", views)), "--json"))
        self.assertEqual(sum("shows 64 bytes as" in remark for remark in described["remarks"]), 19)

    def test_a_weight_that_is_turned_many_times(self):
        turns = [f"w{i + 1} = torch.t(w{i})" for i in range(10_000)]
        code = class_of("M", [("w", "Tensor")], [("forward", ["w0 = self.w", *turns, f"return torch.matmul(x, w{len(turns)})"])])
        (layer,) = layers_of(archive("turned_often", code, instance("M", [("w", MATRIX)]))).values()
        self.assertEqual((layer["kind"], layer["channel_axis"]), ("Linear", 1))


class Digits(unittest.TestCase):
    def test_accuracy(self):
        header = json.loads((data := (SOURCE / "tests/data/digits_test.safetensors").read_bytes())[8 : 8 + struct.unpack("<Q", data[:8])[0]])
        start = 8 + struct.unpack("<Q", data[:8])[0]
        begin, end = header["images"]["data_offsets"]
        images = torch.frombuffer(bytearray(data[start + begin : start + end]), dtype=torch.uint8).reshape(-1, 1, 8, 8) / 16
        begin, end = header["labels"]["data_offsets"]
        labels = torch.frombuffer(bytearray(data[start + begin : start + end]), dtype=torch.uint8)

        def accuracy(path):
            return (torch.jit.load(path)(images).argmax(1) == labels).double().mean().item()

        for form in ("scripted", "traced"):
            original = SOURCE / f"tests/data/digits_{form}.pt"
            self.assertGreaterEqual(accuracy(quantized(original, "")), accuracy(original) - 0.003)
            self.assertGreaterEqual(accuracy(quantized(original, "bits=4")), accuracy(original) - 0.02)


class InPython(unittest.TestCase):
    """The library in a process that has LibTorch already."""

    @unittest.skipIf(b"libasan" in (BUILD / "lib/libmono_quant.so.1").read_bytes(), "the sanitizers must come first")
    def test_both_in_one_process(self):
        library = ctypes.CDLL(str(BUILD / "lib/libmono_quant.so.1"), mode=os.RTLD_NOW | os.RTLD_LOCAL)
        model, out, error = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        library.mnq_error_message.restype = ctypes.c_char_p
        status = library.mnq_model_open(str(MODULES / "root_linear.pt").encode(), ctypes.byref(model), ctypes.byref(error))
        self.assertEqual(status, 0, library.mnq_error_message(error))
        status = library.mnq_quantize(model, None, None, ctypes.byref(out), None, ctypes.byref(error))
        self.assertEqual(status, 0, library.mnq_error_message(error))
        saved = str(Path(FOLDER.name) / "in_python.pt").encode()
        self.assertEqual(library.mnq_model_save(out, saved, None, ctypes.byref(error)), 0)
        library.mnq_model_free(model)
        library.mnq_model_free(out)
        outputs = run(torch.jit.load(saved.decode()), "root_linear")
        self.assertGreater(sqnr([EXPECTED["root_linear.out.0"]], outputs), 35)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
