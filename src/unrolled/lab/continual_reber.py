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
from unrolled.training.task import Metric

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
def error_free(model: Model, streams: grammar.Streams, count: int, symbols: int, chunk: int = 1000) -> dict[str, Any]:
    """Read fresh streams with frozen weights, each up to its first error.

    Returns:
        ``lengths``, symbols before the first error of each stream (``symbols`` if there is none); ``at`` and
        ``largest``, the largest entry of the last state (c where there is one) by the end of each chunk.
    """
    lengths, alive = torch.full((count,), symbols), torch.ones(count, dtype=torch.bool)
    state, read = None, 0
    last, last_legal = streams.take(1)
    at, largest = [], []
    while read < symbols and bool(alive.any()):
        steps = min(chunk, symbols - read)
        more, more_legal = streams.take(steps)
        given, legal = torch.cat([last, more[:-1]]), torch.cat([last_legal, more_legal[:-1]])
        y, state = model(given, state)
        wrong = ~right(y, legal, more)
        first = torch.where(wrong.any(0), wrong.int().argmax(0), steps)
        ended = alive & (first < steps)
        lengths[ended] = read + first[ended]
        alive &= ~ended
        read += steps
        last, last_legal = more[-1:], more_legal[-1:]
        at.append(read)
        largest.append(float(state[-1][-1].abs().max()))
    return {"lengths": lengths.tolist(), "at": at, "largest": largest}


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


class Continual(LabTask):
    """The next symbol of endless streams."""

    unit = "symbols"
    criterion = Metric("error free", "symbols before the first error", digits=0, higher=True)

    def __init__(self, seed: int) -> None:
        self.streams = Endless(seed)
        super().__init__("continual-reber", self.streams)
        self._tested = np.random.default_rng([seed, 2])
        self.lengths: list[int] = []

    def test(self, model: Model) -> float:
        """Symbols before the first error, the mean over fresh streams; ``lengths`` has those of each."""
        fresh = grammar.Streams(TEST_STREAMS, self._tested)
        self.lengths = error_free(model, fresh, TEST_STREAMS, TEST_SYMBOLS)["lengths"]
        return float(np.mean(self.lengths))

    def score(self, model: Model) -> float:
        """That of the last test."""
        if not self.lengths:
            self.test(model)
        return float(np.mean(self.lengths))


def run(setting: Setting, seed: int) -> Outcome:
    """Train on endless streams, states carried on, until ten test streams are read without error.

    The learning rate falls linearly to zero over the budget. ``sequences`` counts strings read in training.
    """
    model, task = begin(setting.cell, HIDDEN, seed), Continual(seed)

    def solved(update: int, parts: Parts, record: dict[str, Any]) -> bool:
        if update % EVERY:
            return False
        record["error_free"] = task.test(model)
        return min(task.lengths) == TEST_SYMBOLS

    trained = train(task, model, options(LEARNING_RATE), EVERY, solved, task.streams.strings)
    details = {
        "curve": trained.curve,
        "lengths": task.lengths,
        "state": growth(model, seed),
        "updates": trained.updates,
    }
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
