"""Writes what the fuzz targets start from: inputs of pieces ("@@@ NAME", a line's end, bytes), made of tests/data and
of small checkpoints built byte by byte. The target of single files starts from tests/data itself.

    python3 make_seeds.py OUT
"""
import json
import pathlib
import struct
import sys
import zipfile

DATA = pathlib.Path(__file__).parent.parent / "data"
OUT = pathlib.Path(sys.argv[1])
WIDTHS = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def seed(target, name, pieces):
    path = OUT / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(b"@@@ " + piece.encode() + b"\n" + data for piece, data in pieces.items()))


def text(value):
    return json.dumps(value).encode()


def safetensors(tensors, metadata=None):
    """tensors: name to (dtype, shape) or (dtype, shape, bytes)."""
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, *values) in tensors.items():
        count = 1
        for size in shape:
            count *= size
        value = values[0] if values else pattern(dtype, count)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(value)]}
        data += value
    start = text(header)
    return struct.pack("<Q", len(start)) + start + data


def pattern(dtype, count):
    """Values that are small, differ, and are finite."""
    if dtype in ("F64", "F32", "F16"):
        code = {"F64": "d", "F32": "f", "F16": "e"}[dtype]
        return struct.pack(f"<{count}{code}", *[((i * 37) % 101 - 50) / 800 for i in range(count)])
    if dtype == "BF16":
        return b"".join(struct.pack("<f", ((i * 37) % 101 - 50) / 800)[2:] for i in range(count))
    return bytes(i * 29 % 251 for i in range(count * WIDTHS[dtype]))


def shape_of(*sizes):
    return ("I64", [len(sizes)], struct.pack(f"<{len(sizes)}q", *sizes))


# ---- Checkpoints

FLOATS = safetensors({
    "layers.0.weight": ("F32", [8, 64]), "layers.0.bias": ("F32", [8]), "layers.1.weight": ("F16", [5, 36]),
    "embed.weight": ("BF16", [4, 32]), "conv.weight": ("F64", [2, 2, 3, 3]), "step": ("I64", [])})
EXPERTS = safetensors({
    "mlp.experts.gate_up_proj": ("F32", [2, 4, 32]), "mlp.experts.down_proj": ("F32", [2, 32, 2]),
    "mlp.gate.weight": ("F32", [2, 32])})
GPT2 = safetensors({
    "h.0.attn.c_attn.weight": ("F32", [8, 24]), "h.0.attn.c_attn.bias": ("F32", [24]), "wte.weight": ("F32", [6, 8]),
    "h.0.attn.bias": ("BOOL", [1, 1, 4, 4])})
ATTENTION = safetensors({f"model.layers.0.self_attn.{part}_proj.weight": ("F32", [32, 32]) for part in "qkvo"})
ODD = safetensors({dtype.lower(): (dtype, [2, 4], bytes(range(8 * bits // 8)))
                   for dtype, bits in {"F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "U8": 8, "U16": 16, "I16": 16,
                                       "U32": 32, "U64": 64, "BOOL": 8, "C64": 64, "F4": 4, "F6_E2M3": 6}.items()})
LSTM = safetensors({
    "lstm.weight_ih_l0": ("F32", [16, 4]), "lstm.weight_hh_l0": ("F32", [16, 4]), "lstm.bias_ih_l0": ("F32", [16])})


def ours(**entry):
    weight = {"dtype": "F32", "shape": [4, 64], **entry}
    return {"mono_quant": json.dumps({"version": 1, "tensors": {"fc.weight": weight}})}


INT8 = safetensors({"fc.weight": ("I8", [4, 64]),
                    "fc.weight_scale": ("F32", [4, 1], struct.pack("<4f", 1, .5, .25, 2))},
                   ours(scheme="qint8", granularity="channel", symmetric=True, channel_axis=0, sqnr_db=40))
UINT8 = safetensors({"fc.weight": ("U8", [4, 64]),
                     "fc.weight_scale": ("F32", [4, 2], struct.pack("<8f", *[.5] * 8)),
                     "fc.weight_zero_point": ("U8", [4, 2])},
                    ours(scheme="quint8", granularity="group", group_size=32, symmetric=False, channel_axis=0))
INT4 = safetensors({"fc.weight_packed": ("I32", [4, 8]),
                    "fc.weight_scale": ("F32", [4, 2], struct.pack("<8f", *[.5] * 8)),
                    "fc.weight_shape": shape_of(4, 64)},
                   ours(scheme="qint4", granularity="group", group_size=32, symmetric=True, channel_axis=0))
MODELS = {"floats": FLOATS, "experts": EXPERTS, "gpt2": GPT2, "attention": ATTENTION, "lstm": LSTM, "odd": ODD,
          "int8": INT8, "uint8": UINT8, "int4": INT4}
for file in [*sorted((DATA / "malformed").glob("good*.*")), DATA / "scales_in_a_column.safetensors",
             DATA / "modules/state_dict.pt", DATA / "torchscript.pt", *sorted((DATA / "torch_quantized").glob("*.pt"))]:
    MODELS[file.name] = file.read_bytes()

# ---- Plans: each model with a few settings and formats, in turn

FORMATS = ["gguf", "compressed-tensors", "pytorch", "safetensors", "folder", "gptq", "awq", "mlx", "fp8",
           "bitsandbytes", "comfyui"]
SETTINGS = [
    {}, {"bits": 8, "format": "compressed-tensors"}, {"bits": 4, "group_size": 32, "format": "gguf"},
    {"bits": 8, "symmetric": False, "format": "pytorch"}, {"dtype": "quint8", "group_size": 16, "min_parameters": 0},
    {"bits": 4, "group_size": 16, "symmetric": False, "min_parameters": 0, "format": "compressed-tensors"},
    {"dtype": "float16", "format": "folder", "max_shard_size": "100"}, {"per_channel": False, "nonfinite": "copy"},
    {"only": "layers.*,fc", "skip": "*.1.*", "channel_axis": 1, "format": "safetensors"},
    {"layers": [{"name": "*", "dtype": "quint8"}, {"name": "layers.0", "dtype": "qint8", "group_size": 16}],
     "layer_types": "Linear,Conv2d"},
    {"bits": 8, "activation_bits": 8, "format": "compressed-tensors", "max_shard_size": "1KiB"},
    {"accuracy_warning": "error", "sqnr_warning_db": 50, "sqnr_critical_db": 30, "memory_budget": "16MiB"},
    {"format": "folder", "shard": "1/2", "resume": True, "overwrite": True, "tensors_key": "model"},
    {"bits": 3, "group_size": 32, "min_parameters": 0, "format": "gptq"},
    {"bits": 4, "symmetric": False, "group_size": 32, "min_parameters": 0, "format": "awq"},
    {"bits": 5, "group_size": 32, "min_parameters": 0, "format": "mlx"},
    {"dtype": "float8_e4m3", "block": "128x128", "min_parameters": 0, "format": "fp8"},
    {"dtype": "nf4", "min_parameters": 0, "format": "bitsandbytes"},
    {"dtype": "float8_e5m2", "min_parameters": 0, "format": "comfyui"},
    {"dtype": "nvfp4", "min_parameters": 0, "format": "compressed-tensors"},
    {"dtype": "mxfp6", "method": "search", "min_parameters": 0, "format": "compressed-tensors"},
    {"dtype": "mxfp4", "min_parameters": 0, "format": "gguf", "float_dtype": "float32"},
]
for turn, (name, model) in enumerate(MODELS.items()):
    for step in range(3):
        seed("plan", f"{name}-{step}", {
            "settings": text(SETTINGS[(turn * 3 + step) % len(SETTINGS)]),
            "then": text({"format": FORMATS[(turn + step) % len(FORMATS)]}),
            "model": model})

# ---- Folders

for folder in sorted(path for path in (DATA / "malformed").iterdir() if path.is_dir()):
    seed("folder", folder.name, {file.name: file.read_bytes() for file in sorted(folder.iterdir())})

BERT = text({"model_type": "bert", "architectures": ["BertModel"], "text_config": {"model_type": "x"}})


def index(**files):
    return text({"metadata": {"total_size": 1}, "weight_map": files})


def compressed(format, ignore=(), **weights):
    group = {"targets": ["Linear"], "weights": {"type": "int", "strategy": "channel", "symmetric": True, **weights},
             "input_activations": None, "output_activations": None}
    return text({"model_type": "llama", "quantization_config": {
        "quant_method": "compressed-tensors", "format": format, "ignore": list(ignore),
        "config_groups": {"group_0": group}}})


FOLDERS = {
    "bert": {"config.json": BERT, "model.safetensors": FLOATS, "tokenizer.json": b"{}", "vocab.txt": b"a\nb\n"},
    "attention": {"config.json": text({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}),
                  "model.safetensors": ATTENTION},
    "experts": {"config.json": text({"model_type": "qwen3_moe"}), "generation_config.json": b"{}",
                "model.safetensors": EXPERTS},
    "gpt2": {"config.json": text({"model_type": "gpt2"}), "model.safetensors": GPT2,
             "pytorch_model.bin": MODELS["good.pt"]},
    "bin": {"config.json": BERT, "pytorch_model.bin": (DATA / "modules/state_dict.pt").read_bytes()},
    "shards": {"model.safetensors.index.json": index(**{"a.weight": "model-00001-of-00002.safetensors",
                                                        "b.weight": "model-00002-of-00002.safetensors"}),
               "model-00001-of-00002.safetensors": safetensors({"a.weight": ("F32", [4, 32])}, {"format": "pt"}),
               "model-00002-of-00002.safetensors": safetensors({"b.weight": ("F16", [4, 32])}, {"format": "np"}),
               "config.json": BERT},
    "bin_shards": {"pytorch_model.bin.index.json": index(**{"w": "pytorch_model-00001-of-00001.bin"}),
                   "pytorch_model-00001-of-00001.bin": MODELS["good.pt"], "config.json": BERT},
    "diffusers": {"config.json": text({"_class_name": "UNet2DModel"}), "diffusion_pytorch_model.safetensors": FLOATS},
    "peft": {"adapter_config.json": text({"peft_type": "LORA"}), "adapter_model.safetensors": FLOATS},
    "lora": {"pytorch_lora_weights.safetensors": FLOATS},
    "timm": {"config.json": text({"architecture": "resnet18"}), "model.safetensors": LSTM},
    "sentences": {"modules.json": text([{"path": ""}, {"path": "1_Dense"}]), "config.json": BERT,
                  "model.safetensors": FLOATS, "1_Dense/model.safetensors": LSTM, "1_Dense/config.json": b"{}"},
    "ours": {"config.json": text({"model_type": "bert",
                                  "quantization_config": {"quantized_by": "mono_quant", "version": 1}}),
             "model.safetensors": INT8},
    "packed4": {"config.json": compressed("pack-quantized", num_bits=4, strategy="group", group_size=32),
                "model.safetensors": safetensors({
                    "fc.weight_packed": ("I32", [4, 8]), "fc.weight_scale": ("BF16", [4, 2], b"\x80\x3f" * 8),
                    "fc.weight_shape": shape_of(4, 64), "norm.weight": ("BF16", [4])})},
    "packed4_zero": {"config.json": compressed("pack-quantized", num_bits=4, strategy="group", group_size=16,
                                               symmetric=False),
                     "model.safetensors": safetensors({
                         "fc.weight_packed": ("I32", [8, 4]), "fc.weight_scale": ("F16", [8, 2], b"\x00\x3c" * 16),
                         "fc.weight_zero_point": ("I32", [1, 2]), "fc.weight_shape": shape_of(8, 32)})},
    "packed8": {"config.json": compressed("pack-quantized", num_bits=8, symmetric=False),
                "model.safetensors": safetensors({
                    "fc.weight_packed": ("I32", [5, 9]),
                    "fc.weight_scale": ("F32", [5, 1], struct.pack("<5f", *[.5] * 5)),
                    "fc.weight_zero_point": ("I32", [2, 1]), "fc.weight_shape": shape_of(5, 34)})},
    "bytes": {"config.json": compressed("int-quantized", ["lm_head"], num_bits=8, strategy="tensor"),
              "model.safetensors": safetensors({
                  "model.q_proj.weight": ("I8", [4, 16]),
                  "model.q_proj.weight_scale": ("F32", [1], struct.pack("<f", .5)),
                  "model.q_proj.weight_zero_point": ("I8", [1]), "model.q_proj.input_scale": ("F32", [1]),
                  "lm_head.weight": ("F32", [4, 16])})},
}
for turn, (name, files) in enumerate(FOLDERS.items()):
    for step in range(2):
        seed("folder", f"{name}-{step}", {
            "settings": text(SETTINGS[(turn * 2 + step) % len(SETTINGS)]),
            "then": text({"format": FORMATS[(turn + step) % len(FORMATS)]}), **files})

# What other tools quantized, a folder a layout, without the values that the tests expect of it: 20 KB at most


def without_expected(file):
    """A safetensors file with those tensors left out."""
    size = struct.unpack_from("<Q", file)[0]
    header, data, kept = json.loads(file[8:8 + size]), file[8 + size:], {}
    metadata = header.pop("__metadata__", None)
    for name, info in header.items():
        if not name.startswith("expected."):
            kept[name] = (info["dtype"], info["shape"], data[slice(*info["data_offsets"])])
    return safetensors(kept, metadata)


for turn, folder in enumerate(sorted((DATA / "adapted").iterdir())):
    files = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
    files["model.safetensors"] = without_expected(files["model.safetensors"])
    seed("folder", f"adapted-{folder.name}", {
        "settings": text(SETTINGS[turn % len(SETTINGS)]),
        "then": text({"format": FORMATS[turn % len(FORMATS)]}), **files})
    seed("plan", f"adapted-{folder.name}", {
        "settings": text(SETTINGS[turn * 7 % len(SETTINGS)]),
        "then": text({"format": FORMATS[turn * 3 % len(FORMATS)]}), "model": files["model.safetensors"]})

# ---- Archives: of modules without what says where their code came from

for file in [*DATA.glob("*.pt"), *DATA.glob("modules/*.pt"), *DATA.glob("malformed/*.pt"), *DATA.glob("torch_quantized/*.pt")]:
    if not zipfile.is_zipfile(file):
        continue
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist()
                 if "/" in name and not name.endswith((".debug_pkl", "serialization_id"))]
        try:
            pieces = {name.split("/", 1)[1]: archive.read(name) for name in names}
        except (zipfile.BadZipFile, NotImplementedError):
            continue
    seed("torchscript", file.stem, pieces)
