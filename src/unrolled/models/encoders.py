"""Encoders: from what a person has (symbols, measurements) to the vectors x_t of a recurrent layer."""

from __future__ import annotations

import math
from typing import Any

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


class Mixture(nn.Module):
    """A symbol that may stand for several others: the mean of their unit vectors.

    Equation::

        x_t = row k of a fixed table        such as (1/2, 0, 1/2, 0) for R, which is A or G

    Shapes:
        symbols (...) whole numbers below V; output (..., D).

    Arguments:
        rows: the table (V, D).

    >>> Mixture([[1.0, 0.0], [0.5, 0.5]])(torch.tensor([1])).tolist()
    [[0.5, 0.5]]
    """

    rows: Tensor

    def __init__(self, rows: Any) -> None:
        super().__init__()
        self.input_kind = "symbols"
        table = torch.as_tensor(rows, dtype=torch.get_default_dtype())
        if table.dim() != 2 or not table.numel():
            raise ValueError(f"Mixture: rows have shape {tuple(table.shape)}, expected (V, D)")
        self.output_size = table.shape[1]
        self.register_buffer("rows", table, persistent=False)

    def forward(self, symbols: Tensor) -> Tensor:
        return _rows("Mixture", symbols, self.rows)

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.rows.shape))


class Positions(nn.Module):
    """What another encoder says, and where in the sequence it stands.

    A network that pools over time tells one place from another only by what its states remember of the way there.
    Where places have a meaning, as in sequences that are aligned, a few waves say it at once.

    Equation::

        x_t = [encoder(input_t) ; sin(pi j t / T) ; cos(pi j t / T)]        for j = 1 ... waves

    Shapes:
        inputs (T, N, ...) from their first step on; output (T, N, D + 2 waves).

    Arguments:
        encoder: of the inputs.
        steps: T, such as the length of the longest sequence. Later steps have the waves of T.
        waves: how many.

    Source:
        A. Vaswani et al., "Attention is all you need" (2017), section 3.5, with frequencies that fit one sequence.

    >>> Positions(OneHot(3), steps=10, waves=2)(torch.zeros(7, 1, dtype=torch.long)).shape
    torch.Size([7, 1, 7])
    """

    waves: Tensor

    def __init__(self, encoder: Any, steps: int, waves: int) -> None:
        super().__init__()
        self.encoder, self.input_kind = encoder, encoder.input_kind
        steps, waves = whole("Positions", "steps", steps), whole("Positions", "waves", waves)
        self.output_size = encoder.output_size + 2 * waves
        angle = math.pi * torch.arange(steps + 1)[:, None] / steps * torch.arange(1, waves + 1)
        self.register_buffer("waves", torch.cat([angle.sin(), angle.cos()], dim=1), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.encoder(inputs)
        places = torch.arange(len(x), device=x.device).clamp(max=len(self.waves) - 1)
        waves = self.waves[places].to(x.dtype)
        return torch.cat([x, waves[:, None].expand(-1, x.shape[1], -1)], dim=-1)
