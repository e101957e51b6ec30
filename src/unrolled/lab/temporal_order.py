"""Temporal order: which of X and Y came first, second, third among many other symbols."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.lab.answers import Problem, Training, guessed, learn
from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.models.encoders import OneHot
from unrolled.models.heads import Softmax
from unrolled.training.batches import Batch

SYMBOLS = "EBabcdXY"
"""Begin, end (the trigger), four distractors, and the two that matter."""
LARGEST_ERROR = 0.3
PLACES = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}
"""From where to where each X or Y stands, in hundredths of T; the first symbol of a sequence is at 1."""
VARIANTS = {"two symbols (6a)": 2, "three symbols (6b)": 3}


def symbols(relevant: int, lag: int, lengths: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of symbols (T, N), 0 behind each one's end, and their classes (N,).

    A sequence begins with E and ends with B; between them are a, b, c or d at random, but X or Y, each as likely, at
    one place drawn from each of ``PLACES``. The class counts the order XX, XY, YX, YY.

    Source:
        Hochreiter & Schmidhuber (1997), section 5.6.
    """
    count, n = len(lengths), np.arange(len(lengths))
    drawn = rng.integers(SYMBOLS.index("a"), SYMBOLS.index("d") + 1, size=(int(lengths.max()), count))
    classes = np.zeros(count, dtype=np.int64)
    for low, high in PLACES[relevant]:
        place = rng.integers(low * lag // 100, high * lag // 100 + 1, size=count)
        second = rng.integers(2, size=count)
        drawn[place - 1, n] = SYMBOLS.index("X") + second
        classes = 2 * classes + second
    drawn[0] = SYMBOLS.index("E")
    drawn[lengths - 1, n] = SYMBOLS.index("B")
    drawn[np.arange(len(drawn))[:, None] >= lengths] = 0
    return drawn, classes


def draw(relevant: int, lag: int, count: int, rng: np.random.Generator) -> Batch:
    """Symbols, lengths from T to T + T/10, and the class of each sequence.

    >>> batch = draw(2, 100, 3, np.random.default_rng(0))
    >>> batch.inputs.shape[1:], batch.targets.shape
    (torch.Size([3]), torch.Size([3]))
    """
    lengths = rng.integers(lag, lag + lag // 10 + 1, size=count)
    drawn, classes = symbols(relevant, lag, lengths, rng)
    return Batch(torch.from_numpy(drawn), torch.from_numpy(classes), torch.from_numpy(lengths))


def difference(outputs: Tensor, targets: Tensor) -> Tensor:
    """The absolute error of each output, behind the softmax."""
    return (torch.softmax(outputs, dim=-1) - F.one_hot(targets, outputs.shape[-1])).abs()


def orders(variant: str) -> int:
    """How many orders there are."""
    return 2 ** VARIANTS[variant]


def problem(variant: str) -> Problem:
    """Task 6a or 6b."""
    encoder, head = partial(OneHot, len(SYMBOLS)), partial(Softmax, vocabulary_size=orders(variant))
    drawn = partial(draw, VARIANTS[variant])
    return Problem("temporal-order", encoder, head, drawn, difference, LARGEST_ERROR, mean_error=0.1)


TRAINING = Training(hidden=16, batch=50, rate=0.005, budget=300_000)


def run(setting: Setting, seed: int) -> Outcome:
    """One network, trained until the paper's criterion is met."""
    return learn(problem(setting.variant), TRAINING, setting, seed)


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The share of wrong answers of one class drawn at random with certainty."""

    def guess(batch: Batch, generator: torch.Generator) -> Tensor:
        count = orders(setting.variant)
        return 100.0 * F.one_hot(torch.randint(count, (len(batch.targets),), generator=generator), count)

    return guessed(problem(setting.variant), setting.lag or 100, guess, generator)


EXPERIMENT = Experiment(
    name="temporal-order",
    title="Temporal order",
    source="S. Hochreiter & J. Schmidhuber, Long short-term memory, Neural Computation 9 (1997), section 5.6",
    published="LSTM: 31,390 sequences for task 6a (mean of 20 trials), 571,100 for 6b (of 10); at most 3 of 2,560 "
    "test sequences wrong (Table 9)",
    criterion="the 2,000 most recent training sequences are all classified right, every output within 0.3 of its "
    "target, and their mean squared error is below 0.1",
    measure="share of 2,560 fresh sequences classified wrongly",
    settings=tuple(Setting(cell, 100, v) for v in VARIANTS for cell in ("lstm", "gru", "lstm1997", "elman")),
    run=run,
    chance=chance,
    published_at={
        (100, "two symbols (6a)"): "LSTM: 31,390 sequences (Table 9)",
        (100, "three symbols (6b)"): "LSTM: 571,100 sequences (Table 9)",
    },
    least_lag=20,
)
