"""Makes files of schemes that are read, not chosen, with what others than we make of their codes.

    pip install gguf==0.19.0 numpy torch==2.13.0 safetensors
    python make_stored_schemes.py

gguf_types.gguf        a weight [2, 256] of each type of blocks, called by it, and as gguf-py dequantizes it
float8.safetensors     every code as F8_E4M3 [256], and as float32 by PyTorch; the packed codes and the two levels of scales of a
                       weight of nvfp4 [4, 32], and what compressed-tensors' rule gives for them
"""

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

random = np.random.default_rng(12)

Type = gguf.GGMLQuantizationType

# Where each type has halves of scales: those are made to be no extremes; all else is any byte.
HALVES = {Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0], Type.Q2_K: [80, 82], Type.Q3_K: [108],
          Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208], Type.IQ2_XXS: [0], Type.IQ2_XS: [0], Type.IQ2_S: [0],
          Type.IQ3_XXS: [0], Type.IQ3_S: [0], Type.IQ1_S: [0], Type.IQ1_M: [], Type.IQ4_NL: [0], Type.IQ4_XS: [0], Type.TQ1_0: [52],
          Type.TQ2_0: [64], Type.MXFP4: [], Type.NVFP4: []}


def blocks_of(kind, elements, rows=2):
    size, bytes_of_block = gguf.GGML_QUANT_SIZES[kind]
    count = rows * elements // size
    blocks = random.integers(0, 256, (count, bytes_of_block), dtype=np.uint8)
    for place in HALVES[kind]:
        blocks[:, place:place + 2] = random.uniform(-0.1, 0.1, (count, 1)).astype(np.float16).view(np.uint8)
    if kind == Type.MXFP4:
        blocks[:, 0] = [0, 1, 2, 254] + [120] * (count - 4)
    if kind == Type.NVFP4:
        blocks[:, :4] &= 0x7F
    if kind == Type.IQ1_M:  # a quarter of the half in each of the last four words
        halves = random.uniform(-0.1, 0.1, count).astype(np.float16).view(np.uint16)
        for word in range(4):
            blocks[:, 49 + 2 * word] = (blocks[:, 49 + 2 * word] & 15) | (halves >> (4 * word) & 15) << 4
    return blocks.reshape(rows, -1)


def write_gguf(path, tensors):
    writer = gguf.GGUFWriter(path, "none")
    for name, kind, blocks in tensors:
        writer.add_tensor(name, blocks, raw_dtype=kind)
        writer.add_tensor(name + ".expected", gguf.quants.dequantize(blocks, kind).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


write_gguf("gguf_types.gguf", [(kind.name, kind, blocks_of(kind, 256)) for kind in HALVES])

codes = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn)
packed = torch.from_numpy(random.integers(0, 256, (4, 16), dtype=np.uint8))
scales = torch.from_numpy(random.integers(1, 0x7F, (4, 2), dtype=np.uint8)).view(torch.float8_e4m3fn)
global_scale = torch.tensor([347.25], dtype=torch.float32)
values = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
nibbles = torch.stack([packed & 15, packed >> 4], dim=2).reshape(4, 32).long()
floats = values[nibbles & 7] * torch.where(nibbles >= 8, -1.0, 1.0)
by_group = (floats.reshape(4, 2, 16) * (scales.float() / global_scale).unsqueeze(2)).reshape(4, 32)
save_file({
    "codes": codes,
    "codes.expected": codes.float(),
    "w_packed": packed,
    "w_scale": scales,
    "w_global_scale": global_scale,
    "w.expected": by_group,
}, "float8.safetensors")
