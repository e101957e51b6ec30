"""The base of every cell: one time step, written as its equation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from unrolled.cells.arguments import kind, whole
from unrolled.cells.gates import Gates
from unrolled.cells.reading import read_names


class Cell(nn.Module):
    """One time step of a recurrent network, written as its equation.

    A subclass names its states and defines ``step``; nothing else is needed to train it::

        class MinimalCell(unrolled.Cell):
            state = ("h",)

            def __init__(self, input_size, hidden_size):
                super().__init__(input_size, hidden_size)
                self.x = unrolled.Gates("f n", input_size, hidden_size)
                self.h = unrolled.Gates("f n", hidden_size, hidden_size, bias=False)

            def step(self, x, h):
                f = torch.sigmoid(self.x.f(x) + self.h.f(h))
                n = torch.tanh(self.x.n(x) + self.h.n(f * h))
                return (1 - f) * h + f * n

    ``step(x, *state)`` returns the new states in the order of ``state``: one tensor, or a tuple. The
    first of them is the output. It contains no loop over time, no lengths, no device: `Recurrent` has
    those. A cell with inputs that stay the same for a whole sequence (an image, a dropout mask) names
    them in ``constants``; they follow the states as arguments of ``step``.

    What is random is drawn outside ``step``, once a call: `prepare` for each step, `draw_constants` for
    all of them.

    `Gates` stored under the name of a state (``self.h`` above) map that state, so they are recurrent
    weights, and start orthogonal.

    Shapes:
        x (N, D); each state (N, width), width = H unless ``state_shapes`` says otherwise.

    Raises:
        TypeError: the subclass has no ``step``, or names no state.
        ValueError: ``step`` returns other states than the class names, or states of another shape.

    >>> cell = unrolled.LSTMCell(4, 3)
    >>> h, c = cell(torch.zeros(2, 4))
    >>> sorted(cell.gates(torch.zeros(2, 4)))
    ['c', 'f', 'g', 'h', 'i', 'o']
    """

    state: tuple[str, ...] = ("h",)
    constants: tuple[str, ...] = ()
    keeps: str | None = None
    admits: str | None = None
    """The gates, if any, that keep the old state and let in the new: what the chrono initialisation sets."""
    stacked: Mapping[str, int] = MappingProxyType({})
    """Of a cell that is kept without its `Gates`: how many of them each matrix holds, by the matrix's name."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = whole(type(self).__name__, "input_size", input_size)
        self.hidden_size = whole(type(self).__name__, "hidden_size", hidden_size)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if isinstance(cls.state, str):
            cls.state = tuple(cls.state.split())
        if not cls.state or not all(isinstance(name, str) and name.isidentifier() for name in cls.state):
            raise TypeError(f"{cls.__name__}: state must name the states, such as ('h', 'c'), got {cls.state!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if isinstance(value, Gates) and name in type(self).state:
            value.orthogonal_()

    def step(self, x: Tensor, *state: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The equation: the new states from the input and the old states."""
        raise TypeError(f"{type(self).__name__} has no step(self, x, {', '.join(self.state)})")

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each state without the batch, in order. Override it for states of other widths."""
        return dict.fromkeys(self.state, (self.hidden_size,))

    @property
    def output_size(self) -> int:
        """The width of the first state, which is the output."""
        return self.state_shapes()[self.state[0]][-1]

    def initial_state(self, batch: int, like: Tensor | None = None) -> tuple[Tensor, ...]:
        """The states before the first step: zeros. Override it to learn them.

        Arguments:
            batch: N.
            like: the states get its dtype and device; by default those of the first parameter.
        """
        if like is None:
            like = next(self.parameters())
        return tuple(like.new_zeros(batch, *shape) for shape in self.state_shapes().values())

    @property
    def given_size(self) -> int:
        """The width of x before `prepare`; behind it, and for ``step``, it is ``input_size``."""
        return self.input_size

    @property
    def equation(self) -> Callable[..., Any]:
        """The function whose names `gates` reads: ``step``, or that of the cell inside."""
        return self.step

    @property
    def prepares(self) -> bool:
        """Whether `prepare` does anything, in the mode that the cell is in."""
        return type(self).prepare is not Cell.prepare

    def prepare(self, x: Tensor) -> Tensor:
        """What the steps of one call read, (T, N, given_size) to (T, N, input_size): x itself.

        Override it to draw random numbers for each step, as further columns of x, or anything else that
        is drawn once a call.
        """
        return x

    def draw_constants(self, batch: int, like: Tensor) -> tuple[Tensor, ...]:
        """The last of the ``constants``, for callers that do not give them: none.

        Override it for constants that are drawn anew at each call, such as a dropout mask.
        """
        return ()

    def all_constants(self, given: tuple[Tensor, ...], like: Tensor) -> tuple[Tensor, ...]:
        """The constants that the caller gave, and behind them those that are drawn.

        Arguments:
            given: all constants, or all but the drawn ones.
            like: x, with N in its dimension before the last.
        """
        if len(given) == len(self.constants):
            return tuple(given)
        return (*given, *self.draw_constants(like.shape[-2], like))

    def forward(self, x: Tensor, *state: Tensor, constants: tuple[Tensor, ...] = ()) -> tuple[Tensor, ...]:
        """One step, checked: the new states as a tuple. Without states, from the initial ones."""
        old = state or self.initial_state(x.shape[0], like=x)
        x = self.prepare(x.unsqueeze(0)).squeeze(0)
        new = self.step(x, *old, *self.all_constants(constants, x))
        return self.checked(new, old)

    def checked(self, new: Tensor | tuple[Tensor, ...], old: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """What ``step`` returned, as a tuple; ValueError if it does not fit the states."""
        name = type(self).__name__
        states = (new,) if isinstance(new, Tensor) else new
        if not isinstance(states, tuple | list) or not all(isinstance(s, Tensor) for s in states):
            raise ValueError(f"{name}: step returned {type(new).__name__}, expected a tensor or a tuple of tensors")
        if len(states) != len(self.state):
            raise ValueError(
                f"{name}: step returned {len(states)} states, expected {len(self.state)}: {', '.join(self.state)}"
            )
        for label, a, b in zip(self.state, states, old, strict=True):
            if a.shape != b.shape:
                raise ValueError(
                    f"{name}: step returned {label} with shape {tuple(a.shape)}, expected {tuple(b.shape)} as before"
                )
            if b.is_floating_point() and not a.is_floating_point():
                raise ValueError(f"{name}: step returned {label} with dtype {a.dtype}, expected {b.dtype} as before")
        return tuple(states)

    def gates(self, x: Tensor, *state: Tensor, constants: tuple[Tensor, ...] = ()) -> dict[str, Tensor]:
        """Every tensor that the equation names, by its name: gates, candidates and the new states.

        Arguments:
            x: input (N, D).
            state: the states before the step; without them, the initial ones.
        """
        old = state or self.initial_state(x.shape[0], like=x)
        x = self.prepare(x.unsqueeze(0)).squeeze(0)
        return self.read_step(x, old, self.all_constants(constants, x))

    def read_step(
        self, x: Tensor, state: tuple[Tensor, ...], constants: tuple[Tensor, ...] = ()
    ) -> dict[str, Tensor]:
        """As `gates`, of a step whose x and constants are drawn already."""
        names, new = read_names(self.step, x, *state, *constants, equation=self.equation)
        named = {k: v for k, v in names.items() if isinstance(v, Tensor) and v.dim()}
        return named | dict(zip(self.state, self.checked(new, state), strict=True))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


def check_cell(owner: str, name: str, cell: Any) -> None:
    """ValueError if ``cell`` is no `Cell`: a layer, a class, another library's cell."""
    if not isinstance(cell, Cell):
        raise ValueError(f"{owner}: {name} must be an unrolled.Cell, got {kind(cell)}")
