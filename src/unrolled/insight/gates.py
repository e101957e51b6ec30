"""Every gate and state of a network, at every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.layers import Bidirectional, Recurrent, Stack
from unrolled.models import Model

Named = dict[tuple[int, str], np.ndarray]
"""Arrays (T, N, width) by layer, from 0, and by the name that the cell's equation gives them."""


def gates(model: nn.Module, x: Tensor, state: Any = None) -> Named:
    """Every tensor that the equations name, at every step of every layer, in evaluation.

    Works for every cell, one of your own included: the names are those of its ``step``.

    Shapes:
        x: what the model or layer takes: symbols (T, N) or vectors (T, N, D); each array (T, N, width). What is
        not one vector a sequence, such as a slice of a parameter, is left out; further dimensions become one.

    Arguments:
        model: a `Model`, a `Stack`, `LSTM`, `GRU` or `Elman`, or one `Recurrent` or `Bidirectional` layer.
        state: before the first step, as the layers take it; None for the initial one.

    Raises:
        ValueError: the model has no recurrent layers that can be read.

    >>> layer = unrolled.Recurrent(unrolled.LSTMCell(4, 3))
    >>> named = gates(layer, torch.zeros(5, 2, 4))
    >>> sorted(name for _, name in named), named[0, "f"].shape
    (['c', 'f', 'g', 'h', 'i', 'o'], (5, 2, 3))
    """
    stack, x = recurrent_part(model, x)
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
    stack, _ = recurrent_part(model, None)
    found = []
    for k, layer in enumerate(stack.layers if isinstance(stack, Stack) else [stack]):
        if isinstance(layer, Bidirectional):
            found += [(k, name) for name in layer.forward_layer.cell.state]
            found += [(k, f"{name}_back") for name in layer.backward_layer.cell.state]
        else:
            found += [(k, name) for name in layer.cell.state]
    return found


def recurrent_part(model: nn.Module, x: Any) -> tuple[Stack | Recurrent | Bidirectional, Any]:
    """The recurrent layers of a model, and what they are given for the inputs ``x`` of the model."""
    if isinstance(model, Model):
        if x is not None:
            with torch.no_grad():
                x = model.encoder(x)
            if model.graph.startswith("one"):
                x = x.unsqueeze(0)
        return model.stack, x
    if isinstance(model, Stack | Recurrent | Bidirectional):
        return model, x
    inner = getattr(model, "stack", None)
    if isinstance(inner, Stack):
        if isinstance(x, Tensor) and x.dim() == 2:
            x = x.unsqueeze(1)
        elif isinstance(x, Tensor) and getattr(model, "batch_first", False):
            x = x.transpose(0, 1)
        return inner, x
    raise ValueError(
        f"gates: {type(model).__name__} is neither a Model nor a Stack, Recurrent or Bidirectional layer; "
        "give its recurrent layers"
    )


def _real(value: Tensor) -> Tensor:
    """Masks and counts as numbers, too."""
    return value if value.is_floating_point() else value.float()
