"""What an analysis runs on: the recurrent layers of any model, in double precision, one direction after another."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.insight.inputs import check_present, layer_inputs, per_layer, recurrent_part
from unrolled.layers import Layer
from unrolled.layers.directions import directions
from unrolled.layers.state import map_state
from unrolled.models.model import Model


@dataclass(frozen=True)
class Opened:
    """A copy in float64 on the CPU, in evaluation, without gradients of its own.

    Fields:
        layers: from below.
        x: what the first layer is given (T, N, D).
        states: before the first step, one entry a layer; None for the initial ones.
        model: the `Model` around them, if there is one.
        alone: whether there is one sequence, which came without its N.
    """

    layers: list[Layer]
    x: Tensor
    states: Sequence[Any]
    model: Model | None
    alone: bool


def opened(who: str, model: nn.Module, x: Tensor, state: Any = None) -> Opened:
    """The recurrent layers of a copy of ``model``, and what they are given for its inputs ``x``.

    Shapes:
        x: symbols (T, N) or vectors (T, N, D) for a `Model`; (T, N, D) for layers, or as they take it; one
        sequence also without its N.

    Raises:
        ValueError: there are no recurrent layers to be found, no numbers in them, or no steps; ``who`` is named.
    """
    check_present(who, model, x, state)
    if isinstance(model, Model) and model.graph.startswith("one"):
        raise ValueError(
            f"{who}: a {model.graph} model has a single input; pass its .stack and the inputs of the stack (T, N, D)"
        )
    twin = copy.deepcopy(model).cpu().double().eval().requires_grad_(False)
    part = recurrent_part(who, twin)
    x, state, alone = layer_inputs(who, twin, x.cpu(), state)
    x, state = x.double(), map_state(lambda s: s.double(), state)
    layers, states = per_layer(who, part, state)
    for k, each in enumerate(layers, start=1):
        if not each.keeps_steps:
            raise ValueError(
                f"{who}: layer {k}, {type(each).__name__}, changes the number of steps, so that those of different "
                "layers cannot be compared; pass the layers below or above it, with their inputs"
            )
    if not directions(layers):
        raise ValueError(f"{who}: {type(model).__name__} has no recurrent layer")
    for layer in directions(layers).values():
        layer.checkpoint = None
        layer.backend = "auto" if layer.backend == "torch" else layer.backend
        if layer.cell.constants and len(layer.cell.all_constants((), x)) != len(layer.cell.constants):
            wanted = ", ".join(layer.cell.constants)
            raise ValueError(f"{who}: {type(layer.cell).__name__} needs {wanted}, which only its model can supply")
    return Opened(layers, x, states, twin if isinstance(twin, Model) else None, alone)


def inputs_of(parts: Opened, k: int) -> Tensor:
    """What layer ``k`` is given (T, N, D): the outputs of those below."""
    x = parts.x
    with torch.no_grad():
        for j, layer in enumerate(parts.layers[:k]):
            x, _ = layer(x, parts.states[j])
    return x


def plain(value: Any) -> Any:
    """Arrays as lists, and numbers that JSON does not know (infinite, not a number) as None."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and not (abs(value) < float("inf")):
        return None
    return value
