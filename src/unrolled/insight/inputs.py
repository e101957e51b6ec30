"""What an analysis is given: a model whose weights are there, and inputs as its layers take them."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.layers import Bidirectional, Layer, Recurrent, Stack
from unrolled.layers.state import map_state, tensors
from unrolled.models.model import Model

Part = Stack | Recurrent | Bidirectional


def check_present(who: str, model: nn.Module, x: Any, state: Any = None) -> None:
    """``x`` is a tensor, and it, the states and the weights hold numbers.

    Raises:
        ValueError: one of them is on the meta device, which has shapes alone.
    """
    if not isinstance(x, Tensor):
        raise ValueError(f"{who}: x must be a tensor, got {type(x).__name__}")
    if x.is_meta or any(s.is_meta for s in tensors(state)):
        name = "x" if x.is_meta else "state"
        raise ValueError(f"{who}: {name} is on the meta device, which holds no numbers; pass a tensor with values")
    check_weights(who, model)


def check_weights(who: str, model: nn.Module) -> None:
    """All weights hold numbers."""
    for name, p in chain(model.named_parameters(), model.named_buffers()):
        if p.is_meta:
            raise ValueError(
                f"{who}: {name} is on the meta device, which holds no numbers; "
                "create the model on a real device, or load its weights first"
            )


def recurrent_part(who: str, model: nn.Module) -> Part:
    """The recurrent layers of a model.

    Raises:
        ValueError: it has none that can be found.
    """
    if isinstance(model, Stack | Recurrent | Bidirectional):
        return model
    inner = getattr(model, "stack", None)
    if isinstance(inner, Stack):
        return inner
    raise ValueError(
        f"{who}: {type(model).__name__} is neither a Model, a Stack, an LSTM, GRU or Elman, nor a Recurrent or "
        "Bidirectional layer; pass its recurrent layers"
    )


def per_layer(who: str, part: Part, state: Any = None) -> tuple[list[Layer], list[Any]]:
    """The layers of a part, and the state that each is given.

    Raises:
        ValueError: there are more or fewer states than layers.
    """
    if not isinstance(part, Stack):
        return [part], [state]
    layers = list(part.layers)
    if state is None:
        return layers, [None] * len(layers)
    if not isinstance(state, tuple | list) or len(state) != len(layers):
        came = f"{len(state)} entries" if isinstance(state, tuple | list) else f"the type {type(state).__name__}"
        raise ValueError(f"{who}: state has {came}, expected one entry per layer: {len(layers)}")
    return layers, list(state)


def layer_inputs(who: str, model: nn.Module, x: Tensor, state: Any = None) -> tuple[Tensor, Any, bool]:
    """What the recurrent layers are given when the model is given ``x``: as (T, N, D), with the state.

    Both are brought to the device and the precision of the weights. One sequence may come without its N, as
    torch.nn takes it, and its states without theirs; the last entry says whether it did.

    Raises:
        ValueError: the encoder cannot read ``x``, or the layers what comes of it.
    """
    came = f"x has shape {tuple(x.shape)} and {x.dtype}"
    part = recurrent_part(who, model)
    weight = next(model.parameters(), None)
    if weight is not None:
        x = x.detach().to(weight.device, weight.dtype if x.is_floating_point() else None)
        state = map_state(lambda s: s.detach().to(weight), state)
    if isinstance(model, Model):
        try:
            with torch.no_grad():
                x = model.encoder(x)
        except (IndexError, RuntimeError, ValueError) as error:
            why = str(error).partition("\n")[0]
            raise ValueError(f"{who}: {came}, which the model's encoder cannot read: {why}") from error
        if model.graph.startswith("one"):
            x = x.unsqueeze(0)
        came += f", {tuple(x.shape)} after the encoder"
    alone = x.dim() == 2
    if alone:
        x = x.unsqueeze(1)
        state = map_state(lambda s: s.unsqueeze(0) if s.dim() == 1 else s, state)
    elif x.dim() == 3 and getattr(model, "batch_first", False):
        x = x.transpose(0, 1)
    D = (part.layers[0] if isinstance(part, Stack) else part).input_size
    if x.dim() != 3 or not x.shape[0] or not x.shape[1] or x.shape[2] != D or not x.is_floating_point():
        raise ValueError(
            f"{who}: {came}; expected floats (T, N, D), or (T, D) for one sequence, with T and N at least 1, D = {D}"
        )
    return x, state, alone
