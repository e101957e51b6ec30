"""Recurrent: one unroll for every cell."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unrolled.cells.arguments import whole
from unrolled.cells.cell import Cell, check_cell
from unrolled.engine.prepared import first_parameter
from unrolled.layers import checkpoint, paths, torch_kernels
from unrolled.layers.checks import (
    check_input,
    check_lengths,
    check_resets,
    check_state,
    check_step,
    check_weight,
)
from unrolled.layers.constants import Constants, of_cell
from unrolled.layers.layer import Layer
from unrolled.layers.modes import evaluating

State = tuple[Tensor, ...]


class Recurrent(Layer):
    """A layer: one cell, unrolled over time.

    Equation::

        s_t = step(x_t, s_{t-1})        y_t = the first state of s_t

    Shapes:
        x (T, N, D); each state (N, width); lengths (N,); resets (T, N); output (T, N, width of the first
        state), zero from each sequence's end on.

    Arguments:
        cell: the equation.
        reverse: run from the last step to the first.
        backend: ``"engine"``, the compiled engine, for every cell whose equation the compiler knows;
            ``"torch"``, torch.nn's kernel, for the cells it has; ``"eager"``, the equation step by step;
            ``"auto"``, the first of these that can run the call.
        checkpoint: K: keep what the backward pass needs for K steps at a time, and compute it again for
            the others: one more forward pass, for memory that hardly grows with T. None: keep everything.

    Raises:
        ValueError: an argument does not fit; it is named, with what was expected.

    >>> layer = Recurrent(unrolled.GRUCell(4, 3))
    >>> output, (h,) = layer(torch.zeros(5, 2, 4), lengths=torch.tensor([5, 3]))
    >>> output.shape, h.shape
    (torch.Size([5, 2, 3]), torch.Size([2, 3]))
    """

    def __init__(
        self, cell: Cell, reverse: bool = False, backend: str = "auto", checkpoint: int | None = None
    ) -> None:
        nn.Module.__init__(self)
        check_cell("Recurrent", "cell", cell)
        if backend not in paths.BACKENDS:
            raise ValueError(f"Recurrent: backend must be one of {', '.join(paths.BACKENDS)}, got {backend!r}")
        if backend == "torch" and not torch_kernels.has_kernel(cell):
            raise ValueError(f"Recurrent: torch.nn has no kernel for {cell}; use backend='auto' or backend='eager'")
        self.cell = cell
        self.reverse = reverse
        self.backend = backend
        self.checkpoint = None if checkpoint is None else whole("Recurrent", "checkpoint", checkpoint)

    @property
    def input_size(self) -> int:  # type: ignore[override]
        return self.cell.given_size

    @property
    def output_size(self) -> int:  # type: ignore[override]
        return self.cell.output_size

    @property
    def constants(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names of the cell's constants, with those that it draws itself."""
        return self.cell.constants

    @property
    def streams(self) -> bool:  # type: ignore[override]
        return not self.reverse

    @property
    def _name(self) -> str:
        return f"Recurrent({type(self.cell).__name__})"

    def initial_state(self, batch: int, like: Tensor | None = None) -> State:
        """The states before the first step, (N, width) each."""
        return self.cell.initial_state(batch, like)

    def forward(
        self,
        x: Tensor,
        state: State | None = None,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        constants: Constants = (),
    ) -> tuple[Tensor, State]:
        """Unroll the cell over ``x``.

        Arguments:
            x: inputs (T, N, D).
            state: one (N, width) tensor a state; None for the cell's initial state.
            lengths: steps of each sequence, N whole numbers from 0 to T in any order, as a tensor of any integer
                type, a numpy array, a list or a tuple: states freeze at their own end, outputs after it are zero.
            resets: true where a new sequence begins: the state goes back to the initial one before that
                step. (T, N) truth values, as a tensor, a numpy array or nested lists.
            constants: what the cell needs beside x and the states, the same at every step: a tuple of tensors
                (N, ...) in the order of ``cell.constants``, or a dictionary by name. Those that the cell draws
                itself may be left out.
        """
        name = self._name
        check_input(name, x, self.input_size)
        check_weight(name, first_parameter(self.cell), x)
        lengths = check_lengths(name, lengths, x.shape[0], x.shape[1], x.device)
        resets = check_resets(name, resets, x)
        if state is None:
            state = self.initial_state(x.shape[1], like=x)
        else:
            state = check_state(name, state, self.cell, x)
        x = self.cell.prepare(x)
        constants = of_cell(name, constants, self.cell, x)
        call = (self.backend, self.cell, x, state, lengths, resets, self.reverse, constants)
        if self._keeps_little(x):
            assert self.checkpoint is not None
            return checkpoint.scan(self.checkpoint, *call)
        return paths.scan(*call)

    def _keeps_little(self, x: Tensor) -> bool:
        """Whether this call is checkpointed: none is that torch transforms or records, operation by operation."""
        if self.checkpoint is None or not torch.is_grad_enabled() or torch.jit.is_tracing() or paths.transformed():
            return False
        return self.checkpoint < x.shape[0]

    def step(self, x: Tensor, state: State | None = None, constants: Constants = ()) -> tuple[Tensor, State]:
        """One step, for inputs that come one at a time: y_t (N, width), and the states to give back next time.

        It is `forward` over one step. A few sequences are stepped without the weights being copied; what the
        cell draws itself, such as a dropout mask, is drawn at each call in training.

        Arguments:
            x: input (N, D).

        >>> layer, state = Recurrent(unrolled.LSTMCell(4, 3)), None
        >>> for x in torch.zeros(5, 2, 4):
        ...     y, state = layer.step(x, state)
        >>> y.shape
        torch.Size([2, 3])
        """
        name = self._name
        if self.reverse:
            raise ValueError(f"{name}: step runs forward in time, but the layer has reverse=True")
        check_step(name, x, self.input_size)
        output, state = self(x.unsqueeze(0), state, constants=constants)
        return output[0], state

    @torch.no_grad()
    def gates(self, x: Tensor, state: State | None = None, constants: Constants = ()) -> dict[str, Tensor]:
        """Every tensor that the cell's equation names, at every step, in evaluation: name -> (T, N, width)."""
        name = self._name
        check_input(name, x, self.input_size)
        state = self.initial_state(x.shape[1], like=x) if state is None else check_state(name, state, self.cell, x)
        steps: list[dict[str, Tensor]] = []
        with evaluating(self):
            x = self.cell.prepare(x)
            constants = of_cell(name, constants, self.cell, x)
            for x_t in x.flip(0) if self.reverse else x:
                steps.append(self.cell.read_step(x_t, state, constants))
                state = tuple(steps[-1][name] for name in self.cell.state)
        if self.reverse:
            steps.reverse()
        return {name: torch.stack([step[name] for step in steps]) for name in steps[0]}

    def extra_repr(self) -> str:
        return ", ".join(
            [
                *(["reverse=True"] if self.reverse else []),
                *([f"backend={self.backend!r}"] if self.backend != "auto" else []),
                *([f"checkpoint={self.checkpoint}"] if self.checkpoint is not None else []),
            ]
        )
