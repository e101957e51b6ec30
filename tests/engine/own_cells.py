"""Cells as a person would write them, for the engine: other gates, other widths, constants, derived matrices."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import unrolled
from helpers import PeepholeLSTM, TwoWidths, cells
from unrolled.cells.source import load_cell


class CoupledLSTM(unrolled.Cell):
    """The forget gate is what the input gate leaves: f = 1 - i (Greff et al. 2017)."""

    state = ("h", "c")

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("i g o", input_size, hidden_size)
        self.h = unrolled.Gates("i g o", hidden_size, hidden_size, bias=False)

    def step(self, x, h, c):
        i = torch.sigmoid(self.x.i(x) + self.h.i(h))
        f = 1 - i
        g = torch.tanh(self.x.g(x) + self.h.g(h))
        c = f * c + i * g
        o = torch.sigmoid(self.x.o(x) + self.h.o(h))
        return o * torch.tanh(c), c


MinimalGatedUnit = load_cell(f"{Path(__file__).parents[2] / 'examples' / 'minimal_cell.py'}:MinimalCell")
"""The cell of the documentation: one gate (Zhou et al. 2016)."""


class LayerNormLSTM(unrolled.Cell):
    """The sums of the gates and the cell state are normalised (Ba, Kiros & Hinton 2016)."""

    state = ("h", "c")

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = nn.Linear(input_size, 4 * hidden_size)
        self.h = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.gain = nn.Parameter(1 + torch.randn(4 * hidden_size) / 10)
        self.shift = nn.Parameter(torch.randn(4 * hidden_size) / 10)
        self.cell_gain = nn.Parameter(1 + torch.randn(hidden_size) / 10)

    def step(self, x, h, c):
        H = self.hidden_size
        a = F.layer_norm(self.x(x) + self.h(h), (4 * H,), self.gain, self.shift)
        i, f, g, o = a.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(F.layer_norm(c, (H,), self.cell_gain)), c


class Modulated(unrolled.Cell):
    """A constant vector of each sequence opens and closes the gate."""

    constants = ("k",)

    def __init__(self, input_size, hidden_size, constant_size=2):
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("z n", input_size, hidden_size)
        self.h = unrolled.Gates("z n", hidden_size, hidden_size, bias=False)
        self.k = nn.Linear(constant_size, hidden_size)

    def step(self, x, h, k):
        z = torch.sigmoid(self.x.z(x) + self.h.z(h) * self.k(k))
        n = torch.tanh(self.x.n(x) + self.h.n(h))
        return (1 - z) * h + z * n


class Attending(unrolled.Cell):
    """Attention over K vectors that stay the same: more than the compiler takes."""

    constants = ("memory",)

    def __init__(self, input_size, hidden_size, memory_size=2):
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("h", input_size, hidden_size)
        self.query = nn.Linear(hidden_size, memory_size)
        self.read = nn.Linear(memory_size, hidden_size)

    def step(self, x, h, memory):
        weights = torch.softmax((memory * self.query(h)[:, None]).sum(2), 1)
        return torch.tanh(self.x.h(x) + self.read((weights[..., None] * memory).sum(1)))


class Masked(unrolled.Cell):
    """Some of the recurrent connections are missing: W * mask."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("h", input_size, hidden_size)
        self.weight = nn.Parameter(torch.randn(hidden_size, hidden_size) / 2)
        self.register_buffer("mask", (torch.rand(hidden_size, hidden_size) < 0.5).float())

    def step(self, x, h):
        return torch.tanh(self.x.h(x) + F.linear(h, self.weight * self.mask))


class Antisymmetric(unrolled.Cell):
    """W - W^T has imaginary eigenvalues alone (Chang et al. 2019)."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.step_size, self.diffusion = 0.3, 0.1
        self.x = unrolled.Gates("h", input_size, hidden_size)
        self.weight = nn.Parameter(torch.randn(hidden_size, hidden_size) / 2)
        self.register_buffer("identity", torch.eye(hidden_size))

    def step(self, x, h):
        W = self.weight - self.weight.t() - self.diffusion * self.identity
        return h + self.step_size * torch.tanh(F.linear(h, W) + self.x.h(x))


class WithoutMatrix(unrolled.Cell):
    """x and h meet unit by unit: input and hidden size are the same (after Li et al. 2018, IndRNN)."""

    def __init__(self, input_size, hidden_size):
        super().__init__(hidden_size, hidden_size)
        self.u = nn.Parameter(torch.randn(hidden_size) / 2)
        self.b = nn.Parameter(torch.randn(hidden_size))
        self.scale = nn.Parameter(torch.randn(()))

    def step(self, x, h):
        return torch.tanh(x * self.scale + self.u * h + self.b) - 0.1 * x


class Concatenated(unrolled.Cell):
    """One matrix of x and h side by side, cut into gates by chunk."""

    state = ("h", "c")

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.W = nn.Parameter(torch.randn(input_size + hidden_size, 4 * hidden_size) / 2)
        self.b = nn.Parameter(torch.randn(4 * hidden_size))

    def step(self, x, h, c):
        i, f, g, o = (torch.cat([x, h], 1) @ self.W + self.b).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class WithModules(unrolled.Cell):
    """torch.nn's modules inside: two layers between the states, and the slopes of ELU and softplus."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.inner = nn.Sequential(nn.Linear(input_size + hidden_size, 5), nn.ELU(), nn.Linear(5, hidden_size))
        self.rate = nn.Linear(hidden_size, hidden_size)

    def step(self, x, h):
        rate = F.softplus(self.rate(h)) / 4
        return h / (1 + rate.square()) + self.inner(torch.cat([h, x], 1)).clamp(-2, 2)


class SeveralSides(unrolled.Cell):
    """Matrices used turned, turned and as they are, and with columns that do not lie side by side."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.A = nn.Parameter(torch.randn(input_size, hidden_size))
        self.W = nn.Parameter(torch.randn(hidden_size, hidden_size) / 2)
        self.B = nn.Parameter(torch.randn(hidden_size, 2 * hidden_size) / 2)

    def step(self, x, h):
        again = torch.sigmoid(F.linear(h, self.W) + F.linear(h, self.B[:, ::2]))
        return torch.tanh(x @ self.A + h @ self.W) * again


OWN = {
    "peephole": PeepholeLSTM,
    "two-widths": TwoWidths,
    "coupled": CoupledLSTM,
    "minimal": MinimalGatedUnit,
    "layer-norm": LayerNormLSTM,
    "modulated": Modulated,
    "masked": Masked,
    "antisymmetric": Antisymmetric,
    "without-matrix": WithoutMatrix,
    "concatenated": Concatenated,
    "modules": WithModules,
    "several-sides": SeveralSides,
}
BUILT_IN = ("elman", "elman-relu", "lstm", "lstm-no-bias", "lstm1997", "gru", "gru-after", "gru-after-no-bias")
ALL = (*BUILT_IN, *OWN)


def make(name: str, D: int, H: int, seed: int = 0) -> unrolled.Cell:
    """A built-in cell or one of these, in double precision, its biases not zero."""
    torch.manual_seed(seed)
    if name in BUILT_IN:
        return cells(D, H)[name]
    cell = OWN[name](D, H).double()
    for label, p in cell.named_parameters():
        if "bias" in label:
            nn.init.normal_(p)
    return cell
