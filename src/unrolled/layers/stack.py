"""Stack: hidden layers above one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.arguments import kind, share
from unrolled.cells.cell import Cell
from unrolled.layers.bidirectional import Bidirectional
from unrolled.layers.checks import shown
from unrolled.layers.modes import evaluating
from unrolled.layers.recurrent import Recurrent


class Stack(nn.Module):
    """Recurrent layers, the outputs of each being the inputs of the next.

    Equation::

        y^0 = x        y^l_t = layer_l(dropout(y^{l-1}))_t

    Shapes:
        x (T, N, D); output (T, N, width of the last layer); state: one tuple a layer.

    Arguments:
        layers: `Recurrent` and `Bidirectional` layers, or cells, which are made `Recurrent`.
        dropout: share of the values between layers set to zero in training.

    Raises:
        ValueError: the widths of neighbouring layers do not fit.

    >>> stack = Stack([unrolled.LSTMCell(4, 3), unrolled.GRUCell(3, 3)], dropout=0.2)
    >>> output, ((h1, c1), (h2,)) = stack(torch.zeros(5, 2, 4))
    >>> output.shape
    torch.Size([5, 2, 3])
    """

    def __init__(self, layers: Sequence[Recurrent | Bidirectional | Cell], dropout: float = 0.0) -> None:
        super().__init__()
        if not isinstance(layers, Sequence | nn.ModuleList) or isinstance(layers, str):
            raise ValueError(f"Stack: layers must be a list of layers or cells, got {kind(layers)}")
        if not layers:
            raise ValueError("Stack: layers is empty, expected at least one layer")
        dropout = share("Stack", "dropout", dropout)
        for k, layer in enumerate(layers):
            if not isinstance(layer, Recurrent | Bidirectional | Cell):
                raise ValueError(
                    f"Stack: layer {k} must be a cell, a Recurrent or a Bidirectional, got {kind(layer)}"
                )
        recurrent = [Recurrent(layer) if isinstance(layer, Cell) else layer for layer in layers]
        for k, (lower, upper) in enumerate(zip(recurrent, recurrent[1:], strict=False)):
            if lower.output_size != upper.input_size:
                raise ValueError(
                    f"Stack: layer {k} has outputs of width {lower.output_size}, but "
                    f"layer {k + 1} takes inputs of width {upper.input_size}"
                )
        self.layers: Any = nn.ModuleList(recurrent)
        self.dropout = dropout

    @property
    def input_size(self) -> int:
        return self.layers[0].input_size

    @property
    def output_size(self) -> int:
        return self.layers[-1].output_size

    def initial_state(self, batch: int, like: Tensor | None = None) -> tuple:
        """The states of all layers before the first step."""
        return tuple(layer.initial_state(batch, like) for layer in self.layers)

    def forward(
        self,
        x: Tensor,
        state: Any = None,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, tuple]:
        """All layers over ``x``; the arguments are those of `Recurrent`, ``state`` one entry a layer."""
        state = self._per_layer(state)
        last = []
        for k, (layer, layer_state) in enumerate(zip(self.layers, state, strict=True)):
            if k:
                x = F.dropout(x, self.dropout, self.training)
            x, layer_state = layer(x, layer_state, lengths, resets)
            last.append(layer_state)
        return x, tuple(last)

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, tuple]:
        """One step through all layers, as `Recurrent.step`: x (N, D), ``state`` one entry a layer."""
        last = []
        for k, (layer, layer_state) in enumerate(zip(self.layers, self._per_layer(state), strict=True)):
            if not isinstance(layer, Recurrent):
                raise ValueError(f"Stack: layer {k} is {type(layer).__name__}, which needs the whole sequence")
            if k:
                x = F.dropout(x, self.dropout, self.training)
            x, layer_state = layer.step(x, layer_state)
            last.append(layer_state)
        return x, tuple(last)

    @torch.no_grad()
    def gates(self, x: Tensor, state: Any = None) -> list[dict[str, Tensor]]:
        """What the equation of each layer names, at every step, in evaluation: one dictionary a layer."""
        named = []
        with evaluating(self):
            for layer, layer_state in zip(self.layers, self._per_layer(state), strict=True):
                named.append(layer.gates(x, layer_state))
                x, _ = layer(x, layer_state)
        return named

    def _per_layer(self, state: Any) -> Sequence[Any]:
        if state is None:
            return [None] * len(self.layers)
        if not isinstance(state, tuple | list) or len(state) != len(self.layers) or any(s is None for s in state):
            raise ValueError(
                f"Stack: state must be a tuple with one entry per layer ({len(self.layers)}), got {shown(state)}. "
                "Pass None for a fresh start."
            )
        return state

    def extra_repr(self) -> str:
        return f"dropout={self.dropout}" if self.dropout else ""
