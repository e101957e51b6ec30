"""Whether a model can be sampled in one loop of the engine, and that loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from unrolled.engine.stream import Choice, Stream
from unrolled.errors import RunError
from unrolled.layers import paths
from unrolled.layers.recurrent import Recurrent
from unrolled.models.heads import Softmax
from unrolled.models.model import Model

_LONGEST = 64  # symbols made before any of them is handed on


def stream(model: Model, state: Any, choice: Choice) -> Stream | None:
    """The engine's loop for a model in evaluation mode, from ``state`` on; None where it has none."""
    encoder = model.encoder if model.feedback is None else model.feedback
    layers = list(model.stack.layers)
    if type(model.head) is not Softmax or getattr(encoder, "input_kind", "") != "symbols":
        return None
    if not all(_streams(layer, model.head.map.weight) for layer in layers) or _hooked(model):
        return None
    symbols = torch.arange(model.head.output_size)
    inputs = encoder(symbols)
    head = model.head.map
    if inputs.shape != (len(symbols), model.stack.input_size) or inputs.dtype != head.weight.dtype:
        return None
    return Stream([layer.cell for layer in layers], inputs, list(state), head.weight, head.bias, choice)


def symbols(source: Stream, last: int, count: int) -> Iterator[int]:
    """The next ``count`` symbols after ``last``; the first at once, later ones a few at a time."""
    ready = 1
    while count > 0:
        try:
            some = source.take(last, min(ready, count))
        except ValueError as error:
            raise RunError(str(error)) from error
        yield from some
        count -= len(some)
        last, ready = some[-1], min(2 * ready, _LONGEST)


def _streams(layer: Any, weight: Tensor) -> bool:
    """Whether the engine can run one layer step by step, with nothing drawn or given beside its input."""
    if type(layer) is not Recurrent or layer.reverse or layer.backend not in ("auto", "engine"):
        return False
    cell = layer.cell
    return not cell.constants and not cell.prepares and paths.runs_in_engine(cell, weight)


def _hooked(model: Model) -> bool:
    return any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
