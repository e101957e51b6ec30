"""The embedded Reber grammar as one endless stream: why the forget gate was invented."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.lab import grammar
from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.lab.predictor import Predictor, update

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
def error_free(
    net: Predictor, streams: grammar.Streams, count: int, symbols: int, chunk: int = 1000
) -> dict[str, Any]:
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
        y, _, state = net(F.one_hot(given, V).float(), state)
        wrong = ~right(y, legal, more)
        first = torch.where(wrong.any(0), wrong.int().argmax(0), steps)
        ended = alive & (first < steps)
        lengths[ended] = read + first[ended]
        alive &= ~ended
        read += steps
        last, last_legal = more[-1:], more_legal[-1:]
        at.append(read)
        largest.append(float(state[-1].abs().max()))
    return {"lengths": lengths.tolist(), "at": at, "largest": largest}


@torch.no_grad()
def growth(net: Predictor, seed: int, symbols: int = 20_000, chunk: int = 500) -> dict[str, list[float]]:
    """The mean and the largest size of the last state along a stream that is read on, errors or not."""
    streams = grammar.Streams(TEST_STREAMS, np.random.default_rng([seed, 3]))
    state = None
    made: dict[str, list[float]] = {"symbols": [], "mean": [], "largest": []}
    for k in range(symbols // chunk):
        given, _ = streams.take(chunk)
        _, _, state = net(F.one_hot(given, V).float(), state)
        size = state[-1].abs()
        made["symbols"].append((k + 1) * chunk)
        made["mean"].append(float(size.mean()))
        made["largest"].append(float(size.max()))
    return made


def run(setting: Setting, seed: int) -> Outcome:
    """Train on endless streams, states carried on and never reset, until ten test streams are read without error.

    The learning rate falls linearly to zero over the budget. ``sequences`` counts strings read in training.
    """
    begun = time.process_time()
    net = Predictor(setting.cell, V, HIDDEN, V, seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    streams = grammar.Streams(STREAMS, np.random.default_rng([seed, 2000]))
    tested = np.random.default_rng([seed, 2])
    state, ends, curve, losses = None, 0, [], []
    end = grammar.SYMBOLS.index("E")
    last, _ = streams.take(1)
    for k in range(1, UPDATES + 1):
        anew = k % STREAMS  # test streams begin from a zero state, so training streams do now and then
        last[0, anew] = streams.restart(anew)
        if state is not None:
            for part in state:
                part[anew] = 0
        more, _ = streams.take(WINDOW)
        y, _, state = net(F.one_hot(torch.cat([last, more[:-1]]), V).float(), state)
        state, last = tuple(s.detach().clone() for s in state), more[-1:].clone()
        ends += int((more == end).sum())  # each string has two, that of the string inside and its own
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - (k - 1) / UPDATES)
        losses.append(update(net, optimizer, F.cross_entropy(y.flatten(0, 1), more.flatten())))
        if k % EVERY == 0:
            found = error_free(net, grammar.Streams(TEST_STREAMS, tested), TEST_STREAMS, TEST_SYMBOLS)
            mean = float(np.mean(found["lengths"]))
            curve.append({"sequences": ends // 2, "loss": float(np.mean(losses)), "error_free": mean})
            losses = []
            if min(found["lengths"]) == TEST_SYMBOLS:
                break
    solved = min(found["lengths"]) == TEST_SYMBOLS
    details = {"curve": curve, "lengths": found["lengths"], "state": growth(net, seed), "updates": k}
    return Outcome(solved, ends // 2, time.process_time() - begun, mean, details)


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
