"""The adding problem: two numbers far back, marked among many, whose sum is asked for at the end."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from unrolled.lab.answers import Problem, Training, guessed, learn
from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.models.encoders import Vectors
from unrolled.models.heads import Regression
from unrolled.training.batches import Batch

LAGS = (100, 500, 1000)
CELLS = ("lstm", "gru", "lstm1997", "elman")
LARGEST_ERROR = 0.04


def marked_pairs(lag: int, count: int, rng: np.random.Generator, low: float, neutral: float) -> tuple[Tensor, ...]:
    """Sequences of (number, marker) pairs, two of them marked: x (T, N, 2), lengths (N,), both numbers (N, 2).

    Lengths are uniform from T to T + T/10. A marker of 1 stands at one of the first ten pairs, and at one of the
    first T/2 - 1 of the others; -1 at the first and the last pair; 0 elsewhere. Where the first pair is one of the
    two, its marker is 1 and its number becomes ``neutral``.

    Arguments:
        low: numbers are uniform from it to 1.
        neutral: what leaves the answer to the other number.

    Source:
        Hochreiter & Schmidhuber (1997), section 5.4.
    """
    lengths = rng.integers(lag, lag + lag // 10 + 1, size=count)
    T, n = int(lengths.max()), np.arange(count)
    number = rng.uniform(low, 1, size=(T, count))
    first = rng.integers(0, 10, size=count)
    second = rng.integers(0, lag // 2 - 1, size=count)
    second += second >= first  # one of the first T/2 - 1 that are not marked yet
    number[0, (first == 0) | (second == 0)] = neutral
    marker = np.zeros((T, count))
    marker[0] = marker[lengths - 1, n] = -1
    marker[first, n] = marker[second, n] = 1
    x = np.stack([number, marker], axis=-1)
    x[np.arange(T)[:, None] >= lengths] = 0
    values = np.stack([number[first, n], number[second, n]], axis=-1)
    return torch.from_numpy(x).float(), torch.from_numpy(lengths), torch.from_numpy(values).float()


def draw(lag: int, count: int, rng: np.random.Generator) -> Batch:
    """Numbers from -1 to 1; the target is 0.5 + (X1 + X2) / 4, from 0 to 1.

    >>> batch = draw(100, 3, np.random.default_rng(0))
    >>> batch.inputs.shape[1:], bool(((batch.targets > 0) & (batch.targets < 1)).all())
    (torch.Size([3, 2]), True)
    """
    x, lengths, values = marked_pairs(lag, count, rng, low=-1, neutral=0)
    return Batch(x, 0.5 + values.sum(-1, keepdim=True) / 4, lengths)


def difference(outputs: Tensor, targets: Tensor) -> Tensor:
    """The absolute error (N, 1)."""
    return (outputs - targets).abs()


NETWORK = partial(Vectors, 2), partial(Regression, output_size=1)
PROBLEM = Problem("adding", *NETWORK, draw, difference, LARGEST_ERROR, allowed=1, mean_error=0.01)
TRAINING = {
    100: Training(hidden=16, batch=50, rate=0.005, budget=400_000),
    500: Training(hidden=16, batch=50, rate=0.005, budget=500_000),
    1000: Training(hidden=16, batch=50, rate=0.005, budget=600_000),
}


def training(lag: int | None) -> Training:
    """That of the paper's lag nearest above, or of the longest."""
    return TRAINING[next((known for known in LAGS if known >= (lag or 0)), LAGS[-1])]


def run(setting: Setting, seed: int) -> Outcome:
    """One network, trained until the paper's criterion is met."""
    return learn(PROBLEM, training(setting.lag), setting, seed)


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The share of wrong answers of numbers drawn from 0 to 1."""
    return guessed(PROBLEM, setting.lag or LAGS[0], uniform, generator)


def uniform(batch: Batch, generator: torch.Generator) -> Tensor:
    """Numbers from 0 to 1 as answers (N, 1)."""
    return torch.rand(len(batch.targets), 1, generator=generator)


EXPERIMENT = Experiment(
    name="adding",
    title="The adding problem",
    source="S. Hochreiter & J. Schmidhuber, Long short-term memory, Neural Computation 9 (1997), section 5.4",
    published="LSTM: solved after 74,000 sequences at T = 100, 209,000 at 500, 853,000 at 1,000; at most 3 of 2,560 "
    "test sequences wrong (Table 7, means of 10 trials)",
    criterion="the 2,000 most recent training sequences are all within 0.04 of their targets, and their mean squared "
    "error is below 0.01",
    measure="share of 2,560 fresh sequences not within 0.04 of the target",
    settings=tuple(Setting(cell, lag) for lag in LAGS for cell in CELLS),
    run=run,
    chance=chance,
    published_at={
        (100, ""): "LSTM: 74,000 sequences (Table 7)",
        (500, ""): "LSTM: 209,000 sequences (Table 7)",
        (1000, ""): "LSTM: 853,000 sequences (Table 7)",
    },
    least_lag=20,
)
