"""Makes torchscript.pt: a small scripted module as PyTorch 2.13 saves it, with an extra file, a tied weight, a half tensor,
a tensor that is a view, a list and a dict.  pip install torch==2.13.*; python make_torchscript.py"""
from pathlib import Path
from typing import Dict, List

import torch


class Net(torch.nn.Module):
    scales: Dict[str, List[float]]

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 3)
        self.fc = torch.nn.Linear(8, 4)
        self.tied = torch.nn.Linear(8, 4)
        self.tied.weight = self.fc.weight
        self.scales = {"a": [0.5, 2.0]}
        self.names = ["x", "y"]
        self.register_buffer("halves", torch.ones(3, dtype=torch.float16))
        self.register_buffer("view", torch.arange(12.0).view(3, 4).t()[1:])

    def forward(self, x):
        x = self.conv(x).flatten(1)
        return torch.relu(self.fc(x) + self.tied(x)) * torch.tensor([1.0, 2.0, 3.0, 4.0])


torch.manual_seed(0)
file = Path(__file__).with_name("torchscript.pt")
torch.jit.save(torch.jit.script(Net()), str(file), _extra_files={"labels.txt": b"cat\ndog\n"})
