"""Layer: what a stack is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from unrolled.layers.checks import (
    as_lengths,
    check_input,
    check_lengths,
    check_resets,
    check_step,
    check_weight,
    shown,
)


class Layer(nn.Module):
    """A part of a `Stack`: sequences in, sequences out, with a state if it is to go on later.

    Equation::

        y, s = layer(x, s_0)        of lengths'(n) = output_lengths(lengths(n)) steps

    `Recurrent` and `Bidirectional` layers are its main kind. `LayerNorm`, `Convolution` and `TimeReduction` fit
    between them. For another one, derive a class, pass its widths to ``super().__init__`` and define `forward`; as
    long as it has no state, the same number of steps as its input, and no stream, nothing else is needed.

    Each promises that what stands in x from a sequence's end on reaches neither its outputs within the lengths nor a
    gradient, and that outputs from its end on are zero.

    Shapes:
        x (T, N, input_size); lengths (N,); output (T', N, output_size); state: a tuple of tensors (N, ...), empty
        where there is none.

    Arguments:
        input_size, output_size: the widths of x and y.

    >>> class Scale(Layer):
    ...     def forward(self, x, state=None, lengths=None, resets=None):
    ...         return 2 * x, ()
    >>> stack = unrolled.Stack([unrolled.GRUCell(4, 3), Scale(3, 3)])
    >>> output, ((h,), empty) = stack(torch.zeros(5, 2, 4))
    >>> empty
    ()
    """

    input_size: int
    output_size: int
    constants: tuple[str, ...] = ()
    """The names of the inputs that stay the same for a whole sequence."""
    streams: bool = False
    """Whether `step` can take the inputs one at a time."""

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, output_size

    @property
    def keeps_steps(self) -> bool:
        """Whether there is one output for each step of the input."""
        return type(self).output_lengths is Layer.output_lengths

    @property
    def _name(self) -> str:
        """What errors call it."""
        return type(self).__name__

    def initial_state(self, batch: int, like: Tensor | None = None) -> tuple:
        """The state before the first step."""
        return ()

    def output_lengths(self, lengths: Any) -> Any:
        """How many steps come out of so many: a whole number, or (N,) of them as `Recurrent` takes lengths."""
        many = isinstance(lengths, Tensor | np.ndarray | list | tuple)
        return as_lengths(self._name, lengths) if many else lengths

    def forward(self, x: Tensor, state: Any = None, lengths: Any = None, resets: Any = None) -> tuple[Tensor, tuple]:
        """The outputs, and the state after the last step. A layer with ``constants`` takes them last."""
        raise NotImplementedError(f"{self._name} has no forward(self, x, state, lengths, resets)")

    def _checked(self, x: Tensor, lengths: Any, resets: Any) -> tuple[Tensor | None, Tensor | None]:
        """The lengths and resets, once all of a call but its state has been checked."""
        check_input(self._name, x, self.input_size)
        check_weight(self._name, next(self.parameters(), None), x)
        lengths = check_lengths(self._name, lengths, x.shape[0], x.shape[1], x.device)
        resets = check_resets(self._name, resets, x)
        if resets is not None and not self.keeps_steps:
            raise ValueError(
                f"{self._name}: resets must be None, since no output step belongs to a single step of x, "
                f"got {shown(resets)}"
            )
        return lengths, resets

    def _check_no_state(self, state: Any) -> None:
        """ValueError unless the state is empty."""
        if state is not None and not (isinstance(state, tuple | list) and not state):
            raise ValueError(f"{self._name}: state must be (), since the layer has none, got {shown(state)}")

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, tuple]:
        """One step, for inputs that come one at a time: x (N, D) to y (N, output_size), and the state.

        Raises:
            ValueError: the layer needs the whole sequence.
        """
        if not self.streams:
            raise ValueError(f"{self._name}: needs the whole sequence and cannot run step by step")
        check_step(self._name, x, self.input_size)
        output, state = self(x.unsqueeze(0), state)
        return output[0], state
