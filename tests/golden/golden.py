"""Quantizes by the rules of the README in NumPy, and compares bit for bit with what monoquant writes."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors import safe_open

F32 = np.float32
FLT_MIN = np.finfo(F32).tiny
MONOQUANT = sys.argv[1]


def bf16_bytes(values):
    """Truncated on purpose: the values are then exact."""
    return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def bf16_values(values):
    return (values.view(np.uint32) & 0xFFFF0000).view(F32)


# dtype: how weights are stored, and as which float32 values they count
INPUTS = {
    "float32": (lambda w: w.tobytes(), lambda w: w),
    "float16": (lambda w: w.astype(np.float16).tobytes(), lambda w: w.astype(np.float16).astype(F32)),
    "bfloat16": (bf16_bytes, bf16_values),
    "float64": (lambda w: (w.astype(np.float64) * 1.000000001).tobytes(),
                lambda w: (w.astype(np.float64) * 1.000000001).astype(F32)),
}


def quantize(weights, bits, symmetric):
    """weights [..., n] float32 with one scale for each last axis: scales, zero points [..., 1] and codes."""
    low_code, high_code = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if symmetric:
        scales = np.abs(weights).max(-1, keepdims=True) / (F32(127) if bits == 8 else F32(7.5))
        low_code = -127 if bits == 8 else -8
    else:
        low = np.minimum(weights.min(-1, keepdims=True), F32(0))
        high = np.maximum(weights.max(-1, keepdims=True), F32(0))
        scales = (high - low) / F32(high_code - low_code)
    is_zero = ~weights.any(-1, keepdims=True)
    scales = np.where(is_zero, F32(1), np.maximum(scales, FLT_MIN)).astype(F32)
    if symmetric:
        zero_points = np.zeros_like(scales)
    else:
        zero_points = np.clip(np.rint(F32(low_code) - low / scales), low_code, high_code)
        zero_points = np.where(is_zero, F32(0), zero_points)
    codes = np.clip(np.rint(weights / scales) + zero_points, low_code, high_code)
    return scales, zero_points.astype(np.int8), codes.astype(np.int8)


def in_groups(matrix, size):
    """[rows, columns] as a list of [rows, up to size]."""
    return [matrix[:, i : i + size] for i in range(0, matrix.shape[1], size)]


def quantize_matrix(matrix, bits, symmetric, group):
    parts = [quantize(part, bits, symmetric) for part in in_groups(matrix, group)]
    return tuple(np.concatenate(list(pieces), axis=1) for pieces in zip(*parts))


def pack_nibbles(values):
    """[rows, columns] in -8..7 to [rows, ceil(columns / 8)] int32, low nibble first."""
    rows, columns = values.shape
    padded = np.zeros((rows, -(-columns // 8) * 8), np.uint32)
    padded[:, :columns] = values.astype(np.int32) + 8
    words = np.zeros((rows, padded.shape[1] // 8), np.uint32)
    for i in range(8):
        words |= padded[:, i::8] << np.uint32(4 * i)
    return words.view(np.int32)


def expected_tensors(name, weights, case):
    channels_first = np.moveaxis(weights, case["axis"], 0)
    matrix = channels_first.reshape(channels_first.shape[0], -1)
    bits, symmetric, group = case["bits"], case["symmetric"], case["group"]
    if case["per_tensor"]:
        scales, zeros, codes = quantize(matrix.reshape(1, -1), bits, symmetric)
        scales, zeros = scales.reshape(1), zeros.reshape(1)
    else:
        scales, zeros, codes = quantize_matrix(matrix, bits, symmetric, group or matrix.shape[1])
    if is_per_channel(case):
        broadcast = [-1 if axis == case["axis"] else 1 for axis in range(weights.ndim)]
        scales, zeros = scales.reshape(broadcast), zeros.reshape(broadcast)
    if bits == 4:
        tensors = {name + "_packed": pack_nibbles(codes), name + "_scale": scales,
                   name + "_shape": np.array(weights.shape, np.int64)}
        if not symmetric:
            tensors[name + "_zero_point"] = pack_nibbles(zeros.T).T
        return tensors
    if case["unsigned"]:
        codes, zeros = (codes.view(np.uint8) ^ 0x80), (zeros.view(np.uint8) ^ 0x80)
    codes = np.moveaxis(codes.reshape(channels_first.shape), 0, case["axis"])
    tensors = {name: codes, name + "_scale": scales}
    if not symmetric or case["unsigned"]:
        tensors[name + "_zero_point"] = zeros
    return tensors


def case(flags, bits=8, symmetric=True, group=0, per_tensor=False, unsigned=False, axis=0):
    return dict(flags=flags.split(), bits=bits, symmetric=symmetric, group=group, per_tensor=per_tensor, unsigned=unsigned,
                axis=axis)


def is_per_channel(case):
    """With a byte for each code: of packed ones scales are a matrix in any case."""
    return case["bits"] == 8 and not case["group"] and not case["per_tensor"]


CASES = [
    case(""),
    case("--asymmetric", symmetric=False),
    case("--per-tensor", per_tensor=True),
    case("--per-tensor --asymmetric", per_tensor=True, symmetric=False),
    case("--group-size 32", group=32),
    case("--group-size 50 --asymmetric", group=50, symmetric=False),
    case("--dtype quint8", symmetric=False, unsigned=True),
    case("--dtype quint8 --symmetric", unsigned=True),
    case("--set channel_axis=1", axis=1),
    case("--set channel_axis=1 --asymmetric", symmetric=False, axis=1),
    case("--set channel_axis=1 --dtype quint8", symmetric=False, unsigned=True, axis=1),
    case("--bits 4 --set method=minmax", bits=4, group=128),
    case("--bits 4 --group-size 32 --set method=minmax", bits=4, group=32),
    case("--bits 4 --group-size 32 --asymmetric --set method=minmax", bits=4, group=32, symmetric=False),
    case("--bits 4 --group-size 0 --set method=minmax", bits=4),
    case("--bits 4 --group-size 24 --asymmetric --set method=minmax", bits=4, group=24, symmetric=False),
]

LAYERS = {"fc": (300, 257), "wide": (5, 4096), "conv": (16, 8, 3, 3), "square": (16, 16, 5), "one": (1, 600), "zeros": (20, 64)}


def make_weights():
    random = np.random.default_rng(1)
    weights = {name: (random.standard_t(5, shape) * 0.05).astype(F32) for name, shape in LAYERS.items()}
    weights["zeros"][:] = 0
    weights["fc"][3] = 0
    weights["fc"][4] = np.abs(weights["fc"][4])  # one sign
    weights["wide"][0] *= F32(1e-30)
    return weights


def serialize_file(tensors, path, metadata=None):
    """A file as the format's page has it: the package has no writer of bytes that is the same in all its versions."""
    codes = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
    header, end = {} if metadata is None else {"__metadata__": metadata}, 0
    for name, tensor in tensors.items():
        begin, end = end, end + len(tensor["data"])
        header[name] = {"dtype": codes[tensor["dtype"]], "shape": tensor["shape"], "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(len(text).to_bytes(8, "little") + text + b"".join(t["data"] for t in tensors.values()))


def read(path):
    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def run(*arguments):
    subprocess.run([MONOQUANT, *map(str, arguments)], check=True)


def check_case(folder, dtype, number, checked_case):
    to_bytes, to_values = INPUTS[dtype]
    source, output = folder / f"{dtype}.safetensors", folder / f"{dtype}-{number}.safetensors"
    weights = {name: w for name, w in make_weights().items() if w.size > w.shape[checked_case["axis"]]}
    serialize_file({f"{name}.weight": {"dtype": dtype, "shape": list(w.shape), "data": to_bytes(w)}
                    for name, w in weights.items()}, source, {"format": "pt"})
    run("quantize", source, "-o", output, "--quiet", "--set", "min_parameters=0", *checked_case["flags"])
    got = read(output)
    expected = {}
    for name, w in weights.items():
        expected |= expected_tensors(f"{name}.weight", to_values(w), checked_case)
    assert got.keys() == expected.keys(), (got.keys() ^ expected.keys())
    for name, tensor in expected.items():
        assert got[name].dtype == tensor.dtype and got[name].shape == tensor.shape, (name, got[name].shape, tensor.shape)
        assert (got[name] == tensor).all(), f"{dtype} {checked_case['flags']} {name}"
    check_report(folder, source, output, weights, to_values, checked_case)


def check_report(folder, source, output, weights, to_values, checked_case):
    """The SQNR that compare gives against that of what dequantize writes."""
    back = folder / "back.safetensors"
    run("dequantize", output, "-o", back, "--quiet", "--force")
    report = json.loads(subprocess.run([MONOQUANT, "compare", source, output, "--json"], check=True, capture_output=True).stdout)
    layers = {layer["tensor"]: layer for layer in report["layers"]}
    if "float32" not in source.name:
        return  # dequantized values are rounded to the narrow dtype there
    restored = read(back)
    if is_per_channel(checked_case) or checked_case["per_tensor"]:
        check_broadcast(read(output), restored)
    for name, w in weights.items():
        w, r = to_values(w).astype(np.float64), restored[f"{name}.weight"].astype(np.float64)
        error = ((w - r) ** 2).sum()
        layer = layers[f"{name}.weight"]
        if error == 0:
            assert layer["exact"], layer
        else:
            sqnr = 10 * np.log10((w**2).sum() / error)
            assert abs(layer["sqnr_db"] - sqnr) < 1e-3, (layer, sqnr)
            assert abs(layer["max_error"] / np.abs(w - r).max() - 1) < 1e-5, layer


def check_broadcast(stored, restored):
    """The README's formula as it stands there, whatever the axes: NumPy does the rest."""
    for name, weights in restored.items():
        codes = stored[name].astype(F32)
        zeros = stored[name + "_zero_point"].astype(F32) if name + "_zero_point" in stored else F32(0)
        assert ((codes - zeros) * stored[name + "_scale"] == weights).all(), name


def check_experts(folder):
    """The weights of all experts in one tensor: each has scales of its own, for its outputs."""
    random = np.random.default_rng(2)
    weights = {"gate_up_proj": (4, 24, 40), "down_proj": (4, 40, 12)}
    turned = {name: (shape[0], shape[2], shape[1]) for name, shape in weights.items()}
    source, output = folder / "experts-in.safetensors", folder / "experts.safetensors"
    for shapes, axis in ((weights, 1), (turned, 2)):
        tensors = {f"mlp.experts.{name}": (random.standard_t(5, shape) * 0.05).astype(F32) for name, shape in shapes.items()}
        for tensor in tensors.values():  # of very different size, as outliers make them
            tensor *= np.moveaxis(np.logspace(-3, 0, tensor.shape[axis], dtype=F32)[None, :, None], 1, axis)
        serialize_file({name: {"dtype": "float32", "shape": list(w.shape), "data": w.tobytes()}
                        for name, w in tensors.items()}, source, {"format": "pt"})
        for flags, symmetric in ((), True), (("--asymmetric",), False):
            run("quantize", source, "-o", output, "--quiet", "--force", *flags)
            run("dequantize", output, "-o", folder / "back.safetensors", "--quiet", "--force")
            got = read(output)
            check_broadcast(got, read(folder / "back.safetensors"))
            for name, w in tensors.items():
                scales, zeros, codes = (np.moveaxis(part, -1, 3 - axis)
                                        for part in quantize(np.moveaxis(w, 3 - axis, -1), 8, symmetric))
                assert got[name + "_scale"].shape == scales.shape and (got[name + "_scale"] == scales).all(), name
                assert (got[name] == codes).all() and (symmetric or (got[name + "_zero_point"] == zeros).all()), name


def check_float16(folder):
    weights = make_weights()
    source, output = folder / "half-in.safetensors", folder / "half.safetensors"
    serialize_file({f"{n}.weight": {"dtype": "float32", "shape": list(w.shape), "data": w.tobytes()}
                    for n, w in weights.items()}, source, {"format": "pt"})
    run("quantize", source, "-o", output, "--quiet", "--bits", 16)
    got = read(output)
    for name, w in weights.items():
        assert (got[f"{name}.weight"] == w.astype(np.float16)).all(), name


def main():
    passed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for dtype in INPUTS:
            for number, checked_case in enumerate(CASES):
                check_case(folder, dtype, number, checked_case)
                passed += 1
        check_float16(folder)
        check_experts(folder)
    print(f"{passed + 2} golden cases agree bit for bit")


main()
