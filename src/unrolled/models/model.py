"""Model: encoder, stack and head, joined by one of the lecture's computational graphs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.arguments import kind, share, whole
from unrolled.layers.bidirectional import Bidirectional
from unrolled.layers.checks import check_lengths, inside
from unrolled.layers.constants import Constants
from unrolled.layers.recurrent import Recurrent
from unrolled.layers.stack import Stack

GRAPHS = ("many-to-many", "many-to-one", "one-to-many", "one-to-one")


class Model(nn.Module):
    """A recurrent network from inputs to outputs.

    Equation::

        x_t = encoder(input_t)    h_t = stack(x_t, h_{t-1})    y_t = head(h_t)

    The graph says which steps have an input and which an output:

    ==============  =====================  ==================================================
    graph           inputs                 outputs
    ==============  =====================  ==================================================
    many-to-many    one a step (T, N)      one a step (T, N, V), aligned
    many-to-one     one a step (T, N)      one at each sequence's end, or of all steps
                                           through ``pool`` (N, V)
    one-to-many     one, first step (N,)   one a step (T, N, V); later inputs are the previous
                                           outputs through ``feedback``, or zero without it
    one-to-one      one (N,)               one (N, V)
    ==============  =====================  ==================================================

    Inputs of an encoder that takes vectors have their width behind these shapes.

    Arguments:
        encoder: `OneHot`, `Embedding`, `Linear`, or any module with ``output_size``.
        stack: the recurrent layers, a `Stack`. Where it changes the number of steps, outputs are (T', N, V), and
            ``stack.output_lengths(lengths)`` of them count.
        head: a `Head`, such as `Softmax` or `Regression`, or any module with ``input_size``; `InitialState`, to begin
            another model with; or None, for h itself.
        graph: see the table.
        feedback: in one-to-many, the encoder of previous outputs.
        dropout: on what the head sees, in training.
        pool: in many-to-one, what makes one h of those of all steps, such as `MeanPool`; the width of that
            is its ``output_size``, if it has one. None: the state of the last layer at each sequence's own end, of a
            bidirectional one in each of its directions.

    Raises:
        ValueError: widths that do not fit, or an argument that the graph does not have.

    >>> stack = Stack([unrolled.LSTMCell(4, 8)])
    >>> model = Model(unrolled.OneHot(4), stack, unrolled.Softmax(8, 4))
    >>> scores, state = model(torch.tensor([[0], [1], [2]]))
    >>> scores.shape
    torch.Size([3, 1, 4])
    """

    def __init__(
        self,
        encoder: Any,
        stack: Stack,
        head: Any,
        graph: str = "many-to-many",
        feedback: Any = None,
        dropout: float = 0.0,
        pool: Any = None,
    ) -> None:
        super().__init__()
        if graph not in GRAPHS:
            raise ValueError(f"Model: graph must be one of {', '.join(GRAPHS)}, got {graph!r}")
        if feedback is not None and graph != "one-to-many":
            raise ValueError(f"Model: feedback needs the one-to-many graph, got {graph}")
        _check_parts(encoder, stack, head, feedback)
        _check_pool(pool, stack, graph)
        for name, part in (("encoder", encoder), ("feedback", feedback)):
            if part is not None and part.output_size != stack.input_size:
                raise ValueError(
                    f"Model: the {name} has outputs of width {part.output_size}, but "
                    f"the stack takes inputs of width {stack.input_size}"
                )
        made, width = ("stack", stack.output_size) if pool is None else ("pool", _pooled_size(pool, stack))
        if head is not None and head.input_size != width:
            raise ValueError(
                f"Model: the head takes inputs of width {head.input_size}, but "
                f"the {made} has outputs of width {width}"
            )
        self.encoder, self.stack, self.head, self.feedback = encoder, stack, head, feedback
        self.pool = pool
        self.graph = graph
        self.dropout = share("Model", "dropout", dropout)

    def forward(
        self,
        inputs: Tensor,
        state: Any = None,
        lengths: Any = None,
        resets: Any = None,
        previous: Tensor | None = None,
        steps: int | None = None,
        constants: Constants = (),
    ) -> tuple[Any, Any]:
        """The outputs, as the graph has them, and the states after the last step.

        Arguments:
            inputs: see the table above.
            state, resets, constants: as in `Stack`; ``state`` may be the outputs of an `InitialState`, or the last
                states of another model.
            lengths: those of the inputs, (N,). What stands in inputs and ``previous`` from a sequence's end on may be
                anything, such as NaN or -1: the encoder sees the sequence's first input in its place, and no
                gradient comes from there.
            previous: one-to-many with feedback: the outputs that precede steps 1, 2, ... (T-1, N), known
                in training (teacher forcing). To generate them, see `sample` and `beam_search`.
            steps: one-to-many without feedback: T.
        """
        x, lengths = self._inputs(inputs, previous, steps, lengths)
        h, state = self.unroll(x, state, lengths, resets, constants)
        if self.graph == "many-to-one":
            return self.read(self._pooled(h, state, lengths)), state
        return self.read(h[0] if self.graph == "one-to-one" else h), state

    def unroll(
        self,
        x: Tensor,
        state: Any = None,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        constants: Constants = (),
    ) -> tuple[Tensor, Any]:
        """The hidden layers alone: encoded inputs (T, N, D) to h (T, N, H) of the last layer, and states."""
        return self.stack(x, state, lengths, resets, constants)

    def read(self, h: Tensor) -> Any:
        """The head alone, behind its dropout."""
        h = F.dropout(h, self.dropout, self.training)
        return h if self.head is None else self.head(h)

    def begin(self, inputs: Tensor, state: Any = None, constants: Constants = ()) -> tuple[Tensor, Any]:
        """Read what precedes generation: the outputs (N, V) at its last step, and the states.

        ``inputs`` are (T, N) where the graph has one a step, and (N,) where it has one.

        Raises:
            ValueError: the model cannot go on step by step: a layer, such as a bidirectional one, needs the whole
                sequence, or outputs are not fed back.
        """
        self._check_generates()
        x = self.encoder(inputs)
        h, state = self.unroll(x if self._input_a_step else x.unsqueeze(0), state, constants=constants)
        return self.read(h[-1]), state

    def step(self, symbols: Tensor, state: Any, constants: Constants = ()) -> tuple[Tensor, Any]:
        """One more step: symbols (N,) and states to outputs (N, V) and states."""
        self._check_generates()
        encoder = self.encoder if self.feedback is None else self.feedback
        h, state = self.unroll(encoder(symbols).unsqueeze(0), state, constants=constants)
        return self.read(h[0]), state

    def initial_state(self, batch: int) -> Any:
        """The states before the first step."""
        return self.stack.initial_state(batch, next(self.parameters()))

    def _check_generates(self) -> None:
        for k, layer in enumerate(self.stack.layers):
            if not layer.streams:
                kind_of = "Recurrent with reverse=True" if isinstance(layer, Recurrent) else type(layer).__name__
                raise ValueError(
                    f"Model: layer {k} is {kind_of}, which needs the whole sequence and cannot run step by step"
                )
        if self.graph != "many-to-many" and self.feedback is None:
            raise ValueError(f"Model: {self.graph} without feedback has no next input")

    @property
    def _input_a_step(self) -> bool:
        return self.graph.startswith("many")

    def _inputs(
        self, inputs: Tensor, previous: Tensor | None, steps: int | None, lengths: Any
    ) -> tuple[Tensor, Tensor | None]:
        """What the stack reads, (T, N, D), and the lengths, checked."""
        T = self._steps(inputs, previous, steps)
        inputs = inputs if self._input_a_step else inputs.unsqueeze(0)
        lengths = check_lengths("Model", lengths, T, inputs.shape[1], inputs.device)
        x = self.encoder(_without_padding(inputs, lengths))
        if len(x) == T:
            return x, lengths
        if previous is None:
            return torch.cat([x, x.new_zeros(T - 1, *x.shape[1:])]), lengths
        after = None if lengths is None else (lengths - 1).clamp(min=0)
        return torch.cat([x, self.feedback(_without_padding(previous, after))]), lengths

    def _steps(self, inputs: Tensor, previous: Tensor | None, steps: int | None) -> int:
        """T; ValueError where the arguments are not those of the graph."""
        if self.graph != "one-to-many" and (previous is not None or steps is not None):
            raise ValueError(f"Model: previous and steps need the one-to-many graph, got {self.graph}")
        least = (1 + self._input_a_step) + (getattr(self.encoder, "input_kind", "") == "numbers")
        if not isinstance(inputs, Tensor) or inputs.dim() < least:
            came = f"shape {tuple(inputs.shape)}" if isinstance(inputs, Tensor) else f"type {type(inputs).__name__}"
            expected = "(T, N, ...)" if self._input_a_step else "(N, ...)"
            raise ValueError(f"Model: inputs have {came}, expected {expected} for {self.graph}")
        if self._input_a_step:
            return inputs.shape[0]
        if self.graph == "one-to-one":
            return 1
        if self.feedback is not None:
            if previous is None or steps is not None:
                raise ValueError(
                    "Model: one-to-many with feedback takes previous=, the known outputs (T-1, N); "
                    "to generate them use unrolled.sample or unrolled.beam_search"
                )
            if previous.dim() < 2 or previous.shape[1] != inputs.shape[0]:
                raise ValueError(
                    f"Model: previous has shape {tuple(previous.shape)}, expected (T-1, N) with N = {inputs.shape[0]}"
                )
            return 1 + len(previous)
        if steps is None or previous is not None:
            raise ValueError("Model: one-to-many without feedback takes steps=, an integer of at least 1")
        return whole("Model", "steps", steps)

    def _pooled(self, h: Tensor, state: Any, lengths: Tensor | None) -> Tensor:
        """One h (N, H) for each sequence: the pool's, or of the last layer at the sequence's own end.

        In reverse, that is its beginning.
        """
        if self.pool is not None:
            return self.pool(h, None if lengths is None else self.stack.output_lengths(lengths))
        last = state[-1]
        if isinstance(self.stack.layers[-1], Bidirectional):
            return torch.cat([last[0][0], last[1][0]], dim=1)
        return last[0]

    def extra_repr(self) -> str:
        return f"graph={self.graph!r}" + (f", dropout={self.dropout}" if self.dropout else "")


def _check_parts(encoder: Any, stack: Any, head: Any, feedback: Any) -> None:
    """ValueError for what cannot be a part of a model: a layer in place of the stack, a class."""
    if not isinstance(stack, Stack):
        raise ValueError(f"Model: stack must be an unrolled.Stack of layers or cells, got {kind(stack)}")
    for name, part, size in (
        ("encoder", encoder, "output_size"),
        ("feedback", feedback, "output_size"),
        ("head", head, "input_size"),
    ):
        optional = part is None and name != "encoder"
        if not optional and (not isinstance(part, nn.Module) or not hasattr(part, size)):
            raise ValueError(f"Model: the {name} must be a module with an {size}, got {kind(part)}")


def _check_pool(pool: Any, stack: Stack, graph: str) -> None:
    """ValueError for a pool that does not fit, or where one is missing."""
    if pool is None:
        last = stack.layers[-1]
        if graph == "many-to-one" and not isinstance(last, Recurrent | Bidirectional):
            raise ValueError(
                f"Model: many-to-one reads the state of the last layer, but {type(last).__name__} has none to read; "
                "pass pool=, such as LastPool()"
            )
        return
    if graph != "many-to-one":
        raise ValueError(f"Model: pool needs the many-to-one graph, got {graph}")
    if not isinstance(pool, nn.Module):
        raise ValueError(f"Model: pool must be a module such as MeanPool, got {kind(pool)}")
    size = getattr(pool, "input_size", None)
    if size is not None and size != stack.output_size:
        raise ValueError(
            f"Model: the pool takes inputs of width {size}, but the stack has outputs of width {stack.output_size}"
        )


def _pooled_size(pool: Any, stack: Stack) -> int:
    size: int = getattr(pool, "output_size", stack.output_size)
    return size


def _without_padding(inputs: Tensor, lengths: Tensor | None) -> Tensor:
    """The same inputs (T, N, ...) with each sequence's first one in its padding.

    An encoder may turn any other value, 0 included, into an infinity, whose gradient is NaN. A sequence of
    length 0 has no first input, and gets that of the longest; where all have length 0, zeros stand.
    """
    if lengths is None or not inputs.numel():
        return inputs
    T, N = inputs.shape[:2]
    rows = torch.where(lengths > 0, torch.arange(N, device=lengths.device), lengths.argmax())
    behind = (1,) * (inputs.dim() - 2)
    first = torch.where((lengths > 0).any(), inputs[0][rows], torch.zeros_like(inputs[0]))
    return torch.where(inside(T, lengths).view(T, N, *behind), inputs, first)
