"""Heads: from the hidden state to scores or numbers, with the loss that fits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.arguments import whole


class Softmax(nn.Module):
    """Scores of V symbols or classes; the loss is the cross-entropy of their softmax.

    Equation::

        y_t = W_hy h_t + b        loss = -log softmax(y_t)[target]

    Shapes:
        h (..., H); scores (..., V); targets (...) whole numbers below V, or -100 for one that does not count.

    Units:
        loss in nats.

    >>> head = Softmax(3, 4)
    >>> total, count = head.loss(head(torch.zeros(5, 2, 3)), torch.zeros(5, 2, dtype=torch.long))
    >>> count
    10
    """

    def __init__(self, hidden_size: int, vocabulary_size: int) -> None:
        super().__init__()
        self.input_size = whole("Softmax", "hidden_size", hidden_size)
        self.output_size = whole("Softmax", "vocabulary_size", vocabulary_size)
        self.map = _output_map(self.input_size, self.output_size)

    def forward(self, h: Tensor) -> Tensor:
        return self.map(h)

    def loss(self, scores: Tensor, targets: Tensor, counted: Tensor | None = None) -> tuple[Tensor, int]:
        """The sum of the losses, and how many there are.

        Arguments:
            scores, targets: see the class.
            counted: true where a target counts, bool of the shape of ``targets``. Targets of -100 do not count
                either. What stands where nothing counts reaches neither the sum nor a gradient.

        Raises:
            ValueError: shapes or types that do not fit.
        """
        if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
            raise ValueError(f"Softmax: targets have dtype {targets.dtype}, expected integers")
        if scores.shape != (*targets.shape, self.output_size):
            raise ValueError(
                f"Softmax: targets have shape {tuple(targets.shape)}, expected {tuple(scores.shape[:-1])}: "
                f"one for each of the scores, which have shape {tuple(scores.shape)} with V = {self.output_size}"
            )
        targets = targets.long()
        wanted = targets != _IGNORED
        if counted is not None:
            wanted = wanted & _checked("Softmax", counted, targets.shape)
        count = int(wanted.sum())
        if count < targets.numel():
            scores, targets = scores[wanted], targets[wanted]
        total = F.cross_entropy(scores.reshape(-1, self.output_size), targets.reshape(-1), reduction="sum")
        return total, count


class Regression(nn.Module):
    """Numbers: a linear map; the loss is half the squared error.

    Equation::

        y_t = W_hy h_t + b        loss = |y_t - target|^2 / 2

    Shapes:
        h (..., H); outputs and targets (..., width).

    >>> head = Regression(3, 1)
    >>> head(torch.zeros(5, 2, 3)).shape
    torch.Size([5, 2, 1])
    """

    def __init__(self, hidden_size: int, output_size: int) -> None:
        super().__init__()
        self.input_size = whole("Regression", "hidden_size", hidden_size)
        self.output_size = whole("Regression", "output_size", output_size)
        self.map = _output_map(self.input_size, self.output_size)

    def forward(self, h: Tensor) -> Tensor:
        return self.map(h)

    def loss(self, outputs: Tensor, targets: Tensor, counted: Tensor | None = None) -> tuple[Tensor, int]:
        """The sum of the losses, and how many there are.

        Arguments:
            outputs, targets: see the class.
            counted: true where a target counts, bool of the shape of ``targets`` without the width. What stands
                where nothing counts reaches neither the sum nor a gradient.

        Raises:
            ValueError: shapes or types that do not fit.
        """
        if outputs.shape != targets.shape or outputs.shape[-1:] != (self.output_size,):
            raise ValueError(
                f"Regression: targets have shape {tuple(targets.shape)}, outputs {tuple(outputs.shape)}, expected "
                f"(..., width) for both, with width = {self.output_size}"
            )
        if counted is not None:
            counted = _checked("Regression", counted, targets.shape[:-1])
            outputs, targets = outputs[counted], targets[counted]
        return (outputs - targets).square().sum() / 2, targets.numel() // self.output_size


_IGNORED = -100
"""The target that does not count, as in torch.nn.CrossEntropyLoss."""


def _checked(name: str, counted: Any, shape: torch.Size) -> Tensor:
    """``counted`` as it is, if it is bool and of that shape: whole numbers would pick by place."""
    if not isinstance(counted, Tensor) or counted.dtype != torch.bool or counted.shape != shape:
        came = f"{tuple(counted.shape)} {counted.dtype}" if isinstance(counted, Tensor) else type(counted).__name__
        raise ValueError(f"{name}: counted is {came}, expected a tensor {tuple(shape)} torch.bool")
    return counted


def _output_map(hidden_size: int, output_size: int) -> nn.Linear:
    """A linear map that starts Glorot-uniform with zero bias."""
    layer = nn.Linear(hidden_size, output_size)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
