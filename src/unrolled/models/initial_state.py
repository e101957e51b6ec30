"""InitialState: the states that a decoder begins with, from one vector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.cells.arguments import kind, whole
from unrolled.layers.bidirectional import Bidirectional
from unrolled.layers.recurrent import Recurrent
from unrolled.layers.stack import Stack
from unrolled.layers.state import map_state


class InitialState(nn.Module):
    """One vector for each sequence, such as the features of an image, mapped to the first states of a stack.

    Equation::

        s_0 = tanh(W_s v + b_s)        for each state s of each recurrent layer

    As the head of a many-to-one or one-to-one `Model`, it makes that model's outputs the states of another one.

    Shapes:
        v (N, input_size); output: the states as ``stack`` takes them, one tuple a layer, each (N, ...). Layers that
        are not recurrent begin with zeros.

    Arguments:
        input_size: the width of v.
        stack: the `Stack` that is to begin with these states. Only the shapes of its states are used.

    Raises:
        ValueError: v has another shape, or ``stack`` is not a `Stack`.

    Source:
        K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
        translation" (2014), appendix A.1.2, for h; K. Xu et al., "Show, attend and tell" (2015), section 3.1.2, for
        h and c, by one layer here.

    >>> stack = unrolled.Stack([unrolled.LSTMCell(4, 3), unrolled.GRUCell(3, 2)])
    >>> (h1, c1), (h2,) = InitialState(7, stack)(torch.zeros(5, 7))
    >>> c1.shape, h2.shape
    (torch.Size([5, 3]), torch.Size([5, 2]))
    """

    def __init__(self, input_size: int, stack: Stack) -> None:
        super().__init__()
        self.input_size = whole("InitialState", "input_size", input_size)
        if not isinstance(stack, Stack):
            raise ValueError(f"InitialState: stack must be an unrolled.Stack, got {kind(stack)}")
        recurrent = [isinstance(layer, Recurrent | Bidirectional) for layer in stack.layers]
        self.shapes = state_shapes(stack)
        self._layers = tuple(zip(self.shapes, recurrent, strict=True))
        self._widths = [shape.numel() for shapes, mapped in self._layers if mapped for shape in _each(shapes)]
        self.map = nn.Linear(self.input_size, sum(self._widths))

    def forward(self, v: Tensor) -> tuple:
        """The states of all layers."""
        if not isinstance(v, Tensor) or v.dim() != 2 or v.shape[1] != self.input_size:
            came = f"shape {tuple(v.shape)}" if isinstance(v, Tensor) else f"type {type(v).__name__}"
            raise ValueError(f"InitialState: v has {came}, expected (N, {self.input_size})")
        parts = iter(torch.tanh(self.map(v)).split(self._widths, dim=1))

        def states(shapes: Any, mapped: bool) -> Any:
            if not isinstance(shapes, torch.Size):
                return tuple(states(each, mapped) for each in shapes)
            return next(parts).reshape(len(v), *shapes) if mapped else v.new_zeros(len(v), *shapes)

        return tuple(states(shapes, mapped) for shapes, mapped in self._layers)


def state_shapes(stack: Stack) -> tuple:
    """The shape of each state without the batch, nested as the states of the stack are."""
    with torch.no_grad():
        state = stack.initial_state(1, next(stack.parameters(), torch.empty(0)))
    shapes: tuple = map_state(lambda s: s.shape[1:], state)  # type: ignore[arg-type, return-value]
    return shapes


def _each(shapes: Any) -> Iterator[torch.Size]:
    if isinstance(shapes, torch.Size):
        yield shapes
    else:
        for each in shapes:
            yield from _each(each)
