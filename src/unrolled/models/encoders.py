"""Encoders: from what a person has (symbols, measurements) to the vectors x_t of a recurrent layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.arguments import whole


class OneHot(nn.Module):
    """Symbol k as the k-th unit vector: the lecture's input layer.

    Equation::

        x_t = e_k        so that W_xh x_t is column k of W_xh

    Shapes:
        symbols (...) whole numbers below V; output (..., V).

    >>> OneHot(4)(torch.tensor([2])).tolist()
    [[0.0, 0.0, 1.0, 0.0]]
    """

    unit: Tensor

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.input_kind = "symbols"
        self.output_size = whole("OneHot", "vocabulary_size", vocabulary_size)
        self.register_buffer("unit", torch.eye(self.output_size), persistent=False)

    def forward(self, symbols: Tensor) -> Tensor:
        return _rows("OneHot", symbols, self.unit)

    def extra_repr(self) -> str:
        return str(self.output_size)


class Embedding(nn.Module):
    """A learned vector for each symbol.

    Vectors start normal with variance 1, so that a layer's input weights, which expect inputs of that size,
    have an effect from the first step; one-hot vectors are shorter, and learn more slowly at the start.

    Equation::

        x_t = E[:, k]        for symbol k

    Shapes:
        symbols (...) whole numbers below V; output (..., D).

    >>> Embedding(1000, 16)(torch.tensor([2, 7])).shape
    torch.Size([2, 16])
    """

    def __init__(self, vocabulary_size: int, output_size: int) -> None:
        super().__init__()
        self.input_kind = "symbols"
        self.output_size = whole("Embedding", "output_size", output_size)
        self.weight = nn.Parameter(
            torch.randn(whole("Embedding", "vocabulary_size", vocabulary_size), self.output_size)
        )

    def forward(self, symbols: Tensor) -> Tensor:
        return _rows("Embedding", symbols, self.weight)

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.weight.shape))


class Linear(nn.Module):
    """Measurements through one linear map.

    Equation::

        x_t = W v_t + b

    Shapes:
        v (..., width); output (..., D).

    >>> Linear(3, 8)(torch.zeros(5, 2, 3)).shape
    torch.Size([5, 2, 8])
    """

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.input_kind = "numbers"
        self.output_size = whole("Linear", "output_size", output_size)
        self.map = nn.Linear(whole("Linear", "input_size", input_size), self.output_size)

    def forward(self, v: Tensor) -> Tensor:
        if v.dtype != self.map.weight.dtype and not torch.is_autocast_enabled(v.device.type):
            raise ValueError(f"Linear: inputs have dtype {v.dtype}, but the weights have {self.map.weight.dtype}")
        return self.map(v)


class Vectors(nn.Module):
    """Measurements as they are: x_t = v_t.

    Shapes:
        v (..., width); output (..., width).

    >>> Vectors(2)(torch.tensor([[0.5, -1.0]])).tolist()
    [[0.5, -1.0]]
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input_kind = "numbers"
        self.output_size = whole("Vectors", "width", width)

    def forward(self, v: Tensor) -> Tensor:
        return v


class Keys(nn.Module):
    """Keys that are down (1) or up (0), of any real type or bool: x_t = v_t.

    Shapes:
        v (..., width); output (..., width), in the model's type.

    >>> Keys(3)(torch.tensor([[True, False, True]])).tolist()
    [[1.0, 0.0, 1.0]]
    """

    one: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input_kind = "numbers"
        self.output_size = whole("Keys", "width", width)
        self.register_buffer("one", torch.ones(()), persistent=False)

    def forward(self, v: Tensor) -> Tensor:
        return v.to(self.one.dtype)


def _rows(name: str, symbols: Tensor, table: Tensor) -> Tensor:
    """The row of each symbol."""
    if symbols.is_floating_point() or symbols.is_complex() or symbols.dtype == torch.bool:
        raise ValueError(f"{name}: symbols have dtype {symbols.dtype}, expected integers")
    try:
        return F.embedding(symbols.long(), table)
    except IndexError as error:
        raise ValueError(
            f"{name}: symbols range from {int(symbols.min())} to {int(symbols.max())}, expected 0 to {len(table) - 1}"
        ) from error
