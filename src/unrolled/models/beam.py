"""Beam search: the best continuations that a search of limited width finds, from one start or many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import RunError
from unrolled.layers.constants import Constants, rows_of
from unrolled.layers.state import select
from unrolled.models.chooser import check_excluded
from unrolled.models.decode import check_model, check_symbols, evaluating
from unrolled.models.device import device_of
from unrolled.models.model import Model


@dataclass(frozen=True)
class Hypothesis:
    """A sequence of symbols and the logarithm of its probability (nats)."""

    symbols: tuple[int, ...]
    log_probability: float


def beam_search(
    model: Model,
    start: Tensor,
    length: int,
    *,
    width: int = 5,
    stop: int | None = None,
    exclude: Sequence[int] = (),
    length_penalty: float = 0.0,
    state: Any = None,
    constants: Constants = (),
) -> list[Hypothesis]:
    """The best continuations that a search of limited width finds, best first.

    Equation::

        score = log_probability / (number of symbols) ^ length_penalty

    At each step every kept sequence is continued by every symbol, and the ``width`` most probable are
    kept. A sequence that ends with ``stop`` is complete, and competes as it is. The search ends early only when
    none of the sequences it would continue can still win.

    Arguments:
        model, start, exclude, state, constants: as in `sample`.
        length: the longest sequence, ``stop`` included.
        width: how many sequences are kept; 1 is greedy search.
        stop: the symbol that ends a sequence.
        length_penalty: 0 ranks by probability, which favours short sequences; 1 by the mean log probability of
            a symbol; up to 10.

    Raises:
        ValueError: an argument out of range. TypeError: a model or a head of another kind. RunError: scores that are
            not finite.

    Source:
        the penalty: Y. Wu et al., "Google's neural machine translation system" (2016), equation 14, who divide by
        ((5 + length) / 6) ^ penalty; here nothing is added to the length.

    >>> model = unrolled.Model(unrolled.OneHot(4), unrolled.Stack([unrolled.ElmanCell(4, 3)]), unrolled.Softmax(3, 4))
    >>> len(beam_search(model, torch.tensor([[0]]), 3, width=2))
    2
    """
    who, search = "beam_search", _Search(length, width, stop, length_penalty)
    return _searched(who, model, start, [search], exclude, state, constants)[0]


def beam_searches(
    model: Model,
    start: Tensor,
    length: int,
    *,
    width: int = 5,
    stop: int | None = None,
    exclude: Sequence[int] = (),
    length_penalty: float = 0.0,
    state: Any = None,
    constants: Constants = (),
) -> list[list[Hypothesis]]:
    """`beam_search` from each of N starts, side by side.

    Arguments:
        start: symbols (T, N), or one input each (N, ...) for one-to-many; state, constants: of the N starts. The
            others are those of `beam_search`.

    >>> model = unrolled.Model(unrolled.OneHot(4), unrolled.Stack([unrolled.ElmanCell(4, 3)]), unrolled.Softmax(3, 4))
    >>> [len(found) for found in beam_searches(model, torch.tensor([[0, 1, 2]]), 3, width=2)]
    [2, 2, 2]
    """
    count = start.shape[1] if getattr(model, "graph", "").startswith("many") else len(start)
    searches = [_Search(length, width, stop, length_penalty, n) for n in range(count)]
    return _searched("beam_searches", model, start, searches, exclude, state, constants)


class _Search:
    """The sequences that are kept from one start.

    Attributes:
        number: of the start. beams: those that go on; complete: those that have ended, the best first.
        is_over: whether none of the beams can still win, or all have the full length.
    """

    def __init__(self, length: int, width: int, stop: int | None, penalty: Any, number: int = 0) -> None:
        if width < 1 or length < 1:
            raise ValueError(f"beam_search: width and length must be at least 1, got {width} and {length}")
        is_number = isinstance(penalty, int | float) and not isinstance(penalty, bool)
        if not is_number or not 0 <= penalty <= 10:
            raise ValueError(f"beam_search: length_penalty must be a number from 0 to 10, got {penalty!r}")
        self._length, self._width, self._stop, self._penalty, self.number = length, width, stop, penalty, number
        self.beams, self.complete, self.is_over = [Hypothesis((), 0.0)], list[Hypothesis](), False

    def grow(self, logs: Tensor) -> list[int]:
        """One symbol more: log p of each, for every beam (n, V); which of the beams the new ones continue."""
        rows, grown = _best(self.beams, logs, self._width)
        going_on = [k for k, one in enumerate(grown) if one.symbols[-1] != self._stop]
        self.complete += [one for one in grown if one.symbols[-1] == self._stop]
        self.complete = sorted(self.complete, key=self._score, reverse=True)[: self._width]
        self.beams = [grown[k] for k in going_on]
        self.is_over = not self.beams or len(self.beams[0].symbols) == self._length or self._has_won()
        return [rows[k] for k in going_on]

    def found(self) -> list[Hypothesis]:
        """The best sequences, best first."""
        return sorted([*self.complete, *self.beams], key=self._score, reverse=True)[: self._width]

    def _score(self, one: Hypothesis) -> float:
        return one.log_probability / float(len(one.symbols) ** self._penalty)

    def _has_won(self) -> bool:
        """Further symbols cannot raise a log probability, and the penalty is mildest at the full length."""
        if len(self.complete) < self._width:
            return False
        return self.beams[0].log_probability / self._length**self._penalty <= self._score(self.complete[-1])


def _searched(
    who: str,
    model: Model,
    start: Tensor,
    searches: list[_Search],
    exclude: Sequence[int],
    state: Any,
    constants: Constants,
) -> list[list[Hypothesis]]:
    check_model(who, model)
    check_symbols(who, model)
    device = device_of(model)  # one without numbers is refused
    with evaluating(model):
        scores, state = model.begin(start, state, constants)
    going = searches
    while going:
        logs = _logs(scores, list(exclude))
        kept, last, origin, first = [], [], [], 0
        for search in going:
            count = len(search.beams)
            rows = search.grow(logs[first : first + count])
            if not search.is_over:
                kept += [first + row for row in rows]
                last += [beam.symbols[-1] for beam in search.beams]
                origin += [search.number] * len(rows)
            first += count
        going = [search for search in going if not search.is_over]
        if going:
            with evaluating(model):
                rows_kept, starts = (torch.tensor(ks, device=device) for ks in (kept, origin))
                symbols = torch.tensor(last, device=device)
                scores, state = model.step(symbols, select(state, rows_kept), rows_of(constants, starts))
    return [search.found() for search in searches]


def _logs(scores: Tensor, exclude: list[int]) -> Tensor:
    """log p (R, V), in double precision."""
    if not torch.isfinite(scores).all():
        raise RunError("the model's scores are not finite: its weights are damaged")
    check_excluded(exclude, scores.shape[1])
    logs = torch.log_softmax(scores.double(), dim=1)
    logs[:, exclude] = -torch.inf
    return logs


def _best(beams: list[Hypothesis], logs: Tensor, width: int) -> tuple[list[int], list[Hypothesis]]:
    """The most probable sequences with one more symbol, best first, and the beams that they continue."""
    before = torch.tensor([[beam.log_probability] for beam in beams], dtype=logs.dtype, device=logs.device)
    best = (logs + before).flatten().topk(min(width, logs.numel()))
    rows, grown = [], []
    for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        row, symbol = divmod(index, logs.shape[1])
        if value != -np.inf:
            rows.append(row)
            grown.append(Hypothesis((*beams[row].symbols, symbol), value))
    return rows, grown
