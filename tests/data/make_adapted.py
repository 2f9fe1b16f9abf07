"""Makes small folders of weights that other tools quantized, with what those tools make of them.

    pip install numpy torch==2.13.0 safetensors compressed-tensors==0.20.0 bitsandbytes==0.50.2 mlx==0.32.4 mlx-cpu==0.32.4
    python make_adapted.py

adapted/NAME/config.json, adapted/NAME/model.safetensors: beside each weight W its values in float32, expected.W
"""

import json
import math
import pathlib
import warnings

import bitsandbytes.functional
import mlx.core
import numpy as np
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.lifecycle.forward import dequantize
from safetensors.torch import save_file

warnings.simplefilter("ignore")
ROOT = pathlib.Path(__file__).parent / "adapted"
random = torch.Generator().manual_seed(14)
BFLOAT16 = {"model_type": "llama", "torch_dtype": "bfloat16"}


def normal(*shape):
    return torch.randn(shape, generator=random)


def integers(high, *shape, dtype=torch.int32):
    return torch.randint(0, high, shape, generator=random).to(dtype)


def save(name, tensors, config=None, metadata=None):
    folder = ROOT / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(BFLOAT16 | (config or {}), indent=1) + "\n")
    tensors = {key: value.contiguous() for key, value in tensors.items()}
    save_file({"norm.weight": torch.ones(8, dtype=torch.bfloat16)} | tensors, folder / "model.safetensors", metadata or {"format": "pt"})


# ---- compressed-tensors, by itself

def compressed(name, form, weights, shape, make, **config):
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**weights), format=form)
    stored = BaseCompressor.get_value_from_registry(form).compress(make(normal(*shape)), scheme)
    values = BaseCompressor.get_value_from_registry(form).decompress(dict(stored), scheme)["weight"].float()
    if "weight_global_scale" in stored:  # which it rounds to bfloat16
        codes = unpack_fp4_from_uint8(stored["weight_packed"], *shape, dtype=torch.float32)
        values = dequantize(codes, stored["weight_scale"].float(), args=scheme.weights, global_scale=stored["weight_global_scale"])
    group = {"targets": ["Linear"], "weights": scheme.weights.model_dump(mode="json"), "input_activations": None,
             "output_activations": None, "format": form}
    save(name, {f"a.{key}": value for key, value in stored.items()} | {"expected.a.weight": values},
         {"quantization_config": {"quant_method": "compressed-tensors", "format": form, "quantization_status": "compressed",
                                  "config_groups": {"group_0": group}, "ignore": ["lm_head"]} | config})


def by_rows(bits, group, zero_point):
    def make(weight):
        groups = weight.reshape(weight.shape[0], -1, group)
        scale = groups.abs().amax(2) / (2 ** (bits - 1) - 0.5)
        state = {"weight": weight, "weight_scale": scale}
        if zero_point:
            state["weight_zero_point"] = (integers(2**bits - 1, *scale.shape, dtype=torch.int8) - 2 ** (bits - 1)).to(torch.int8)
        return state
    return make


for bits in range(2, 9):
    compressed(f"ct_w{bits}", "pack-quantized", {"num_bits": bits, "type": "int", "symmetric": True, "strategy": "group", "group_size": 32},
               (24, 96), by_rows(bits, 32, False))
    compressed(f"ct_w{bits}_asymmetric", "pack-quantized", {"num_bits": bits, "type": "int", "symmetric": False, "strategy": "group",
               "group_size": 32}, (40, 64), by_rows(bits, 32, True))
FLOAT8 = {"num_bits": 8, "type": "float", "symmetric": True}
compressed("ct_fp8_channel", "float-quantized", FLOAT8 | {"strategy": "channel"}, (24, 40),
           lambda weight: {"weight": weight, "weight_scale": weight.abs().amax(1, keepdim=True) / 448})
compressed("ct_fp8_tensor", "naive-quantized", FLOAT8 | {"strategy": "tensor"}, (24, 40),
           lambda weight: {"weight": weight, "weight_scale": weight.abs().amax().reshape(1) / 448})
compressed("ct_fp8_block", "float-quantized", FLOAT8 | {"strategy": "block", "block_structure": [128, 128]}, (130, 136),
           lambda weight: {"weight": weight, "weight_scale": 0.001 + normal(2, 2).abs() / 100})


def nvfp4(weight):
    scale = 448 * 6 / weight.abs().amax()
    groups = (weight.reshape(weight.shape[0], -1, 16).abs().amax(2) * scale / 6).to(torch.float8_e4m3fn)
    return {"weight": weight, "weight_scale": groups.float(), "weight_global_scale": scale.reshape(1)}


def powers(weight):
    exponents = 127 + torch.floor(torch.log2(weight.reshape(weight.shape[0], -1, 32).abs().amax(2))) - 2
    return {"weight": weight, "weight_scale": torch.exp2(exponents - 127)}


compressed("ct_nvfp4", "nvfp4-pack-quantized", {"num_bits": 4, "type": "float", "symmetric": True, "strategy": "tensor_group",
           "group_size": 16, "scale_dtype": torch.float8_e4m3fn}, (24, 64), nvfp4)
for bits in (4, 6, 8):
    form = {4: "mxfp4-pack-quantized", 6: "mxfp6-pack-quantized", 8: "mxfp8-quantized"}[bits]
    compressed(f"ct_mxfp{bits}", form, {"num_bits": bits, "type": "float", "symmetric": True, "strategy": "group", "group_size": 32,
               "scale_dtype": torch.uint8}, (24, 64), powers)

# With actorder: g_idx says which group a column is of.
codes, scales, index = integers(16, 24, 96) - 8, normal(24, 3).abs(), torch.arange(96)[torch.randperm(96, generator=torch.Generator().manual_seed(3))] // 32
save("ct_actorder", {"a.weight_packed": pack_to_int32(codes.to(torch.int8), 4), "a.weight_scale": scales, "a.weight_g_idx": index.int(),
                     "a.weight_shape": torch.tensor([24, 96]), "expected.a.weight": codes.float() * scales[:, index]},
     {"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"group_0": {
         "targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 32,
                                            "actorder": "group"}}}}})

# ---- FP8 of others: the values are codes times scales


def spread(scale, rows, columns, shape):
    return scale.repeat_interleave(rows, -2)[..., :shape[-2], :].repeat_interleave(columns, -1)[..., :shape[-1]]


def float8(name, shape, scale, suffix, rows, columns, config=None, dtype=torch.float8_e4m3fn, metadata=None):
    codes = normal(*shape).to(dtype)
    stored = scale.float() if scale.dtype != torch.uint8 else torch.exp2(scale.float() - 127)
    values = codes.float() * spread(stored, rows, columns, shape) if rows else codes.float() * stored
    save(name, {"a.weight": codes, f"a.{suffix}": scale, "a.input_scale": torch.ones(()), "expected.a.weight": values}, config, metadata)


BLOCKS = {"quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}}
GRID = normal(2, 2).abs() + 0.01
float8("deepseek", (130, 140), GRID, "weight_scale_inv", 128, 128, BLOCKS)
float8("deepseek_bf16", (130, 140), GRID.bfloat16(), "weight_scale_inv", 128, 128, BLOCKS)
float8("deepseek_ue8m0", (130, 140), (GRID * 0 + torch.exp2(integers(9, 2, 2).float() - 4)).to(torch.float8_e8m0fnu), "scale", 128, 128,
       BLOCKS)
float8("deepseek_experts", (2, 130, 20), normal(2, 2, 1).abs(), "weight_scale_inv", 128, 128)
float8("mxfp8", (20, 64), integers(20, 20, 2, dtype=torch.uint8) + 117, "weight_scale", 1, 32,
       {"quantization_config": {"quant_method": "mxfp8", "weight_block_size": [1, 32]}})
float8("modelopt_fp8", (20, 64), torch.tensor(0.375), "weight_scale", 0, 0, {"quantization_config": {"quant_method": "modelopt", "quant_algo": "FP8"}})
float8("comfyui", (20, 64), torch.tensor(0.375), "weight_scale", 0, 0, metadata={
    "_quantization_metadata": json.dumps({"format_version": "1.0", "layers": {"a": {"format": "float8_e4m3fn"}}})})
float8("scaled_fp8", (20, 64), torch.tensor(0.375), "scale_weight", 0, 0, dtype=torch.float8_e5m2)
float8("mistral", (20, 64), torch.tensor(0.375), "qscale_weight", 0, 0)

# ---- E2M1 of others

VALUES = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])


def e2m1(packed):
    nibbles = torch.stack([packed & 15, packed >> 4], -1).flatten(-2).long()
    return VALUES[nibbles & 7] * torch.where(nibbles >= 8, -1.0, 1.0)


packed, scale = integers(256, 24, 32, dtype=torch.uint8), integers(0x7E, 24, 4, dtype=torch.uint8).view(torch.float8_e4m3fn)
second = torch.tensor(0.0123)
save("modelopt_nvfp4", {"a.weight": packed, "a.weight_scale": scale, "a.weight_scale_2": second, "a.input_scale": torch.ones(()),
                        "expected.a.weight": e2m1(packed) * (scale.float() * second).repeat_interleave(16, 1)},
     {"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}})
scale = (integers(20, 24, 2, dtype=torch.uint8) + 117)
save("deepseek_v4", {"a.weight": packed.view(torch.int8), "a.scale": scale.view(torch.float8_e8m0fnu),
                     "expected.a.weight": e2m1(packed) * torch.exp2(scale.float() - 127).repeat_interleave(32, 1)}, BLOCKS)
blocks, scale = integers(256, 3, 40, 2, 16, dtype=torch.uint8), integers(20, 3, 40, 2, dtype=torch.uint8) + 117
values = (e2m1(blocks) * torch.exp2(scale.float() - 127)[..., None]).reshape(3, 40, 64).transpose(1, 2)
save("gpt_oss", {"mlp.experts.gate_up_proj_blocks": blocks, "mlp.experts.gate_up_proj_scales": scale,
                 "expected.mlp.experts.gate_up_proj": values}, {"quantization_config": {"quant_method": "mxfp4"}})

# ---- GPTQ and AWQ, from codes


def string_of(codes, bits, axis):
    """A string of bits along an axis, in words of 32."""
    codes = np.moveaxis(codes, axis, -1)
    bit = (codes[..., None] >> np.arange(bits)) & 1
    bit = bit.reshape(*codes.shape[:-1], -1, 32).astype(np.uint32)
    words = (bit << np.arange(32, dtype=np.uint32)).sum(-1, dtype=np.uint32).view(np.int32)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(words, -1, axis)))


def gptq_zeros(zeros, bits, form):
    """Less by one in the first form, as gptqmodel stores them: whole words at once, but for 3 bits, which reach over their ends."""
    if form == "gptq" and bits == 3:
        return string_of((zeros - 1) % 8, bits, 1)
    words = string_of(zeros, bits, 1)
    return words - sum(1 << at for at in range(0, 32, bits)) if form == "gptq" else words


def gptq(name, bits, outputs, inputs, groups, form, order):
    codes, zeros = integers(2**bits, outputs, inputs).numpy(), integers(2**bits, groups, outputs).numpy()
    scales = (normal(groups, outputs) / 10).half()
    index = torch.arange(inputs) // (inputs // groups)
    if order:
        index = index[torch.randperm(inputs, generator=random)]
    values = (torch.from_numpy(codes).float() - torch.from_numpy(zeros).float()[index].T) * scales.float()[index].T
    save(name, {"a.qweight": string_of(codes.T, bits, 0), "a.qzeros": gptq_zeros(zeros, bits, form), "a.scales": scales,
                "a.g_idx": index.int(), "a.bias": normal(outputs).half(), "expected.a.weight": values},
         {"quantization_config": {"quant_method": "gptq", "bits": bits, "group_size": inputs // groups if groups > 1 else -1,
                                  "desc_act": order, "sym": False, "checkpoint_format": form}})


for bits in (2, 3, 4, 8):
    gptq(f"gptq_{bits}", bits, 64, 96, 3, "gptq", False)
gptq("gptq_v2", 4, 64, 96, 3, "gptq_v2", False)
gptq("gptq_channel", 4, 64, 96, 1, "gptq", False)
gptq("gptq_desc_act", 4, 64, 96, 3, "gptq", True)

codes, zeros, scales = integers(16, 96, 64), integers(16, 3, 64), (normal(3, 64) / 10).half()
ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def awq(values):
    nibbles = values.reshape(values.shape[0], -1, 8)[:, :, ORDER].numpy().astype(np.uint32)
    return torch.from_numpy((nibbles << (4 * np.arange(8, dtype=np.uint32))).sum(-1, dtype=np.uint32).view(np.int32))


save("awq", {"a.qweight": awq(codes), "a.qzeros": awq(zeros), "a.scales": scales,
             "expected.a.weight": ((codes.float().reshape(3, 32, 64) - zeros.float()[:, None]) * scales.float()[:, None]).reshape(96, 64).T},
     {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"}})

# ---- bitsandbytes, by itself


def bnb(name, kind, shape, nested):
    weight = normal(*shape)
    codes, state = bitsandbytes.functional.quantize_4bit(weight, blocksize=64, quant_type=kind, compress_statistics=nested)
    values = bitsandbytes.functional.dequantize_4bit(codes, state)
    save(name, {"a.weight": codes, "expected.a.weight": values} | {f"a.weight.{key}": value for key, value in state.as_dict(packed=True).items()},
         {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": kind}})


bnb("bnb_nf4", "nf4", (24, 128), False)
bnb("bnb_fp4", "fp4", (24, 128), False)
bnb("bnb_nested", "nf4", (136, 128), True)
bnb("bnb_across_rows", "nf4", (24, 40), True)
codes, scale = (integers(255, 24, 64) - 127).to(torch.int8), normal(24).abs()
save("bnb_int8", {"a.weight": codes, "a.SCB": scale, "a.weight_format": torch.zeros((), dtype=torch.uint8),
                  "expected.a.weight": bitsandbytes.functional.int8_vectorwise_dequant(codes, scale)},
     {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}})

# ---- MLX, by itself: in float32, so that nothing is rounded


def mlx_save(name, weight, config, **how):
    parts = mlx.core.quantize(mlx.core.array(weight.numpy()), **how)
    values = mlx.core.dequantize(*parts, **how)
    tensors = {"a." + key: torch.from_numpy(np.array(part)) for key, part in zip(("weight", "scales", "biases"), parts)}
    save(name, tensors | {"expected.a.weight": torch.from_numpy(np.array(values.astype(mlx.core.float32)))}, {"quantization": config})


mlx.core.set_default_device(mlx.core.cpu)
for bits in (2, 3, 4, 5, 6, 8):
    mlx_save(f"mlx_{bits}", normal(24, 128), {"group_size": 64, "bits": bits, "mode": "affine"}, group_size=64, bits=bits)
mlx_save("mlx_of_layer", normal(24, 128), {"group_size": 64, "bits": 4, "a": {"group_size": 32, "bits": 8}}, group_size=32, bits=8)
for mode, bits, group in (("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16)):
    mlx_save("mlx_" + mode, normal(24, 128), {"group_size": group, "bits": bits, "mode": mode}, group_size=group, bits=bits, mode=mode)

# ---- compressed-tensors with actorder, by itself but for the order: it decodes columns sorted by their groups. These have
# a seed of their own, so that what comes before them stays as it is

random = torch.Generator().manual_seed(15)


def ordered(name, form, symmetric, outputs=24, dtype=torch.float32):
    bits, inputs = 8, 96
    index = torch.arange(inputs)[torch.randperm(inputs, generator=random)] // 32
    scheme = QuantizationScheme(targets=["Linear"], format=form, weights=QuantizationArgs(
        num_bits=bits, type="int", symmetric=symmetric, strategy="group", group_size=32))
    codes, scales = (integers(256, outputs, inputs) - 128).to(torch.int8), normal(outputs, 3).abs().to(dtype)
    zeros = {} if symmetric else {"weight_zero_point": (integers(200, outputs, 3) - 100).to(torch.int8)}
    by_group = torch.argsort(index, stable=True)
    values = BaseCompressor.get_value_from_registry(form).decompress(
        {"weight": codes[:, by_group], "weight_scale": scales.float()} | zeros, scheme)["weight"]
    group = {"targets": ["Linear"], "weights": scheme.weights.model_dump(mode="json") | {"actorder": "group"}, "format": form}
    save(name, {"a.weight": codes, "a.weight_scale": scales, "a.weight_g_idx": index.int(),
                "expected.a.weight": values[:, torch.argsort(by_group)]} | {f"a.{key}": value for key, value in zeros.items()},
         {"quantization_config": {"quant_method": "compressed-tensors", "format": form, "config_groups": {"group_0": group}}})


ordered("ct_w8_int_actorder", "int-quantized", True)
ordered("ct_w8_naive_actorder", "naive-quantized", False)
ordered("ct_actorder_f16", "int-quantized", False, 32, torch.float16)  # as GPTQ could have it
