"""The embedded Reber grammar as one endless stream: why the forget gate was invented."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.lab import grammar
from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.lab.reber import begin
from unrolled.lab.task import LabTask, Parts, options, train
from unrolled.models.model import Model
from unrolled.training.batches import Batch
from unrolled.training.metric import Metric

TEST_STREAMS, TEST_SYMBOLS = 10, 100_000
HIDDEN = 16
STREAMS, WINDOW = 16, 40
LEARNING_RATE = 0.01
UPDATES = 6000
EVERY = 250
"""Updates between two tests."""
LARGEST_ERROR = 0.49
"""Of an output, squared."""

V = len(grammar.SYMBOLS)


def right(y: Tensor, legal: Tensor, following: Tensor) -> Tensor:
    """Whether each prediction is right, by both readings of the paper at once.

    Every legal next symbol is more active than every other (the criterion of 1997), and every output's squared
    error, from the symbol that follows, is below 0.49.

    Shapes:
        y (..., 7) before the softmax; legal (..., 7); following (...).
    """
    error = (torch.softmax(y, dim=-1) - F.one_hot(following, V)).square().amax(-1)
    return grammar.predicted(y, legal) & (error < LARGEST_ERROR)


@torch.no_grad()
def error_free(model: Model, streams: grammar.Streams, symbols: int = TEST_SYMBOLS, chunk: int = 1000) -> list[int]:
    """How many symbols of each fresh stream are read without error, with frozen weights; at most ``symbols``."""
    last, last_legal = streams.take(1)
    lengths, alive = torch.full((last.shape[1],), symbols), torch.ones(last.shape[1], dtype=torch.bool)
    state, read = None, 0
    while read < symbols and bool(alive.any()):
        steps = min(chunk, symbols - read)
        more, more_legal = streams.take(steps)
        y, state = model(torch.cat([last, more[:-1]]), state)
        wrong = ~right(y, torch.cat([last_legal, more_legal[:-1]]), more)
        first = torch.where(wrong.any(0), wrong.int().argmax(0), steps)
        ended = alive & (first < steps)
        lengths[ended] = read + first[ended]
        alive &= ~ended
        read += steps
        last, last_legal = more[-1:], more_legal[-1:]
    return lengths.tolist()


@torch.no_grad()
def growth(model: Model, seed: int, symbols: int = 20_000, chunk: int = 500) -> dict[str, list[float]]:
    """The mean and the largest size of the last state along a stream that is read on, errors or not."""
    streams = grammar.Streams(TEST_STREAMS, np.random.default_rng([seed, 3]))
    state = None
    sizes: dict[str, list[float]] = {"symbols": [], "mean": [], "largest": []}
    for k in range(symbols // chunk):
        given, _ = streams.take(chunk)
        _, state = model(given, state)
        size = state[-1][-1].abs()
        sizes["symbols"].append((k + 1) * chunk)
        sizes["mean"].append(float(size.mean()))
        sizes["largest"].append(float(size.max()))
    return sizes


class Endless:
    """Streams without end: each update reads on where the one before stopped, and one stream begins anew.

    It does because test streams begin from fresh states. The streams of an update are walked to from the start, or
    from the update before.

    Arguments:
        seed: of the edges taken.
    """

    batch, updates_per_epoch = STREAMS, UPDATES

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._begin()

    def batch_at(self, update: int) -> Batch:
        """The batch of an update, counted from the start."""
        if update < len(self._ends) - 1:
            self._begin()
        while len(self._ends) <= update:
            self._latest = self._next()
        return self._latest

    def strings(self, updates: int) -> int:
        """How many were read in so many updates, which have been drawn."""
        return sum(self._ends[:updates]) // 2  # each has two E, that of the string inside and its own

    def _begin(self) -> None:
        self._streams = grammar.Streams(STREAMS, np.random.default_rng([self._seed, 2000]))
        self._last, _ = self._streams.take(1)
        self._ends: list[int] = []

    def _next(self) -> Batch:
        k = len(self._ends)
        anew, resets = (k + 1) % STREAMS, torch.zeros(WINDOW, STREAMS, dtype=torch.bool)
        resets[0, anew] = True
        self._last[0, anew] = self._streams.restart(anew)
        more, _ = self._streams.take(WINDOW)
        inputs, self._last = torch.cat([self._last, more[:-1]]), more[-1:].clone()
        self._ends.append(int((more == grammar.SYMBOLS.index("E")).sum()))
        return Batch(inputs, more, continues=k > 0, resets=resets)


def run(setting: Setting, seed: int) -> Outcome:
    """Train on endless streams, states carried on, until ten test streams are read without error.

    The learning rate falls linearly to zero over the budget. ``sequences`` counts strings read in training; the score
    is that of the last test.
    """
    model, streams, tested = begin(setting.cell, HIDDEN, seed), Endless(seed), np.random.default_rng([seed, 2])
    lengths: list[int] = []

    def error_free_symbols(model: Model) -> float:
        if not lengths:
            lengths[:] = error_free(model, grammar.Streams(TEST_STREAMS, tested))
        return float(np.mean(lengths))

    def solved(update: int, parts: Parts, record: dict[str, Any]) -> bool:
        if update % EVERY:
            return False
        lengths.clear()
        record["error_free"] = error_free_symbols(model)
        return min(lengths) == TEST_SYMBOLS

    measure = Metric("error free", "symbols", digits=0, higher=True)
    task = LabTask("continual-reber", streams, measure, error_free_symbols)
    trained = train(task, model, options(LEARNING_RATE), EVERY, solved, streams.strings)
    details = {"curve": trained.curve, "lengths": lengths, "state": growth(model, seed)}
    return Outcome(trained.solved, trained.shown, trained.score, details)


def chance(setting: Setting, generator: torch.Generator) -> float:
    """Symbols before the first error of random numbers as outputs, in the mean of 1,000 streams."""
    symbols, legal = grammar.Streams(1000, np.random.default_rng(1)).take(101)
    scores = torch.randn(legal[:-1].shape, generator=generator)
    wrong = ~right(scores, legal[:-1], symbols[1:])
    return float(wrong.int().argmax(0).float().mean())


EXPERIMENT = Experiment(
    name="continual-reber",
    title="Continual embedded Reber grammar",
    source="F. Gers, J. Schmidhuber & F. Cummins, Learning to forget: continual prediction with LSTM, "
    "Neural Computation 12 (2000), section 4",
    published="perfect in 18 % of 100 networks with forget gates, 62 % with a falling learning rate as well, "
    "0 % without forget gates (Table 2)",
    criterion="10 streams of 100,000 symbols each are read without a wrong prediction",
    measure="symbols before the first error, mean of 10 streams",
    settings=tuple(Setting(cell) for cell in ("lstm", "lstm1997", "gru", "elman")),
    run=run,
    chance=chance,
)
