"""Cells around cells: random numbers that keep a recurrent network from learning by heart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.cells.arguments import share
from unrolled.cells.cell import Cell, check_cell
from unrolled.cells.gates import Gates
from unrolled.cells.shown import shown


class Wrapper(Cell):
    """A cell with another inside, whose states, constants and equation it has.

    A subclass changes what goes into the inner step, or what comes out of it. Wrappers nest.
    """

    def __init__(self, cell: Cell) -> None:
        nn.Module.__init__(self)
        check_cell(type(self).__name__, "cell", cell)
        self.cell = cell
        self.state = cell.state
        self.hidden_size = cell.hidden_size

    @property
    def input_size(self) -> int:  # type: ignore[override]
        """The width of x in ``step``."""
        return self.cell.input_size

    @property
    def given_size(self) -> int:
        return self.cell.given_size

    @property
    def constants(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names of the inner constants, and behind them its own."""
        return self.cell.constants

    @property
    def equation(self) -> Callable[..., Any]:
        return self.cell.equation

    @property
    def innermost(self) -> Cell:
        """The cell in the middle of all wrappers."""
        return self.cell.innermost if isinstance(self.cell, Wrapper) else self.cell

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        return self.cell.state_shapes()

    def initial_state(self, batch: int, like: Tensor | None = None) -> tuple[Tensor, ...]:
        return self.cell.initial_state(batch, like)

    @property
    def prepares(self) -> bool:
        return self.training or self.cell.prepares

    def prepare(self, x: Tensor) -> Tensor:
        return self.cell.prepare(x)

    def draw_constants(self, batch: int, like: Tensor) -> tuple[Tensor, ...]:
        return self.cell.draw_constants(batch, like)

    def step(self, x: Tensor, *args: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.cell.step(x, *args)

    def extra_repr(self) -> str:
        return ""


class Zoneout(Wrapper):
    """A cell some of whose units keep their old value at each step.

    Equation::

        s_t = m_t * s_{t-1} + (1 - m_t) * step(x_t, s_{t-1})      m_t ~ Bernoulli(p), in training
        s_t = p * s_{t-1} + (1 - p) * step(x_t, s_{t-1})          in evaluation

    for each state s, with an m_t of its own for each sequence, step and unit.

    Shapes:
        those of ``cell``; in training its ``step`` finds the m_t of each state as further columns of x.

    Arguments:
        cell: the cell.
        rates: p, in [0, 1): one for all states, or one a state by name; states without one have 0.

    Cost:
        1 float per unit and step saved for each state with a rate: m.

    Raises:
        ValueError: a rate out of range, or for a state that the cell does not have.

    Source:
        D. Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations" (2017),
        equations 5 and 6.

    >>> cell = Zoneout(unrolled.LSTMCell(4, 3), {"h": 0.05, "c": 0.5})
    >>> output, (h, c) = unrolled.Recurrent(cell)(torch.zeros(5, 2, 4))
    >>> cell
    Zoneout(
      h=0.05, c=0.5
      (cell): LSTMCell(
        4, 3
        (x): Gates('i f g o', 4, 3)
        (h): Gates('i f g o', 3, 3, bias=False)
      )
    )
    """

    def __init__(self, cell: Cell, rates: float | Mapping[str, float]) -> None:
        super().__init__(cell)
        by_name = dict(rates) if isinstance(rates, Mapping) else dict.fromkeys(self.state, rates)
        if unknown := set(by_name) - set(self.state):
            raise ValueError(
                f"Zoneout: rates has {', '.join(map(repr, sorted(unknown)))}, states are {', '.join(self.state)}"
            )
        self.rates = tuple(share("Zoneout", "rates", by_name.get(name, 0.0)) for name in self.state)

    @property
    def input_size(self) -> int:  # type: ignore[override]
        return self.cell.input_size + (sum(self._widths()) if self.training else 0)

    def prepare(self, x: Tensor) -> Tensor:
        x = self.cell.prepare(x)
        if not self.training or not any(self.rates):
            return x
        widths = self._widths()
        drawn = [_bernoulli((*x.shape[:2], n), p, x) for p, n in zip(self.rates, widths, strict=True) if p]
        return torch.cat([x, *drawn], dim=2)

    def step(self, x: Tensor, *args: Tensor) -> tuple[Tensor, ...]:
        old = args[: len(self.state)]
        start = self.cell.input_size
        inner = x[:, :start] if self.training and any(self.rates) else x
        new = list(self.cell.checked(self.cell.step(inner, *args), old))
        for k, (p, width) in enumerate(zip(self.rates, self._widths(), strict=True)):
            if not p:
                continue
            m: Any = p
            if self.training:
                m = x[:, start : start + width]
                m = m if old[k].dim() == 2 else m.reshape(old[k].shape)
                start += width
            new[k] = m * old[k] + (1 - m) * new[k]
        return tuple(new)

    def _widths(self) -> list[int]:
        """The columns of each state's m; none where the rate is 0."""
        shapes = self.state_shapes().values()
        return [math.prod(shape) if p else 0 for p, shape in zip(self.rates, shapes, strict=True)]

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={p}" for name, p in zip(self.state, self.rates, strict=True))


class VariationalDropout(Wrapper):
    """A cell whose recurrent maps see the hidden state through one dropout mask for all steps.

    Equation::

        W h_{t-1}  becomes  W (m * h_{t-1})      m ~ Bernoulli(1 - p) / (1 - p), in training
        x_t        becomes  k * x_t              k ~ Bernoulli(1 - p_x) / (1 - p_x), in training

    with an m and a k for each sequence, the same at all its steps; in evaluation both are 1. The recurrent
    maps are the `Gates` that are stored under a state's name; where the equation uses h otherwise, as in
    the GRU's z * h, it sees all of it, since a mask at each step would empty, and its scale inflate, what
    is carried on.

    Shapes:
        those of ``cell``; m is one more constant (N, H) in training, drawn unless the caller gives it.

    Arguments:
        cell: the cell.
        p: share of the hidden units that are dropped, in [0, 1).
        p_x: share of the inputs that are dropped, in [0, 1). Drawn anew at each call.

    Raises:
        ValueError: a rate out of range, or a cell without `Gates` under a state's name.

    Source:
        Y. Gal & Z. Ghahramani, "A theoretically grounded application of dropout in recurrent neural
        networks" (2016), section 4.2, with the gates' masks tied, and the rest of the weights not dropped.

    >>> cell = VariationalDropout(unrolled.GRUCell(4, 3), p=0.25)
    >>> cell.constants, cell.eval().constants
    (('m_h',), ())
    """

    def __init__(self, cell: Cell, p: float, p_x: float = 0.0) -> None:
        super().__init__(cell)
        self.p = share("VariationalDropout", "p", p)
        self.p_x = share("VariationalDropout", "p_x", p_x)
        self.mapped = _recurrent_gates("VariationalDropout", self.innermost)

    @property
    def constants(self) -> tuple[str, ...]:  # type: ignore[override]
        names = self.cell.constants
        if not self.training or not self.p:
            return names
        for name in self.mapped:
            own = f"m_{name}"
            while own in (*self.state, *names):  # in another dropout
                own = f"m_{own}"
            names = (*names, own)
        return names

    def prepare(self, x: Tensor) -> Tensor:
        if self.training and self.p_x:
            x = x * _mask(x.shape[1:], self.p_x, x)
        return self.cell.prepare(x)

    def draw_constants(self, batch: int, like: Tensor) -> tuple[Tensor, ...]:
        drawn = self.cell.draw_constants(batch, like)
        if not self.training or not self.p:
            return drawn
        gates = [getattr(self.innermost, name) for name in self.mapped]
        return (*drawn, *(_mask((batch, g.input_size), self.p, like) for g in gates))

    def step(self, x: Tensor, *args: Tensor) -> Tensor | tuple[Tensor, ...]:
        if not self.training or not self.p:
            return self.cell.step(x, *args)
        count = len(args) - len(self.mapped)
        inner: Any = self.innermost
        masked = {
            name: _MaskedGates(getattr(inner, name), m) for name, m in zip(self.mapped, args[count:], strict=True)
        }
        with shown([(inner, "_modules", masked)]):
            return self.cell.step(x, *args[:count])

    def extra_repr(self) -> str:
        return f"p={self.p}" + (f", p_x={self.p_x}" if self.p_x else "")


class WeightDrop(Wrapper):
    """A cell some of whose weights are dropped, the same ones at all steps.

    Equation::

        W  becomes  M * W      M ~ Bernoulli(1 - p) / (1 - p), in training

    with one M for all sequences and steps of a call; in evaluation M is 1. The gradient reaches W.

    Shapes:
        those of ``cell``.

    Arguments:
        cell: the cell.
        p: share of the weights that are dropped, in [0, 1).
        names: the parameters that are dropped, as the innermost cell calls them; by default the matrices of
            the `Gates` that are stored under a state's name: ``("h.weight",)``.

    M is drawn at each call of a layer, and of the cell, in training; the product is a buffer of the name
    ``dropped_...``, which no state_dict has. There is one for all threads, so only one of them at a time can train
    a cell.

    Raises:
        ValueError: a rate out of range, or names that are none of the cell's parameters.

    Source:
        S. Merity, N. S. Keskar & R. Socher, "Regularizing and optimizing LSTM language models" (2018),
        section 2.

    >>> layer = unrolled.Recurrent(WeightDrop(unrolled.LSTMCell(4, 3), p=0.5))
    >>> output, (h, c) = layer(torch.zeros(5, 2, 4))
    >>> sorted(layer.state_dict())
    ['cell.cell.h.weight', 'cell.cell.x.bias', 'cell.cell.x.weight']
    """

    def __init__(self, cell: Cell, p: float, names: Sequence[str] | None = None) -> None:
        super().__init__(cell)
        self.p = share("WeightDrop", "p", p)
        if names is None:
            names = [f"{name}.weight" for name in _recurrent_gates("WeightDrop", self.innermost)]
        names = (names,) if isinstance(names, str) else tuple(names)
        known = dict(self.innermost.named_parameters())
        if not names or not set(names) <= set(known):
            raise ValueError(f"WeightDrop: names must be some of {', '.join(known)}, got {names!r}")
        self.names = names
        for name in names:
            self.register_buffer(_dropped(name), known[name].detach(), persistent=False)

    def prepare(self, x: Tensor) -> Tensor:
        if self.training:
            for name, (owner, last) in zip(self.names, self._owners(), strict=True):
                weight = getattr(owner, last)
                setattr(self, _dropped(name), weight * _mask(weight.shape, self.p, weight))
        with self._dropping():  # what another wrapper drops inside of this one is dropped of what is left
            return self.cell.prepare(x)

    def step(self, x: Tensor, *args: Tensor) -> Tensor | tuple[Tensor, ...]:
        with self._dropping():
            return self.cell.step(x, *args)

    def _owners(self) -> list[tuple[nn.Module, str]]:
        """The module that holds each of the weights, and its name there."""
        found = []
        for name in self.names:
            *path, last = name.split(".")
            owner: Any = self.innermost
            for part in path:
                owner = getattr(owner, part)
                while isinstance(owner, _MaskedGates):
                    owner = owner._gates
            found.append((owner, last))
        return found

    def _dropping(self) -> AbstractContextManager:
        """Inside, this thread sees the dropped weights in training."""
        if not self.training:
            return nullcontext()
        owners = zip(self.names, self._owners(), strict=True)
        return shown(
            [(owner, "_parameters", {last: getattr(self, _dropped(name))}) for name, (owner, last) in owners]
        )

    def __getstate__(self) -> dict[str, Any]:
        """Without the graph of the drawn weights, which can be neither copied nor written."""
        buffers = {name: b if b is None else b.detach() for name, b in self._buffers.items()}
        return self.__dict__ | {"_buffers": buffers}

    def extra_repr(self) -> str:
        return f"p={self.p}, names={self.names}"


class _MaskedGates:
    """`Gates` whose input goes through a mask first."""

    def __init__(self, gates: Gates, mask: Tensor) -> None:
        self._gates = gates
        self._mask = mask
        self._last: tuple[Tensor, Tensor] | None = None

    def __call__(self, h: Tensor) -> Tensor:
        return self._gates(self._masked(h))

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._gates, name)
        return (lambda h: value(self._masked(h))) if name in self._gates.names else value

    def _masked(self, h: Tensor) -> Tensor:
        if self._last is None or self._last[0] is not h:  # several gates read the same h
            self._last = h, h * self._mask
        return self._last[1]


def _recurrent_gates(wrapper: str, cell: Cell) -> tuple[str, ...]:
    """The states that have `Gates` of their own name."""
    names = tuple(name for name in cell.state if isinstance(getattr(cell, name, None), Gates))
    if not names:
        raise ValueError(
            f"{wrapper}: no recurrent weights found: {type(cell).__name__} has no Gates "
            f"named after a state ({', '.join(cell.state)})"
        )
    return names


def _bernoulli(shape: Sequence[int], p: float, like: Tensor) -> Tensor:
    """1 with probability ``p``, else 0. Faster than torch's bernoulli_, and the same in every precision."""
    return torch.rand(shape, dtype=torch.float32, device=like.device).lt_(p).to(like.dtype)


def _mask(shape: Sequence[int], p: float, like: Tensor) -> Tensor:
    """A dropout mask: 0 with probability ``p``, else 1 / (1 - p)."""
    return _bernoulli(shape, 1 - p, like).div_(1 - p)


def _dropped(name: str) -> str:
    return f"dropped_{name.replace('.', '_')}"
