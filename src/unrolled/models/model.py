"""Model: encoder, stack and head, joined by one of the lecture's computational graphs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.layers.bidirectional import Bidirectional
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
    many-to-one     one a step (T, N)      one at each sequence's end (N, V)
    one-to-many     one, first step (N,)   one a step (T, N, V); later inputs are the previous
                                           outputs through ``feedback``, or zero without it
    one-to-one      one (N,)               one (N, V)
    ==============  =====================  ==================================================

    Inputs of an encoder that takes vectors have their width behind these shapes.

    Arguments:
        encoder: `OneHot`, `Embedding`, `Linear`, or any module with ``output_size``.
        stack: the recurrent layers.
        head: `Softmax`, `Regression`, or any module with ``input_size``.
        graph: see the table.
        feedback: in one-to-many, the encoder of previous outputs.
        dropout: on what the head sees, in training.

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
    ) -> None:
        super().__init__()
        if graph not in GRAPHS:
            raise ValueError(f"Model: graph must be one of {', '.join(GRAPHS)}, got {graph!r}")
        if feedback is not None and graph != "one-to-many":
            raise ValueError(f"Model: feedback belongs to one-to-many, the graph is {graph}")
        for name, part in (("encoder", encoder), ("feedback", feedback)):
            if part is not None and part.output_size != stack.input_size:
                raise ValueError(
                    f"Model: the {name} has outputs of width {part.output_size}, "
                    f"the stack takes inputs of width {stack.input_size}"
                )
        if head.input_size != stack.output_size:
            raise ValueError(
                f"Model: the head takes inputs of width {head.input_size}, "
                f"the stack has outputs of width {stack.output_size}"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"Model: dropout must lie in [0, 1), got {dropout}")
        self.encoder, self.stack, self.head, self.feedback = encoder, stack, head, feedback
        self.graph = graph
        self.dropout = dropout

    def forward(
        self,
        inputs: Tensor,
        state: Any = None,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        previous: Tensor | None = None,
        steps: int | None = None,
    ) -> tuple[Tensor, Any]:
        """The outputs, as the graph has them, and the states after the last step.

        Arguments:
            inputs: see the table above.
            state, lengths, resets: as in `Stack`.
            previous: one-to-many with feedback: the outputs that precede steps 1, 2, ... (T-1, N), known
                in training (teacher forcing). To generate them, see `sample` and `beam_search`.
            steps: one-to-many without feedback: T.
        """
        x = self._inputs(inputs, previous, steps)
        h, state = self.unroll(x, state, lengths, resets)
        if self.graph == "many-to-one":
            return self.read(self._at_the_end(state)), state
        y = self.read(h)
        return (y[0] if self.graph == "one-to-one" else y), state

    def unroll(
        self, x: Tensor, state: Any = None, lengths: Tensor | None = None, resets: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """The hidden layers alone: encoded inputs (T, N, D) to h (T, N, H) of the last layer, and states."""
        return self.stack(x, state, lengths, resets)

    def read(self, h: Tensor) -> Tensor:
        """The head alone, behind its dropout."""
        return self.head(F.dropout(h, self.dropout, self.training))

    def begin(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Read what precedes generation: the outputs (N, V) at its last step, and the states.

        ``inputs`` are (T, N) where the graph has one a step, and (N,) where it has one.

        Raises:
            ValueError: the model cannot go on step by step: it is bidirectional, or its outputs are not fed back.
        """
        self._check_generates()
        x = self.encoder(inputs)
        h, state = self.unroll(x if self._input_a_step else x.unsqueeze(0), state)
        return self.read(h[-1]), state

    def step(self, symbols: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One more step: symbols (N,) and states to outputs (N, V) and states."""
        self._check_generates()
        encoder = self.encoder if self.feedback is None else self.feedback
        h, state = self.unroll(encoder(symbols).unsqueeze(0), state)
        return self.read(h[0]), state

    def initial_state(self, batch: int) -> Any:
        """The states before the first step."""
        return self.stack.initial_state(batch, next(self.parameters()))

    def _check_generates(self) -> None:
        if any(isinstance(layer, Bidirectional) for layer in self.stack.layers):
            raise ValueError("Model: a bidirectional layer needs the whole sequence, and cannot go on step by step")
        if self.graph != "many-to-many" and self.feedback is None:
            raise ValueError(f"Model: {self.graph} without feedback has no next input to go on with")

    @property
    def _input_a_step(self) -> bool:
        return self.graph.startswith("many")

    def _inputs(self, inputs: Tensor, previous: Tensor | None, steps: int | None) -> Tensor:
        if self.graph != "one-to-many" and (previous is not None or steps is not None):
            raise ValueError(f"Model: previous and steps belong to one-to-many, the graph is {self.graph}")
        x = self.encoder(inputs)
        if self._input_a_step:
            return x
        x = x.unsqueeze(0)
        if self.graph == "one-to-one":
            return x
        if self.feedback is not None:
            if previous is None or steps is not None:
                raise ValueError(
                    "Model: one-to-many with feedback takes previous=, the known outputs (T-1, N); "
                    "to generate them use unrolled.sample or unrolled.beam_search"
                )
            return torch.cat([x, self.feedback(previous)])
        if steps is None or steps < 1 or previous is not None:
            raise ValueError("Model: one-to-many without feedback takes steps=, a whole number from 1")
        return torch.cat([x, x.new_zeros(steps - 1, *x.shape[1:])])

    def _at_the_end(self, state: Any) -> Tensor:
        """h of the last layer at each sequence's own end; in reverse, that is its beginning."""
        last = state[-1]
        if isinstance(self.stack.layers[-1], Bidirectional):
            return torch.cat([last[0][0], last[1][0]], dim=1)
        return last[0]

    def extra_repr(self) -> str:
        return f"graph={self.graph!r}" + (f", dropout={self.dropout}" if self.dropout else "")
