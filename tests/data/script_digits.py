"""Writes digits.safetensors as TorchScript modules, scripted and traced, in evaluation mode.

    pip install torch==2.13.0 numpy safetensors
    python script_digits.py
"""

import torch
from safetensors.torch import load_file

from train_digits import Digits

model = Digits()
model.load_state_dict(load_file("digits.safetensors"))
model.eval()
images = load_file("digits_test.safetensors")["images"].float() / 16
torch.jit.script(model).save("digits_scripted.pt")
torch.jit.trace(model, images[:1]).save("digits_traced.pt")
