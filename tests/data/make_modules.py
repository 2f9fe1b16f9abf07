"""Makes the TorchScript modules of tests/data/modules, with inputs and what PyTorch gives for them.

    pip install torch==2.13.0 numpy safetensors
    python make_modules.py

expected.safetensors holds NAME.in.I and NAME.out.PATH for each module that takes tensors alone.
"""

from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

FOLDER = "modules/"
expected: Dict[str, torch.Tensor] = {}


class Layers(nn.Module):
    """Every kind of layer, as modules and in functional use."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(4, 6, 3)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1, groups=2, padding_mode="reflect")
        self.conv3 = nn.Conv3d(2, 4, 2, dilation=2)
        self.up1 = nn.ConvTranspose1d(4, 6, 3, stride=2)
        self.up2 = nn.ConvTranspose2d(4, 6, 3, groups=2, output_padding=1, stride=2)
        self.up3 = nn.ConvTranspose3d(2, 4, 2, bias=False)
        self.embedding = nn.Embedding(30, 16, padding_idx=0)
        self.first = nn.Linear(16, 24)
        self.inner = nn.Sequential(nn.Linear(24, 24), nn.ReLU(), nn.Sequential(nn.Linear(24, 24, bias=False)))
        self.norm = nn.LayerNorm(24)
        self.batch_norm = nn.BatchNorm2d(6)
        self.functional = nn.Parameter(torch.randn(20, 24) / 5)
        self.matrix = nn.Parameter(torch.randn(20, 12) / 4)
        self.register_buffer("basis", torch.randn(6, 1, 5))
        self.factor = 1.5

    def forward(self, ids, series, image, volume):
        hidden = self.first(self.embedding(ids))
        hidden = self.norm(self.inner(hidden) + hidden) * self.factor
        products = F.linear(hidden, self.functional) @ self.matrix
        images = [self.batch_norm(self.conv2(image)), self.up2(image)]
        volumes = (self.conv3(volume), self.up3(volume))
        return {"hidden": hidden, "products": products}, (self.conv1(series), self.up1(series)), images, volumes, F.conv1d(series[:, :1], self.basis)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 6, 2, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(12, 5)
        self.cell = nn.LSTMCell(5, 4)
        self.gru_cell = nn.GRUCell(4, 3)

    def forward(self, x):
        h, (hn, cn) = self.lstm(x)
        g, _ = self.gru(h)
        state = self.cell(g[0])
        return g, hn, cn, self.gru_cell(state[0])


class Tied(nn.Module):
    """An embedding tied to the output, and one layer at two places; two layers of one type, to be treated apart."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(40, 32)
        self.a = nn.Linear(32, 32)
        self.b = nn.Linear(32, 32)
        self.again = self.a
        self.head = nn.Linear(32, 40, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids):
        return self.head(torch.relu(self.again(torch.relu(self.b(self.a(self.embedding(ids)))))))


class Pair(NamedTuple):
    left: torch.Tensor
    count: int


class Methods(nn.Module):
    """Methods besides forward, arguments of all kinds, attributes, and errors."""

    names: List[str]
    table: Dict[str, int]

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.names = ["plain", "double"]
        self.table = {"plain": 1, "double": 2}

    def forward(self, x: torch.Tensor, times: int = 1, name: str = "plain", add: float = 0.0, flip: bool = False):
        y = self.layer(x) * times * self.table[name] + add
        return -y if flip else y

    @torch.jit.export
    def nested(self, pair: Tuple[torch.Tensor, torch.Tensor], more: List[torch.Tensor], named: Dict[str, torch.Tensor], maybe: Optional[torch.Tensor] = None):
        total = pair[0] - pair[1]
        for one in more:
            total = total + one
        if maybe is not None:
            total = total + maybe
        return Pair(total, len(more)), {"named": named["a"] + named["b"], "text": named["a"] * 0}, [1, 2], 2.5, "text", True, maybe

    @torch.jit.export
    def bad_reshape(self, x: torch.Tensor):
        return self.layer(x).reshape([3, -1, 1000])

    @torch.jit.export
    def refuses(self, x: torch.Tensor):
        if x.numel() > 0:
            raise ValueError("this method takes nothing")
        return x

    @torch.jit.export
    def writes(self, x: torch.Tensor):
        return x.add_(1.0)


class Stateful(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("state", torch.zeros(4))

    def forward(self, x):
        self.state = self.state + self.layer(x).sum(0)
        return self.state

    @torch.jit.export
    def reset(self):
        self.state = torch.zeros(4)


class Writers(nn.Module):
    """Writes to weights, to its state and to an input, each time by another way around."""

    def __init__(self):
        super().__init__()
        for name in ("plain", "by_tuple", "by_dict", "by_list", "by_if", "by_loop", "by_hook"):
            setattr(self, name, nn.Linear(4, 4, bias=False))
        self.register_buffer("state", torch.zeros(4))

    def forward(self, x, y):
        (self.by_tuple.weight.detach(), x)[0].mul_(0.5)
        {"w": self.by_dict.weight.detach()}["w"].mul_(0.5)
        for weight in [self.by_list.weight.detach()]:
            weight.mul_(0.5)
        view = self.by_if.weight.detach()
        if x.dim() > 1:
            view = view.view(-1)
        view.mul_(0.5)
        turned = self.by_loop.weight.detach()
        for _ in range(3):
            turned = turned.t()
        turned.mul_(0.5)
        chosen = y if y.dim() == 1 else self.state
        chosen.add_(1.0)
        return self.plain(x) + self.by_tuple(x) + self.by_dict(x) + self.by_list(x) + self.by_if(x) + self.by_loop(x) + self.by_hook(x) + y + self.state


def halve(self, inputs: Tuple[torch.Tensor, torch.Tensor]) -> None:
    self.by_hook.weight.detach().mul_(0.5)


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 32)
        self.layer = nn.Linear(32, 32)

    def forward(self, ids):
        return self.layer(self.embedding(ids))


def flatten(value, path):
    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten(inner, f"{path}.{key}")
    else:
        for index, inner in enumerate(value):
            yield from flatten(inner, f"{path}.{index}")


def keep(name, module, inputs, extra_files=None):
    torch.jit.save(module, f"{FOLDER}{name}.pt", _extra_files=extra_files or {})
    with torch.no_grad():
        output = torch.jit.load(f"{FOLDER}{name}.pt")(*inputs)
    for index, tensor in enumerate(inputs):
        expected[f"{name}.in.{index}"] = tensor.clone().contiguous()
    for path, tensor in flatten(output, "" if not isinstance(output, torch.Tensor) else ".0"):
        expected[f"{name}.out{path}"] = tensor.float().clone().contiguous()


def main():
    torch.manual_seed(7)
    torch.set_num_threads(1)
    layers = Layers().eval()
    inputs = (torch.randint(0, 30, (2, 5)), torch.randn(2, 4, 9), torch.randn(1, 4, 7, 7), torch.randn(1, 2, 5, 5, 5))
    keep("scripted", torch.jit.script(layers), inputs, {"notes.txt": "kept"})
    keep("traced", torch.jit.trace(layers, inputs, strict=False), inputs)
    keep("recurrent", torch.jit.script(Recurrent().eval()), (torch.randn(2, 3, 8),))
    ids = torch.randint(0, 40, (2, 6))
    tied = Tied().eval()
    keep("tied", torch.jit.script(tied), (ids,))
    keep("tied_traced", torch.jit.trace(tied, ids), (ids,))
    keep("frozen", torch.jit.freeze(torch.jit.script(tied)), (ids,))
    keep("root_linear", torch.jit.script(nn.Linear(40, 6)), (torch.randn(3, 40),))
    keep("methods", torch.jit.script(Methods()), (torch.randn(2, 8),))
    stateful = torch.jit.script(Stateful().eval())
    torch.jit.save(stateful, FOLDER + "stateful.pt")
    for name, dtype in (("half", torch.half), ("bfloat16", torch.bfloat16), ("double", torch.double)):
        keep(name, torch.jit.script(Plain().to(dtype).eval()), (torch.arange(10),))
    writers = Writers().eval()
    writers.register_forward_pre_hook(halve)
    torch.jit.save(torch.jit.script(writers), FOLDER + "writers.pt")
    save_file(expected, FOLDER + "expected.safetensors")
    torch.save(tied.state_dict(), FOLDER + "state_dict.pt")


main()
