"""Decoding: from scores to symbols. Sampling and beam search, once for every task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unrolled.engine.stream import Choice
from unrolled.layers import modes
from unrolled.layers.state import select
from unrolled.models import streaming
from unrolled.models.chooser import Chooser
from unrolled.models.device import device_of
from unrolled.models.model import Model
from unrolled.models.philox import Philox


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
