"""Layers that compute the same thing, each on the same numbers, and the comparison of their values and gradients."""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import torch
from own_cells import OWN_CELLS
from torch import Tensor, nn

import unrolled

BUILT_IN = {"lstm": unrolled.LSTM, "elman": unrolled.Elman, "gru": unrolled.GRU}
CELLS = (*BUILT_IN, *OWN_CELLS)
GATES = {"elman": 1, "gru": 3}
SAME_AS_TORCH = ("lstm", "elman")
"""torch.nn.GRU resets after the recurrent matrix, ours before it: two functions, of the same cost."""
TORCH_NAMES = {"weight_ih_l0": "x.weight", "weight_hh_l0": "h.weight", "bias_ih_l0": "x.bias"}
REDUCED = (7, 5)
"""T and N of the check in double precision, at the full widths."""


class Shape(NamedTuple):
    T: int
    N: int
    D: int
    H: int

    def __str__(self) -> str:
        return ",".join(map(str, self))

    @property
    def size(self) -> str:
        """Small: one step of all sequences is too little work to hide the cost of starting it."""
        return "small" if self.N * self.H < 2048 else "large"

    def operations(self, cell: str) -> float:
        """Of a train step, in the products alone: forward, and backward to inputs and to weights."""
        return 3 * 2 * GATES.get(cell, 4) * self.H * (self.D + self.H) * self.T * self.N

    def tolerance(self) -> float:
        """Of float32, relative to the largest element: errors of 2^-24 that add up like a random walk, over the
        terms of a product and the steps, or over the sequences and the steps; 8 of them for the chain of gates."""
        return 8 * 2**-24 * math.sqrt(self.T * max(self.N, self.D + self.H))


class Side:
    """A torch layer on one input, with the gradient that comes from above."""

    def __init__(self, layer: nn.Module, x: Tensor, upstream: Tensor, lengths: Tensor | None = None) -> None:
        dtype = next(layer.parameters()).dtype
        self.layer = layer
        self.x = x.detach().to(dtype, copy=True).requires_grad_()
        self.upstream = upstream.to(dtype)
        self.options = {} if lengths is None else {"lengths": lengths}

    def forward(self) -> Tensor:
        with torch.no_grad():
            return self.layer(self.x, **self.options)[0]

    def train(self) -> Tensor:
        self.x.grad = None
        for p in self.layer.parameters():
            p.grad = None
        y = self.layer(self.x, **self.options)[0]
        (y * self.upstream).sum().backward()
        return y

    def results(self) -> dict[str, Tensor]:
        """The output and every gradient, by name."""
        named = {"y": self.train().detach(), "y without gradients": self.forward()}
        learned = {"dx": self.x, **{f"d{name}": p for name, p in weights(self.layer).items()}}
        return named | {name: p.grad for name, p in learned.items() if p.grad is not None}


def weights(layer: nn.Module) -> dict[str, nn.Parameter]:
    """The weights by the names that they have in the cell; of torch.nn's two biases the first."""
    if isinstance(layer, nn.RNNBase):
        return {name: getattr(layer, theirs) for theirs, name in TORCH_NAMES.items()}
    return {name.rpartition("cell.")[2]: p for name, p in layer.named_parameters()}


def build(cell: str, D: int, H: int) -> nn.Module:
    """Our layer as a user makes it."""
    layer = BUILT_IN[cell](D, H) if cell in BUILT_IN else unrolled.Recurrent(OWN_CELLS[cell](D, H))
    with torch.no_grad():
        for p in layer.parameters():
            if p.dim() == 1:
                p.add_(torch.randn_like(p) / 10)  # zero biases would hide a wrong one
    return layer


def eager(layer: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The same weights in the plain loop over the cell's equation."""
    twin = copy.deepcopy(layer).to(dtype)
    for part in twin.modules():
        if isinstance(part, unrolled.Recurrent):
            part.backend = "eager"
    return twin


def torch_module(cell: str, layer: nn.Module) -> nn.RNNBase:
    """torch.nn's layer: with our weights where it is the same function."""
    if cell in SAME_AS_TORCH:
        return unrolled.to_torch(layer)
    return nn.GRU(layer.input_size, layer.hidden_size)


def numbers(shape: Shape) -> tuple[Tensor, Tensor]:
    """The input, and the gradient of the output."""
    return torch.randn(shape.T, shape.N, shape.D), torch.randn(shape.T, shape.N, shape.H)


def random_lengths(shape: Shape) -> Tensor:
    """From 1 to T, the longest T."""
    lengths = torch.randint(1, shape.T + 1, (shape.N,))
    lengths[int(torch.randint(shape.N, ()))] = shape.T
    return lengths


def error(got: Tensor, want: Tensor) -> float:
    """Relative to the largest element."""
    return float((got.to(want.dtype) - want).abs().max() / want.abs().max())


def difference(got: dict[str, Tensor], want: dict[str, Tensor], tolerance: float) -> str | None:
    """What differs, and by how much; None if nothing does."""
    if set(got) != set(want):
        return f"has {', '.join(sorted(got))}; expected {', '.join(sorted(want))}"
    for name, b in want.items():
        off = error(got[name], b) if got[name].shape == b.shape else math.inf
        if not off <= tolerance:  # nan is neither
            return f"{name} differs by {off:.1e} of its largest element, allowed {tolerance:.1e}"
    return None


def further_from_double(got: dict[str, Tensor], other: dict[str, Tensor], truth: dict[str, Tensor]) -> str | None:
    """Where ``got`` is more than 4 times as far from double precision as ``other`` is; None if nowhere.

    For equations that make errors grow from step to step, as a layer norm of small numbers does: there two
    right results in single precision differ by more than a random walk of roundings.
    """
    for name, want in truth.items():
        mine, theirs = error(got[name], want), error(other[name], want)
        if not mine <= 4 * theirs:
            return f"{name} is off by {mine:.1e} of its largest element, the loop over the cell by {theirs:.1e}"
    return None


def check_reduced(cell: str, layer: nn.Module, shape: Shape, with_lengths: bool = False) -> str | None:
    """Our layer in single precision against its equation in double precision, for few steps and sequences."""
    small = Shape(*REDUCED, shape.D, shape.H)
    given = (*numbers(small), random_lengths(small) if with_lengths else None)
    want = Side(eager(layer, torch.float64), *given).results()
    return difference(Side(layer, *given).results(), want, small.tolerance())
