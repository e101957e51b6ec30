"""Attention: a cell that looks at a grid, such as the places of an image, at each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.cells.arguments import whole
from unrolled.cells.cell import Cell
from unrolled.cells.wrappers import Wrapper


class Attention(Wrapper):
    """A cell that sees, beside its input, a weighted mean of the places of a grid, weighted by what it looks for.

    Equation::

        e_k = v . tanh(W_g g_k + W_q h_{t-1} + b)        alpha = softmax(e)
        beta = sigmoid(w . h_{t-1} + b_w)                z = beta * sum_k alpha_k g_k
        s_t = step([x_t ; z], s_{t-1})

    where h is the first state of the cell.

    Shapes:
        the constant ``grid`` (N, K, A), behind the constants of ``cell``; x (N, D), where the cell takes D + A;
        states those of the cell; ``gates`` names alpha (N, K), beta (N, 1) and z (N, A).

    Arguments:
        cell: the cell, without another wrapper: wrap the attention instead.
        grid_size: A. width: of the scores' hidden layer; None for that of h.

    Raises:
        ValueError: a cell whose input is not wider than the grid, or a wrapped one.

    Source:
        K. Xu et al., "Show, attend and tell: neural image caption generation with visual attention" (2015), sections
        3.1.2 and 4.2: soft attention, with its gate beta; the scores are those of D. Bahdanau et al. (2015).

    >>> layer = unrolled.Recurrent(Attention(unrolled.LSTMCell(4 + 3, 5), grid_size=3))
    >>> output, (h, c) = layer(torch.zeros(6, 2, 4), constants=(torch.zeros(2, 9, 3),))
    >>> output.shape
    torch.Size([6, 2, 5])
    """

    def __init__(self, cell: Cell, grid_size: int, width: int | None = None) -> None:
        super().__init__(cell)
        if isinstance(cell, Wrapper):
            raise ValueError(f"Attention: cell must not be a {type(cell).__name__}: wrap the attention instead")
        self.grid_size = whole("Attention", "grid_size", grid_size)
        if cell.input_size <= self.grid_size:
            raise ValueError(
                f"Attention: the cell takes inputs of width {cell.input_size}, expected more than the grid's "
                f"{self.grid_size}: the inputs stand beside it"
            )
        width = cell.output_size if width is None else whole("Attention", "width", width)
        self.seen = nn.Linear(self.grid_size, width, bias=False)
        self.query = nn.Linear(cell.output_size, width)
        self.score = nn.Linear(width, 1, bias=False)
        self.gate = nn.Linear(cell.output_size, 1)

    @property
    def input_size(self) -> int:  # type: ignore[override]
        return self.cell.input_size - self.grid_size

    @property
    def given_size(self) -> int:
        return self.cell.given_size - self.grid_size

    @property
    def constants(self) -> tuple[str, ...]:  # type: ignore[override]
        return (*self.cell.constants, "grid")

    @property
    def equation(self) -> Callable[..., Any]:
        return self.step

    def step(self, x: Tensor, *args: Tensor) -> Tensor | tuple[Tensor, ...]:
        h, *inner, grid = args
        e = self.score(torch.tanh(self.seen(grid) + self.query(h)[:, None])).squeeze(2)
        alpha = torch.softmax(e, dim=1)
        beta = torch.sigmoid(self.gate(h))
        z = beta * (alpha[:, :, None] * grid).sum(1)
        return self.cell.step(torch.cat([x, z], dim=1), h, *inner)

    def extra_repr(self) -> str:
        return f"grid_size={self.grid_size}"
