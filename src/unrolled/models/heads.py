"""Heads: from the hidden state to scores or numbers, with the loss that fits."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Softmax(nn.Module):
    """Scores of V symbols or classes; the loss is the cross-entropy of their softmax.

    Equation::

        y_t = W_hy h_t + b        loss = -log softmax(y_t)[target]

    Shapes:
        h (..., H); scores (..., V); targets (...) whole numbers below V.

    Units:
        loss in nats.

    >>> head = Softmax(3, 4)
    >>> total, count = head.loss(head(torch.zeros(5, 2, 3)), torch.zeros(5, 2, dtype=torch.long))
    >>> count
    10
    """

    def __init__(self, hidden_size: int, vocabulary_size: int) -> None:
        super().__init__()
        self.input_size = hidden_size
        self.output_size = vocabulary_size
        self.map = _output_map(hidden_size, vocabulary_size)

    def forward(self, h: Tensor) -> Tensor:
        return self.map(h)

    def loss(self, scores: Tensor, targets: Tensor, counted: Tensor | None = None) -> tuple[Tensor, int]:
        """The sum of the losses, and how many there are; ``counted`` (bool) picks those that count."""
        if counted is not None:
            scores, targets = scores[counted], targets[counted]
        total = F.cross_entropy(scores.reshape(-1, self.output_size), targets.reshape(-1), reduction="sum")
        return total, targets.numel()


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
        self.input_size = hidden_size
        self.output_size = output_size
        self.map = _output_map(hidden_size, output_size)

    def forward(self, h: Tensor) -> Tensor:
        return self.map(h)

    def loss(self, outputs: Tensor, targets: Tensor, counted: Tensor | None = None) -> tuple[Tensor, int]:
        """The sum of the losses, and how many there are; ``counted`` (bool) picks those that count."""
        if outputs.shape != targets.shape:
            raise ValueError(f"Regression: targets have shape {tuple(targets.shape)}, outputs {tuple(outputs.shape)}")
        if counted is not None:
            outputs, targets = outputs[counted], targets[counted]
        return (outputs - targets).square().sum() / 2, targets.numel() // self.output_size


def _output_map(hidden_size: int, output_size: int) -> nn.Linear:
    """A linear map that starts Glorot-uniform with zero bias."""
    layer = nn.Linear(hidden_size, output_size)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
