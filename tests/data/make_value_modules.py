"""Makes the TorchScript modules whose inputs and outputs are nested, shared, random or kept.

    pip install torch==2.13.0 numpy
    python make_value_modules.py
"""

import zipfile
from typing import Dict, List, Tuple, Union

import torch
import torch.nn.functional as F
from torch import nn

FOLDER = "modules/"


class Values(nn.Module):
    """Results that the module, its code or its caller holds too, and arguments in each other."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.held: Tuple[torch.Tensor, torch.Tensor] = (torch.ones(2), torch.zeros(2))
        self.tensors: List[torch.Tensor] = [torch.ones(3)]
        self.sizes = (7, 8, (9, 10))

    def forward(self, x: torch.Tensor):
        return self.layer(x), (1, "two", 3.5), [1, 2], self.held, self.tensors, self.sizes

    @torch.jit.export
    def twice(self, x: torch.Tensor):
        pair = (x + 1, x + 2)
        return pair, pair, [pair, pair]

    @torch.jit.export
    def dicts(self, lists: Dict[str, List[torch.Tensor]], pairs: Dict[str, Tuple[torch.Tensor, int]], dicts: Dict[str, Dict[str, torch.Tensor]]):
        return lists, pairs, dicts

    @torch.jit.export
    def count(self, some: List[torch.Tensor], named: Dict[str, torch.Tensor]):
        return len(some), len(named)

    @torch.jit.export
    def either(self, x: Union[torch.Tensor, List[torch.Tensor]]):
        if isinstance(x, torch.Tensor):
            return x
        return torch.cat(x)


class Counter(nn.Module):
    """A state of a tensor and a number, and an input that is kept."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("steps", torch.zeros(1))
        self.calls: int = 0
        self.last = torch.zeros(1, 4)

    def forward(self, x: torch.Tensor):
        before = self.last
        self.steps += 1
        self.calls += 1
        self.last = x
        return self.layer(x), self.steps, self.calls, before


class Hooked(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor):
        return self.layer(x)

    @torch.jit.export
    def bare(self, x: torch.Tensor):
        return self.layer(x)


def add_one(self, inputs: Tuple[torch.Tensor]) -> Tuple[torch.Tensor]:
    return (inputs[0] + 1,)


def times_two(self, inputs: Tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
    return output * 2


class Random(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 64)

    def forward(self, x: torch.Tensor):
        return F.dropout(self.layer(x), 0.5, training=True)


class Labels(nn.Module):
    """Outputs of every kind but floats."""

    def __init__(self, shift: int):
        super().__init__()
        self.shift: int = shift
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor):
        return x.argmax(1) + self.shift, self.shift, "text" if self.shift == 0 else "other", self.shift == 0

    @torch.jit.export
    def unused(self, x: torch.Tensor):
        return self.layer(x)


class Transposed(nn.Module):
    def __init__(self, transposes: bool):
        super().__init__()
        self.transposes: bool = transposes
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor):
        y = torch.relu(self.layer(x)) * 0
        return y.t() if self.transposes else y

    @torch.jit.export
    def same(self, x: torch.Tensor):
        return x, x[1:]


def save(name, module):
    torch.jit.save(torch.jit.script(module.eval()), f"{FOLDER}{name}.pt")


def replace_in_code(name, source, old, new):
    """The archive of `source` with other words in its code."""
    with zipfile.ZipFile(f"{FOLDER}{source}.pt") as archive, zipfile.ZipFile(f"{FOLDER}{name}.pt", "w") as changed:
        for record in archive.infolist():
            data = archive.read(record)
            changed.writestr(record, data.replace(old, new) if record.filename.endswith(".py") else data)


def main():
    torch.manual_seed(11)
    save("values", Values())
    save("counter", Counter())
    hooked = Hooked()
    hooked.register_forward_pre_hook(add_one)
    hooked.register_forward_hook(times_two)
    save("hooked", hooked)
    save("random", Random())
    save("labels", Labels(0))
    save("labels_shifted", Labels(3))
    save("wide", Transposed(False))
    save("tall", Transposed(True))
    replace_in_code("foreign_operator", "wide", b"torch.relu(", b"ops.torchvision.nms(")


main()
