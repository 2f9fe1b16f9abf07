"""Makes small files of what PyTorch itself quantized, and what PyTorch makes of it.

    pip install torch==2.13.0 safetensors
    python make_torch_quantized.py

torch_quantized/NAME.pt: state dicts, and TorchScript modules (NAME ends in scripted, traced or frozen)
torch_quantized/NAME.safetensors: all that dequantize must give of it, by the names of the float model
"""

import pathlib
import warnings
import zipfile

import torch
from safetensors.torch import save_file
from torch.ao import quantization

warnings.simplefilter("ignore")
ROOT = pathlib.Path(__file__).parent / "torch_quantized"
ROOT.mkdir(exist_ok=True)
torch.manual_seed(14)


def save(name, value, expected, **how):
    path = ROOT / f"{name}.pt"
    if isinstance(value, torch.jit.ScriptModule):
        torch.jit.save(value, path)
        leave_out_sources(path)
    else:
        torch.save(value, path, **how)
    values = {key: (tensor.dequantize() if tensor.is_quantized else tensor).detach().clone(memory_format=torch.contiguous_format) for key, tensor in expected.items()}
    save_file(values, ROOT / f"{name}.safetensors")


def leave_out_sources(path):
    """What a debugger shows of the code is most of such a file."""
    with zipfile.ZipFile(path) as archive:
        records = [(info.filename, archive.read(info)) for info in archive.infolist() if not info.filename.endswith(".debug_pkl")]
    with zipfile.ZipFile(path, "w") as archive:
        for record, data in records:
            archive.writestr(zipfile.ZipInfo(record, (1980, 1, 1, 0, 0, 0)), data)


def quantized(module, part="weight"):
    value = getattr(module, part)()
    return value.detach() if isinstance(value, torch.Tensor) else value


# ---- Tensors

def per_tensor(*shape, scale=0.0173, zero_point=0, dtype=torch.qint8):
    return torch.quantize_per_tensor(torch.randn(shape), scale, zero_point, dtype)


def per_channel(*shape, axis=0, dtype=torch.qint8, scale_dtype=torch.float64, low=0, high=1):
    scales = (torch.rand(shape[axis]) / 30 + 1e-3).to(scale_dtype)
    return torch.quantize_per_channel(torch.randn(shape), scales, torch.randint(low, high, (shape[axis],)), axis, dtype)


tensors = {
    "int8.weight": per_tensor(6, 8),
    "int8_zero_point.weight": per_tensor(6, 8, scale=0.1, zero_point=-128),
    "uint8.weight": per_tensor(3, 2, 3, 3, scale=1e-3, zero_point=255, dtype=torch.quint8),
    "row.weight": per_tensor(9, zero_point=7),
    "transposed.weight": per_tensor(8, 6, zero_point=3).t(),
    "part.weight": per_tensor(8, 12)[2:6, 3:9],
    "norm.weight": torch.randn(8),
}
save("per_tensor", tensors, tensors)
save("per_tensor_old", tensors, tensors, _use_new_zipfile_serialization=False)

tensors = {
    "int8.weight": per_channel(6, 8),
    "int8_zero_point.weight": per_channel(6, 8, low=-128, high=128),
    "uint8.weight": per_channel(6, 8, dtype=torch.quint8, low=0, high=256),
    "columns.weight": per_channel(6, 8, axis=1, low=-5, high=6),
    "middle.weight": per_channel(4, 5, 3, axis=1, dtype=torch.quint8, low=0, high=256),
    "conv.weight": per_channel(4, 2, 3, 3, low=-5, high=6),
    "last_channels.weight": per_channel(4, 2, 3, 3).contiguous(memory_format=torch.channels_last),
    "exact.weight": torch.quantize_per_channel(torch.randn(6, 8), torch.rand(6, dtype=torch.float64) / 30 + 1e-3, torch.zeros(6, dtype=torch.int64), 0, torch.qint8),
    "narrow.weight": per_channel(7, 1, scale_dtype=torch.float32, low=-5, high=6),
}
tensors["tied.weight"] = tensors["int8.weight"]
save("per_channel", {"state_dict": tensors, "epoch": 3}, tensors)


# ---- Modules

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.quant = quantization.QuantStub()
        self.conv = torch.nn.Conv2d(2, 4, 3)
        self.relu = torch.nn.ReLU()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Linear(6, 3, bias=False))
        self.dequant = quantization.DeQuantStub()

    def forward(self, x):
        return self.dequant(self.layers(self.relu(self.conv(self.quant(x))).mean([2, 3])))


def weights_of(module):
    """By the names of the float module."""
    values = {}
    for name, layer in module.named_modules():
        if not hasattr(layer, "weight") or "_packed_params" in name:
            continue
        for part in ("weight", "bias"):
            value = getattr(layer, part, None)
            value = value() if callable(value) else value
            if value is not None:
                values[f"{name}.{part}"] = value.detach()
    return values


IMAGES = torch.randn(2, 2, 5, 5)
dynamic = quantization.quantize_dynamic(Net().eval(), {torch.nn.Linear})
save("dynamic", dynamic.state_dict(), weights_of(dynamic))
save("dynamic_scripted", torch.jit.script(dynamic), weights_of(dynamic))
save("dynamic_traced", torch.jit.trace(dynamic, IMAGES), weights_of(dynamic))
half = quantization.quantize_dynamic(Net().eval(), {torch.nn.Linear}, dtype=torch.float16)
save("dynamic_half", half.state_dict(), weights_of(half))

static = Net().eval()
static.qconfig = quantization.get_default_qconfig("x86")
static = quantization.fuse_modules(static, [["conv", "relu"]])
static = quantization.prepare(static)
static(IMAGES)
static = quantization.convert(static)
save("static", static.state_dict(), weights_of(static))
save("static_scripted", torch.jit.script(static), weights_of(static))
constants = list(weights_of(static).items())
frozen = {f"constants.c{i}.{part}": value for i, layer in enumerate(("conv", "layers.0", "layers.1"))
          for part in ("weight", "bias") for name, value in constants if name == f"{layer}.{part}"}
save("static_frozen", torch.jit.freeze(torch.jit.script(static)), frozen)


class Lookup(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bytes = torch.nn.Embedding(5, 8)
        self.nibbles = torch.nn.Embedding(5, 7 + 1)

    def forward(self, x):
        return self.bytes(x) + self.nibbles(x)


lookup = Lookup().eval()
lookup.bytes.qconfig = quantization.float_qparams_weight_only_qconfig
lookup.nibbles.qconfig = quantization.float_qparams_weight_only_qconfig_4bit
lookup = quantization.convert(quantization.prepare(lookup))
save("embeddings", lookup.state_dict(), weights_of(lookup))
save("embeddings_scripted", torch.jit.script(lookup), weights_of(lookup))


class Recurrent(torch.nn.Module):
    def __init__(self, **how):
        super().__init__()
        self.lstm = torch.nn.LSTM(4, 3, **how)

    def forward(self, x):
        return self.lstm(x)[0]


def cells_of(module):
    """_all_weight_values: a cell for each layer and direction."""
    values = {}
    directions = 2 if module.lstm.bidirectional else 1
    for index, cell in enumerate(module.lstm._all_weight_values):
        _, tensors, _, _, packed = cell.param.__getstate__()[0]
        suffix = f"_l{index // directions}{'_reverse' if index % directions else ''}"
        for part, weight, bias in zip(("ih", "hh"), packed, tensors):
            values[f"lstm.weight_{part}{suffix}"] = weight.__getstate__()[0][0]
            values[f"lstm.bias_{part}{suffix}"] = bias.detach()
    return values


for name, how in {"lstm": {"num_layers": 2}, "lstm_both_ways": {"bidirectional": True}}.items():
    recurrent = quantization.quantize_dynamic(Recurrent(**how).eval(), {torch.nn.LSTM})
    save(name, recurrent.state_dict(), cells_of(recurrent))
    save(f"{name}_scripted", torch.jit.script(recurrent), cells_of(recurrent))

class Cell(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = torch.nn.GRUCell(4, 3)

    def forward(self, x):
        return self.cell(x)


cell = quantization.quantize_dynamic(Cell().eval(), {torch.nn.GRUCell})
parts = {name: getattr(cell.cell, f"_packed_weight_{name}").__getstate__()[0] for name in ("ih", "hh")}
save("cell", cell.state_dict(), {f"cell.{kind}_{name}": pair[i].detach() for name, pair in parts.items()
                                 for i, kind in enumerate(("weight", "bias"))})

# ---- What is not read

torch.save({"int32.weight": per_tensor(4, 6, dtype=torch.qint32), "norm.weight": torch.randn(6)}, ROOT / "unread_int32.pt")
