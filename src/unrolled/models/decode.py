"""Decoding: from scores to symbols. Sampling and beam search, once for every task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unrolled.engine.stream import Choice
from unrolled.errors import RunError
from unrolled.layers import modes
from unrolled.layers.state import select
from unrolled.models import streaming
from unrolled.models.device import device_of
from unrolled.models.model import Model
from unrolled.models.philox import Philox


@dataclass(frozen=True)
class Chooser:
    """Chooses one symbol from scores and a uniform number.

    Equation::

        p = softmax(scores / temperature)     the first k with p_0 + ... + p_k > u * (p_0 + ... + p_{V-1})

    in double precision, in the order of the symbols. Temperature 0 takes the highest score. ``top_k``
    keeps the k most likely symbols, ``top_p`` the fewest whose probabilities reach p; ties go to the
    lower symbol. Symbols in ``exclude`` are never chosen.

    Raises:
        ValueError: a setting out of range. RunError: scores that are not finite.

    Source:
        top-p: A. Holtzman et al., "The curious case of neural text degeneration" (2020).

    >>> Chooser(temperature=0)(np.array([0.0, 2.0, 1.0]), u=0.5)
    1
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    exclude: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.temperature, int | float) or not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature must be a number from 0, got {self.temperature!r}")
        if self.top_k is not None and (not isinstance(self.top_k, int) or self.top_k < 1):
            raise ValueError(f"top_k must be a whole number from 1, got {self.top_k!r}")
        if self.top_p is not None and (not isinstance(self.top_p, int | float) or not 0 < self.top_p <= 1):
            raise ValueError(f"top_p must lie in (0, 1], got {self.top_p!r}")

    @property
    def settings(self) -> tuple[float, int | None, float | None, tuple[int, ...]]:
        """The fields in their order."""
        return self.temperature, self.top_k, self.top_p, self.exclude

    def __call__(self, scores: np.ndarray, u: float) -> int:
        scores = scores.astype(np.float64)
        if not np.isfinite(scores).all():
            raise RunError("the model's scores are not finite: its weights are damaged")
        scores[list(self.exclude)] = -np.inf
        if self.temperature == 0:
            return int(scores.argmax())
        p = np.exp((scores - scores.max()) / self.temperature)
        if self.top_k is not None or self.top_p is not None:
            p = self._most_likely(p)
        total = np.cumsum(p)
        k = int(np.searchsorted(total, u * total[-1], side="right"))
        return min(k, int(np.flatnonzero(p)[-1]))

    def _most_likely(self, p: np.ndarray) -> np.ndarray:
        order = np.argsort(-p, kind="stable")
        keep = len(p) if self.top_k is None else min(self.top_k, len(p))
        if self.top_p is not None:
            reached = np.cumsum(p[order]) >= self.top_p * p.sum()
            keep = min(keep, int(reached.argmax()) + 1 if reached.any() else len(p))
        kept = np.zeros_like(p)
        kept[order[:keep]] = p[order[:keep]]
        return kept


def sample(
    model: Model,
    start: Tensor,
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 1,
    exclude: Sequence[int] = (),
) -> Iterator[int]:
    """Symbols one at a time, each fed back as the next input.

    Equation::

        y_t = model(symbol_{t-1})        symbol_t ~ softmax(y_t / temperature)

    Arguments:
        model: many-to-many, or one-to-many with feedback; head `Softmax`.
        start: what precedes: symbols (T, 1), or one input (1, ...) for one-to-many.
        length: how many symbols.
        temperature, top_k, top_p, exclude: see `Chooser`.
        seed: the same seed gives the same symbols (Philox, one number a symbol).

    Yields:
        Symbols, as whole numbers.

    >>> model = unrolled.Model(unrolled.OneHot(4), unrolled.Stack([unrolled.ElmanCell(4, 3)]), unrolled.Softmax(3, 4))
    >>> len(list(sample(model, torch.tensor([[0]]), 10)))
    10
    """
    _check_model("sample", model)
    return _symbols(model, start, length, Chooser(temperature, top_k, top_p, tuple(exclude)), seed)


def _check_model(who: str, model: object) -> None:
    if not isinstance(model, Model):
        kind = model if isinstance(model, type) else type(model)
        raise TypeError(
            f"{who}: model must be an unrolled.Model, got {kind.__name__}; for a run, pass unrolled.load(RUN).model"
        )


def _symbols(model: Model, start: Tensor, length: int, choose: Chooser, seed: int) -> Iterator[int]:
    numbers = Philox(seed)
    device_of(model)  # one without numbers is refused
    with evaluating(model):
        scores, state = model.begin(start)
        fast = streaming.stream(model, state, Choice(*choose.settings, seed, position=1))
    if fast is not None and length > 0:
        first = choose(scores[0].numpy(force=True), numbers.uniform())
        yield first
        yield from streaming.symbols(fast, first, length - 1)
        return
    for k in range(length):
        symbol = choose(scores[0].numpy(force=True), numbers.uniform())
        yield symbol
        if k + 1 < length:
            with evaluating(model):
                scores, state = model.step(torch.tensor([symbol], device=start.device), state)


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
) -> list[Hypothesis]:
    """The most probable continuations that a search of limited width finds, best first.

    At each step every kept sequence is continued by every symbol, and the ``width`` most probable are
    kept. A sequence that ends with ``stop`` is complete, and competes as it is.

    Arguments:
        model, start, exclude: as in `sample`.
        length: the longest sequence, ``stop`` included.
        width: how many sequences are kept; 1 is greedy search.
        stop: the symbol that ends a sequence.

    >>> model = unrolled.Model(unrolled.OneHot(4), unrolled.Stack([unrolled.ElmanCell(4, 3)]), unrolled.Softmax(3, 4))
    >>> len(beam_search(model, torch.tensor([[0]]), 3, width=2))
    2
    """
    _check_model("beam_search", model)
    if width < 1 or length < 1:
        raise ValueError(f"beam_search: width and length must be at least 1, got {width} and {length}")
    device_of(model)  # as above
    complete: list[Hypothesis] = []
    beams = [Hypothesis((), 0.0)]
    with evaluating(model):
        scores, state = model.begin(start)
    for _ in range(length):
        logs = torch.log_softmax(scores.double(), dim=1)
        logs[:, list(exclude)] = -torch.inf
        logs += torch.tensor([[beam.log_probability] for beam in beams], dtype=logs.dtype, device=logs.device)
        best = logs.flatten().topk(min(width, logs.numel()))
        rows, grown = [], []
        for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            row, symbol = divmod(index, logs.shape[1])
            if value == -np.inf:
                continue
            hypothesis = Hypothesis((*beams[row].symbols, symbol), value)
            if symbol == stop:
                complete.append(hypothesis)
            else:
                rows.append(row)
                grown.append(hypothesis)
        beams = grown
        complete = sorted(complete, key=lambda h: -h.log_probability)[:width]
        full = len(complete) == width
        if not beams or (full and beams[0].log_probability <= complete[-1].log_probability):
            break
        if len(beams[0].symbols) < length:
            with evaluating(model):
                symbols = torch.tensor([beam.symbols[-1] for beam in beams], device=start.device)
                scores, state = model.step(symbols, select(state, torch.tensor(rows, device=start.device)))
    return sorted([*complete, *beams], key=lambda h: -h.log_probability)[:width]


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """No gradient and no dropout inside; the modes are as before afterwards."""
    with torch.no_grad(), modes.evaluating(model) if model.training else nullcontext():
        yield
