"""Averaging of weights: an exponential moving average beside the weights in training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The exponential moving average of a model's parameters.

    Equation::

        a_n = d_n a_{n-1} + (1 - d_n) w_n        d_n = min(decay, (1 + n) / (10 + n))

    so that the first updates, far from where training goes, are forgotten fast.

    Arguments:
        model: its parameters are averaged in place of a copy of the model.
        decay: 0 for none: the average is then the weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._weights: list[Tensor] = list(model.parameters())
        self.values: list[Tensor] = [w.detach().clone() for w in self._weights] if decay else []

    def update(self) -> None:
        """Take in the weights as they are now."""
        self.updates += 1
        if self.decay:
            decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
            with torch.no_grad():
                torch._foreach_lerp_(self.values, self._weights, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the model has the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for weight, value in zip(self._weights, self.values, strict=bool(self.values)):
            weight.data, value.data = value.data, weight.data
