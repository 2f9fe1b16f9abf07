"""Makes files of schemes that are read, not chosen, with what others than we make of their codes.

    pip install gguf==0.19.0 numpy torch==2.13.0 safetensors
    python make_stored_schemes.py

q4_k.gguf              w Q4_K [3, 512], and w.expected as gguf-py dequantizes it
float8.safetensors     every code as F8_E4M3 [256], and as float32 by PyTorch; the packed codes and the two levels of scales of a
                       weight of nvfp4 [4, 32], and what compressed-tensors' rule gives for them
"""

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

random = np.random.default_rng(12)

# Halves of scales that are no extremes; all else is any byte.
blocks = random.integers(0, 256, (6, 144), dtype=np.uint8)
blocks[:, :4] = random.uniform(-0.1, 0.1, (6, 2)).astype(np.float16).view(np.uint8)
blocks = blocks.reshape(3, 288)
writer = gguf.GGUFWriter("q4_k.gguf", "none")
writer.add_tensor("w", blocks, raw_dtype=gguf.GGMLQuantizationType.Q4_K)
writer.add_tensor("w.expected", gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType.Q4_K).astype(np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

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
