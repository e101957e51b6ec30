"""Every gate and state of a network, at every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.insight.inputs import check_present, layer_inputs, per_layer, recurrent_part
from unrolled.layers import Bidirectional, Recurrent
from unrolled.layers.directions import directions
from unrolled.layers.modes import evaluating

Named = dict[str, np.ndarray]
"""Arrays (T, N, width) by layer and name in the cell's equation: ``"1.f"``, ``"2 backward.h"``."""


def gates(model: nn.Module, x: Tensor, state: Any = None) -> Named:
    """Every tensor that the equations name, at every step of every layer, in evaluation.

    Works for every cell, including your own. The names are the ones that ``step`` uses, behind the number of the
    layer in the stack, from 1: ``"1.f"``; and of a bidirectional one its direction: ``"1 forward.f"``,
    ``"1 backward.f"``.

    Shapes:
        x: what the model or layer takes: symbols (T, N) or vectors (T, N, D), or one sequence without its N. Each
        array (T, N, width), with N = 1 in that case. A value that is not one vector per sequence, such as a slice
        of a parameter, is left out. Further dimensions are flattened.

    Arguments:
        model: a `Model`, a `Stack`, `LSTM`, `GRU` or `Elman`, or one `Recurrent` or `Bidirectional` layer.
        state: before the first step, as the layers take it; None for the initial one.

    Raises:
        ValueError: the model has no recurrent layers that can be read, or ``x`` does not fit.

    >>> layer = unrolled.Recurrent(unrolled.LSTMCell(4, 3))
    >>> named = gates(layer, torch.zeros(5, 2, 4))
    >>> sorted(named), named["1.f"].shape
    (['1.c', '1.f', '1.g', '1.h', '1.i', '1.o'], (5, 2, 3))
    """
    who = "gates"
    check_present(who, model, x, state)
    part = recurrent_part(who, model)
    x, state, _ = layer_inputs(who, model, x, state)
    layers, states = per_layer(who, part, state)
    ways = iter(directions(layers).items())
    named: dict[str, Tensor] = {}
    with torch.no_grad(), evaluating(part):
        for k, (layer, first) in enumerate(zip(layers, states, strict=True)):
            if k:
                x, _ = layers[k - 1](x, states[k - 1])
            if not isinstance(layer, Recurrent | Bidirectional):
                continue
            for one in layer.per_direction(first) if isinstance(layer, Bidirectional) else (first,):
                way, direction = next(ways)
                named |= {f"{way}.{name}": value for name, value in direction.gates(x, one).items()}
    return {
        name: _real(value.detach().flatten(2)).cpu().numpy()
        for name, value in named.items()
        if value.dim() > 2 and value.shape[1] == x.shape[1] and not value.is_complex()
    }


def state_names(model: nn.Module) -> list[str]:
    """Every state, as `gates` names it; the others that it reads are gates and candidates.

    >>> state_names(unrolled.Stack([unrolled.LSTMCell(4, 3), unrolled.GRUCell(3, 3)]))
    ['1.h', '1.c', '2.h']
    """
    layers, _ = per_layer("state_names", recurrent_part("state_names", model))
    return [f"{way}.{name}" for way, layer in directions(layers).items() for name in layer.cell.state]


def _real(value: Tensor) -> Tensor:
    """Masks and counts as numbers, too."""
    return value if value.is_floating_point() else value.float()
