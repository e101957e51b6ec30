"""Decoding: from outputs to symbols or numbers. Sampling and beam search, once for every task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unrolled.cells.arguments import kind, whole
from unrolled.engine.stream import Choice
from unrolled.errors import RunError
from unrolled.layers import modes
from unrolled.layers.constants import Constants, rows_of
from unrolled.layers.state import select
from unrolled.models import streaming
from unrolled.models.chooser import Chooser, check_excluded, check_temperature
from unrolled.models.device import device_of
from unrolled.models.heads import Head, Target
from unrolled.models.initial_state import InitialState
from unrolled.models.model import Model
from unrolled.models.philox import Philox, Rows


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
    state: Any = None,
    constants: Constants = (),
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
        state: before ``start``, as `Stack` takes it: of an `InitialState` or an `EncoderDecoder`, for example.
        constants: of the layers, as `Stack` takes them.

    Yields:
        Symbols, as whole numbers.

    >>> model = unrolled.Model(unrolled.OneHot(4), unrolled.Stack([unrolled.ElmanCell(4, 3)]), unrolled.Softmax(3, 4))
    >>> len(list(sample(model, torch.tensor([[0]]), 10)))
    10
    """
    _check_model("sample", model)
    _check_symbols("sample", model)
    choose = Chooser(temperature, top_k, top_p, tuple(exclude))
    return _symbols(model, start, length, choose, seed, state, constants)


def _check_model(who: str, model: object) -> None:
    if not isinstance(model, Model):
        came = model if isinstance(model, type) else type(model)
        raise TypeError(
            f"{who}: model must be an unrolled.Model, got {came.__name__}; for a run, pass unrolled.load(RUN).model"
        )


def _check_symbols(who: str, model: Model) -> None:
    """TypeError for a head whose outputs are known not to be scores of the next symbol."""
    head = model.head
    other = isinstance(head, Head) and (head.target != Target("integers") or not head.aligned)
    if head is None or isinstance(head, InitialState) or other:
        raise TypeError(f"{who}: the model's head must give scores of symbols, as Softmax does, got {kind(head)}")


def _symbols(
    model: Model, start: Tensor, length: int, choose: Chooser, seed: int, state: Any, constants: Constants
) -> Iterator[int]:
    numbers = Philox(seed)
    device_of(model)  # one without numbers is refused
    with evaluating(model):
        scores, state = model.begin(start, state, constants)
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
                scores, state = model.step(torch.tensor([symbol], device=start.device), state, constants)


def paths(
    model: Model,
    start: Tensor,
    length: int,
    *,
    count: int | None = None,
    temperature: float = 1.0,
    seed: int = 1,
    feed: Callable[[Tensor], Tensor] | None = None,
    state: Any = None,
    constants: Constants = (),
) -> Tensor:
    """Random continuations, all at once, for any head: each draw is fed back as its path's next input.

    Equation::

        y_t = model(d_{t-1})        d_t ~ p(. | y_t)

    Path n draws from its own random numbers, sequence n of the seed (`philox.Rows`), so that it does not depend
    on how many other paths there are, up to the rounding of matrix products of different sizes. With `Softmax`,
    path 0 has the symbols of `sample`.

    Arguments:
        model: many-to-many, or one-to-many with feedback; its head is a `Head` whose draws its encoder takes.
        start: what precedes: inputs (T, N, ...), or (N, ...) for one-to-many; one path for each of the N.
        length: how many steps.
        count: so many paths from each start, which is read once; those of the first start come first.
        temperature: see the head.
        seed: the same seed gives the same paths.
        feed: what the model reads next (N, ...), given all draws so far (k, N, ...), for models whose inputs are
            more than the last draw, such as one with the time of day; None for the last draw itself.
        state, constants: as in `sample`, for each of the N starts.

    Returns:
        The draws as they are fed back, (length, N, ...), with N * count for N where there is a count; see
        `Head.feedback`.

    Raises:
        ValueError: a head whose draws cannot be fed back, or arguments out of range. TypeError: a model or a
            head of another kind. RunError: outputs that are not finite.

    >>> stack = unrolled.Stack([unrolled.GRUCell(4, 8)])
    >>> model = unrolled.Model(unrolled.Linear(2, 4), stack, unrolled.models.Gaussian(8, 2))
    >>> paths(model, torch.zeros(3, 1, 2), 10, count=100).shape
    torch.Size([10, 100, 2])
    """
    _check_model("paths", model)
    head = model.head
    if not isinstance(head, Head):
        raise TypeError(f"paths: the model's head must be an unrolled.models.Head, got {kind(head)}")
    if not head.aligned:
        head.feedback(None)  # it says why not
    length = whole("paths", "length", length)
    count = None if count is None else whole("paths", "count", count)
    check_temperature(temperature)
    device_of(model)  # one without numbers is refused
    made = []
    with evaluating(model):
        outputs, state = model.begin(start, state, constants)
        if count is not None:
            rows = torch.arange(len(outputs), device=outputs.device).repeat_interleave(count)
            outputs, state, constants = outputs[rows], select(state, rows), rows_of(constants, rows)
        numbers = Rows(seed, len(outputs))
        for k in range(length):
            made.append(head.feedback(head.sample(outputs, numbers, temperature)))
            if k + 1 < length:
                following = made[-1] if feed is None else feed(torch.stack(made))
                outputs, state = model.step(following, state, constants)
    return torch.stack(made)


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
    _check_model("beam_search", model)
    _check_symbols("beam_search", model)
    _check_search(length, width, length_penalty)
    device_of(model)  # as above

    def score(hypothesis: Hypothesis) -> float:
        return hypothesis.log_probability / len(hypothesis.symbols) ** length_penalty

    complete: list[Hypothesis] = []
    beams = [Hypothesis((), 0.0)]
    with evaluating(model):
        scores, state = model.begin(start, state, constants)
    for _ in range(length):
        rows, grown = _best(beams, scores, width, list(exclude))
        complete += [h for h in grown if h.symbols[-1] == stop]
        going_on = [k for k, h in enumerate(grown) if h.symbols[-1] != stop]
        rows, beams = [rows[k] for k in going_on], [grown[k] for k in going_on]
        complete = sorted(complete, key=score, reverse=True)[:width]
        full = len(complete) == width
        # further symbols cannot raise a log probability, and the penalty is mildest at the full length
        if not beams or (full and beams[0].log_probability / length**length_penalty <= score(complete[-1])):
            break
        if len(beams[0].symbols) < length:
            with evaluating(model):
                symbols = torch.tensor([beam.symbols[-1] for beam in beams], device=start.device)
                chosen = torch.tensor(rows, device=start.device)
                # all rows have the same constants, those of the one start
                scores, state = model.step(symbols, select(state, chosen), rows_of(constants, 0 * chosen))
    return sorted([*complete, *beams], key=score, reverse=True)[:width]


def _check_search(length: int, width: int, length_penalty: Any) -> None:
    if width < 1 or length < 1:
        raise ValueError(f"beam_search: width and length must be at least 1, got {width} and {length}")
    number = isinstance(length_penalty, int | float) and not isinstance(length_penalty, bool)
    if not number or not 0 <= length_penalty <= 10:
        raise ValueError(f"beam_search: length_penalty must be a number from 0 to 10, got {length_penalty!r}")


def _best(
    beams: list[Hypothesis], scores: Tensor, width: int, exclude: list[int]
) -> tuple[list[int], list[Hypothesis]]:
    """The most probable sequences with one more symbol, best first, and the beams that they continue."""
    if not torch.isfinite(scores).all():
        raise RunError("the model's scores are not finite: its weights are damaged")
    check_excluded(exclude, scores.shape[1])
    logs = torch.log_softmax(scores.double(), dim=1)
    logs[:, exclude] = -torch.inf
    logs += torch.tensor([[beam.log_probability] for beam in beams], dtype=logs.dtype, device=logs.device)
    best = logs.flatten().topk(min(width, logs.numel()))
    rows, grown = [], []
    for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        row, symbol = divmod(index, logs.shape[1])
        if value != -np.inf:
            rows.append(row)
            grown.append(Hypothesis((*beams[row].symbols, symbol), value))
    return rows, grown


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """No gradient and no dropout inside; the modes are as before afterwards."""
    with torch.no_grad(), modes.evaluating(model) if model.training else nullcontext():
        yield
