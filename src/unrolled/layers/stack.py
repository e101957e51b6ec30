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
from unrolled.layers.constants import Constants, joined, per_layer
from unrolled.layers.layer import Layer
from unrolled.layers.modes import evaluating
from unrolled.layers.recurrent import Recurrent


class Stack(nn.Module):
    """Layers, the outputs of each being the inputs of the next.

    Equation::

        y^0 = x        y^l = layer_l(dropout(y^{l-1}))        with the lengths that layer l-1 leaves

    Shapes:
        x (T, N, D); output (T', N, width of the last layer), where T' is T unless a layer changes the number of
        steps; state: one tuple a layer, empty for a layer without a state.

    Arguments:
        layers: `Recurrent` and `Bidirectional` layers, or cells, which are made `Recurrent`; and between them any
            `layers.Layer`, such as `layers.LayerNorm`, `layers.Convolution` or `layers.TimeReduction`.
        dropout: share of the inputs of each recurrent layer but the lowest layer set to zero in training.

    Raises:
        ValueError: the widths of neighbouring layers do not fit.

    >>> stack = Stack([unrolled.LSTMCell(4, 3), unrolled.GRUCell(3, 3)], dropout=0.2)
    >>> output, ((h1, c1), (h2,)) = stack(torch.zeros(5, 2, 4))
    >>> output.shape
    torch.Size([5, 2, 3])
    """

    def __init__(self, layers: Sequence[Layer | Cell], dropout: float = 0.0) -> None:
        super().__init__()
        if not isinstance(layers, Sequence | nn.ModuleList) or isinstance(layers, str):
            raise ValueError(f"Stack: layers must be a list of layers or cells, got {kind(layers)}")
        if not layers:
            raise ValueError("Stack: layers is empty, expected at least one layer")
        dropout = share("Stack", "dropout", dropout)
        for k, layer in enumerate(layers):
            if not isinstance(layer, Layer | Cell):
                raise ValueError(
                    f"Stack: layer {k} must be a cell, a Recurrent, a Bidirectional or another layers.Layer, "
                    f"got {kind(layer)}"
                )
        parts = [Recurrent(layer) if isinstance(layer, Cell) else layer for layer in layers]
        for k, (lower, upper) in enumerate(zip(parts, parts[1:], strict=False)):
            if lower.output_size != upper.input_size:
                raise ValueError(
                    f"Stack: layer {k} has outputs of width {lower.output_size}, but "
                    f"layer {k + 1} takes inputs of width {upper.input_size}"
                )
        self.layers: Any = nn.ModuleList(parts)
        self.dropout = dropout

    @property
    def input_size(self) -> int:
        return self.layers[0].input_size

    @property
    def output_size(self) -> int:
        return self.layers[-1].output_size

    @property
    def constants(self) -> tuple[str, ...]:
        """The names of all layers' constants, each once."""
        return joined(self.layers)

    def initial_state(self, batch: int, like: Tensor | None = None) -> tuple:
        """The states of all layers before the first step."""
        return tuple(layer.initial_state(batch, like) for layer in self.layers)

    def output_lengths(self, lengths: Any) -> Any:
        """How many steps come out of so many: a whole number, or (N,) of them as `Recurrent` takes lengths.

        >>> Stack([unrolled.GRUCell(4, 3), unrolled.layers.TimeReduction(3, 2)]).output_lengths([5, 2, 0])
        tensor([3, 1, 0])
        """
        for layer in self.layers:
            lengths = layer.output_lengths(lengths)
        return lengths

    def forward(
        self,
        x: Tensor,
        state: Any = None,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        constants: Constants = (),
    ) -> tuple[Tensor, tuple]:
        """All layers over ``x``.

        Arguments:
            x, lengths, resets: as in `Recurrent`. The lengths of the outputs are `output_lengths`.
            state: one entry a layer; None for a fresh start.
            constants: a dictionary by name, from which each layer takes what its cell names; or one entry per
                layer, each as the layer takes it.
        """
        last = []
        for k, (layer, layer_state, own) in enumerate(self._each(state, constants)):
            x = self._dropped(k, x)
            x, layer_state = layer(x, layer_state, lengths, resets, *own)
            lengths = lengths if lengths is None or layer.keeps_steps else layer.output_lengths(lengths)
            last.append(layer_state)
        return x, tuple(last)

    def step(self, x: Tensor, state: Any = None, constants: Constants = ()) -> tuple[Tensor, tuple]:
        """One step through all layers, as `Recurrent.step`: x (N, D), ``state`` one entry a layer."""
        last = []
        for k, (layer, layer_state, own) in enumerate(self._each(state, constants)):
            if not layer.streams:
                raise ValueError(f"Stack: layer {k} is {type(layer).__name__}, which needs the whole sequence")
            x, layer_state = layer.step(self._dropped(k, x), layer_state, *own)
            last.append(layer_state)
        return x, tuple(last)

    @torch.no_grad()
    def gates(self, x: Tensor, state: Any = None, constants: Constants = ()) -> list[dict[str, Tensor]]:
        """What the equation of each layer names, at every step, in evaluation: one dictionary a layer.

        It is empty for a layer without a cell.
        """
        named = []
        with evaluating(self):
            for layer, layer_state, own in self._each(state, constants):
                named.append(
                    layer.gates(x, layer_state, *own) if isinstance(layer, Recurrent | Bidirectional) else {}
                )
                x, _ = layer(x, layer_state, None, None, *own)
        return named

    def _dropped(self, k: int, x: Tensor) -> Tensor:
        """The inputs of layer ``k`` behind the dropout, if it is a recurrent one above others."""
        recurrent = isinstance(self.layers[k], Recurrent | Bidirectional)
        return F.dropout(x, self.dropout, self.training) if k and recurrent else x

    def _each(self, state: Any, constants: Constants) -> list[tuple[Layer, Any, tuple]]:
        """Each layer with its state, and with its constants as a last argument if it has any."""
        entries = per_layer("Stack", constants, self.layers)
        own = [(entry,) if layer.constants else () for layer, entry in zip(self.layers, entries, strict=True)]
        return list(zip(self.layers, self._per_layer(state), own, strict=True))

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
