"""Every gate and state of a network, at every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.insight.inputs import check_present, layer_inputs, recurrent_part
from unrolled.layers import Bidirectional, Stack

Named = dict[tuple[int, str], np.ndarray]
"""Arrays (T, N, width) by layer, from 0, and by the name that the cell's equation gives them."""


def gates(model: nn.Module, x: Tensor, state: Any = None) -> Named:
    """Every tensor that the equations name, at every step of every layer, in evaluation.

    Works for every cell, including your own. The names are the ones that ``step`` uses.

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
    >>> sorted(name for _, name in named), named[0, "f"].shape
    (['c', 'f', 'g', 'h', 'i', 'o'], (5, 2, 3))
    """
    who = "gates"
    check_present(who, model, x, state)
    stack = recurrent_part(who, model)
    x, state, _ = layer_inputs(who, model, x, state)
    with torch.no_grad():
        if isinstance(stack, Stack):
            read = stack.gates(x, state)
        else:
            read = [stack.gates(x, state)]
    return {
        (layer, name): _real(value.detach().flatten(2)).cpu().numpy()
        for layer, named in enumerate(read)
        for name, value in named.items()
        if value.dim() > 2 and value.shape[1] == x.shape[1] and not value.is_complex()
    }


def state_names(model: nn.Module) -> list[tuple[int, str]]:
    """Layer and name of every state; the others that `gates` reads are gates and candidates.

    >>> state_names(unrolled.Stack([unrolled.LSTMCell(4, 3), unrolled.GRUCell(3, 3)]))
    [(0, 'h'), (0, 'c'), (1, 'h')]
    """
    stack = recurrent_part("state_names", model)
    found = []
    for k, layer in enumerate(stack.layers if isinstance(stack, Stack) else [stack]):
        if isinstance(layer, Bidirectional):
            found += [(k, name) for name in layer.forward_layer.cell.state]
            found += [(k, f"{name}_back") for name in layer.backward_layer.cell.state]
        else:
            found += [(k, name) for name in layer.cell.state]
    return found


def _real(value: Tensor) -> Tensor:
    """Masks and counts as numbers, too."""
    return value if value.is_floating_point() else value.float()
