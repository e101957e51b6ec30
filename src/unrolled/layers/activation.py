"""Activation: a function of each number, between layers that are linear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.cells.arguments import whole
from unrolled.layers.checks import ended
from unrolled.layers.layer import Layer

KINDS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "silu": F.silu, "tanh": torch.tanh}


class Activation(Layer):
    """A function of every number.

    Equation::

        y_t = f(x_t)        relu: max(0, x)    silu: x s(x)    tanh

    with s the logistic sigmoid.

    Shapes:
        x (T, N, D); output (T, N, D), zero from each sequence's end on; no state.

    Arguments:
        size: D.
        kind: the name of f.

    Raises:
        ValueError: an argument does not fit; it is named, with what was expected.

    Source:
        silu: S. Elfwing, E. Uchibe & K. Doya, "Sigmoid-weighted linear units for neural network function
        approximation in reinforcement learning" (2018).

    >>> Activation(2, "relu")(torch.tensor([[[-1.0, 2.0]]]))[0].tolist()
    [[[0.0, 2.0]]]
    """

    streams = True

    def __init__(self, size: int, kind: str = "silu") -> None:
        size = whole("Activation", "size", size)
        if kind not in KINDS:
            raise ValueError(f"Activation: kind must be one of {', '.join(KINDS)}, got {kind!r}")
        super().__init__(size, size)
        self.kind = kind

    def forward(self, x: Tensor, state: Any = None, lengths: Any = None, resets: Any = None) -> tuple[Tensor, tuple]:
        """The function of each number; resets change nothing, since no step sees another."""
        self._check_no_state(state)
        lengths, _ = self._checked(x, lengths, resets)
        return KINDS[self.kind](ended(x, lengths)), ()  # each is 0 at 0

    def extra_repr(self) -> str:
        return f"{self.input_size}, kind={self.kind}"
