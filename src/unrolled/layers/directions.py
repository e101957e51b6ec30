"""Every layer and direction of a stack by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from unrolled.layers.bidirectional import Bidirectional
from unrolled.layers.layer import Layer
from unrolled.layers.recurrent import Recurrent


def recurrent_layers(layers: Sequence[Layer]) -> list[Layer]:
    """Those that are recurrent, from below."""
    return [layer for layer in layers if isinstance(layer, Recurrent | Bidirectional)]


def read_ahead(layers: Iterable[nn.Module]) -> bool:
    """Whether any of them sees later steps, so that it needs the whole sequence."""
    return any(isinstance(one, Bidirectional) or (isinstance(one, Recurrent) and one.reverse) for one in layers)


def directions(layers: Sequence[Layer]) -> dict[str, Recurrent]:
    """Every recurrent layer and direction from below: ``1``, ``2``; ``1 forward``, ``1 backward``.

    Recurrent layers alone are counted: one above a norm has the number that it has without the norm.
    """
    named: dict[str, Recurrent] = {}
    for number, layer in enumerate(recurrent_layers(layers), start=1):
        if isinstance(layer, Recurrent):
            named[f"{number}"] = layer
        elif isinstance(layer, Bidirectional):
            named[f"{number} forward"] = layer.forward_layer
            named[f"{number} backward"] = layer.backward_layer
    return named
