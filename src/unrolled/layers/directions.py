"""Every layer and direction of a stack by name."""

from __future__ import annotations

from collections.abc import Sequence

from unrolled.layers.bidirectional import Bidirectional
from unrolled.layers.layer import Layer
from unrolled.layers.recurrent import Recurrent


def directions(layers: Sequence[Layer]) -> dict[str, Recurrent]:
    """Every recurrent layer and direction from below: ``1``, ``2``; ``1 forward``, ``1 backward``.

    The numbers are those in the stack: above a norm, which is the second layer, comes ``3``.
    """
    named: dict[str, Recurrent] = {}
    for number, layer in enumerate(layers, start=1):
        if isinstance(layer, Recurrent):
            named[f"{number}"] = layer
        elif isinstance(layer, Bidirectional):
            named[f"{number} forward"] = layer.forward_layer
            named[f"{number} backward"] = layer.backward_layer
    return named
