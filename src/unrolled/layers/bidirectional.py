"""Bidirectional: the past and the future of each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.cells.cell import Cell, check_cell
from unrolled.layers.checks import shown
from unrolled.layers.constants import Constants, check_names, joined, own
from unrolled.layers.layer import Layer
from unrolled.layers.recurrent import Recurrent


class Bidirectional(Layer):
    """Two cells, one running forward in time and one backward, side by side.

    Equation::

        y_t = [forward_t ; backward_t]

    Shapes:
        x (T, N, D); output (T, N, 2*H); state: a pair, the forward layer's tuple and the backward layer's;
        constants: one set for both directions.

    Arguments:
        forward_cell, backward_cell: two cells of the same input width, with weights of their own.
        backend, checkpoint: as in `Recurrent`.

    Source:
        M. Schuster & K. Paliwal, "Bidirectional recurrent neural networks" (1997).

    >>> layer = Bidirectional(unrolled.GRUCell(4, 3), unrolled.GRUCell(4, 3))
    >>> layer(torch.zeros(5, 2, 4))[0].shape
    torch.Size([5, 2, 6])
    """

    def __init__(
        self, forward_cell: Cell, backward_cell: Cell, backend: str = "auto", checkpoint: int | None = None
    ) -> None:
        nn.Module.__init__(self)
        check_cell("Bidirectional", "forward_cell", forward_cell)
        check_cell("Bidirectional", "backward_cell", backward_cell)
        self.forward_layer = Recurrent(forward_cell, backend=backend, checkpoint=checkpoint)
        self.backward_layer = Recurrent(backward_cell, reverse=True, backend=backend, checkpoint=checkpoint)
        if forward_cell is backward_cell:
            raise ValueError("Bidirectional: each direction needs its own cell, got the same cell twice")
        if forward_cell.given_size != backward_cell.given_size:
            raise ValueError(
                f"Bidirectional: the cells take inputs of width {forward_cell.given_size} "
                f"and {backward_cell.given_size}, expected equal widths"
            )

    @property
    def input_size(self) -> int:  # type: ignore[override]
        return self.forward_layer.input_size

    @property
    def output_size(self) -> int:  # type: ignore[override]
        return self.forward_layer.output_size + self.backward_layer.output_size

    @property
    def constants(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names of both cells' constants, each once."""
        return joined((self.forward_layer, self.backward_layer))

    def initial_state(self, batch: int, like: Tensor | None = None) -> tuple:
        """The states of both directions before their first steps."""
        return self.forward_layer.initial_state(batch, like), self.backward_layer.initial_state(batch, like)

    def forward(
        self,
        x: Tensor,
        state: Any = None,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        constants: Constants = (),
    ) -> tuple[Tensor, tuple]:
        """Both directions over ``x``; the arguments are those of `Recurrent`.

        Constants in a tuple go to both cells in this order; from a dictionary, each cell takes those it names.
        """
        first, second = self.per_direction(state)
        for_ahead, for_back = self._constants(constants)
        ahead, first = self.forward_layer(x, first, lengths, resets, for_ahead)
        back, second = self.backward_layer(x, second, lengths, resets, for_back)
        return torch.cat([ahead, back], dim=2), (first, second)

    def gates(self, x: Tensor, state: Any = None, constants: Constants = ()) -> dict[str, Tensor]:
        """The names of both equations at every step, those of the backward cell with ``_back`` behind."""
        first, second = self.per_direction(state)
        for_ahead, for_back = self._constants(constants)
        ahead, back = self.forward_layer.gates(x, first, for_ahead), self.backward_layer.gates(x, second, for_back)
        return ahead | {f"{name}_back": value for name, value in back.items()}

    def _constants(self, constants: Constants) -> tuple[Constants, Constants]:
        """Those of the forward and of the backward layer."""
        if isinstance(constants, Mapping):
            check_names("Bidirectional", constants, self.constants)
        return own(constants, self.forward_layer.constants), own(constants, self.backward_layer.constants)

    def per_direction(self, state: Any) -> Sequence[Any]:
        """The states of each direction, or None for each; ValueError if they are not a pair."""
        if state is None:
            return None, None
        if not isinstance(state, tuple | list) or len(state) != 2 or any(part is None for part in state):
            raise ValueError(
                f"Bidirectional: state must be a pair (forward states, backward states), got "
                f"{shown(state)}. Pass None for a fresh start."
            )
        return state
