"""Every layer and direction of a stack by name."""

from __future__ import annotations

from collections.abc import Sequence

from unrolled.layers.bidirectional import Bidirectional
from unrolled.layers.recurrent import Recurrent


def directions(layers: Sequence[Recurrent | Bidirectional]) -> dict[str, Recurrent]:
    """Every layer and direction from below: ``1``, ``2``; ``1 forward``, ``1 backward``."""
    named: dict[str, Recurrent] = {}
    for number, layer in enumerate(layers, start=1):
        if isinstance(layer, Recurrent):
            named[f"{number}"] = layer
        else:
            named[f"{number} forward"] = layer.forward_layer
            named[f"{number} backward"] = layer.backward_layer
    return named
