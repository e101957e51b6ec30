"""The multiplication problem: the adding problem with a product, which no sum of inputs gives."""

from __future__ import annotations

import numpy as np
import torch

from unrolled.lab.adding import CELLS, LARGEST_ERROR, NETWORK, difference, marked_pairs, uniform
from unrolled.lab.answers import Problem, Training, guessed, learn
from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.training.batches import Batch


def draw(lag: int, count: int, rng: np.random.Generator) -> Batch:
    """Numbers from 0 to 1; the target is X1 X2.

    >>> batch = draw(100, 3, np.random.default_rng(0))
    >>> bool(((batch.targets >= 0) & (batch.targets <= 1)).all())
    True
    """
    x, lengths, values = marked_pairs(lag, count, rng, low=0, neutral=1)
    return Batch(x, values.prod(-1, keepdim=True), lengths)


PROBLEM = Problem("multiplication", *NETWORK, draw, difference, LARGEST_ERROR, allowed=13)
TRAINING = Training(hidden=32, batch=50, rate=0.005, budget=400_000)


def run(setting: Setting, seed: int) -> Outcome:
    """One network, trained until the paper's stricter criterion is met."""
    return learn(PROBLEM, TRAINING, setting, seed)


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The share of wrong answers of numbers drawn from 0 to 1."""
    return guessed(PROBLEM, setting.lag or 100, uniform, generator)


EXPERIMENT = Experiment(
    name="multiplication",
    title="The multiplication problem",
    source="S. Hochreiter & J. Schmidhuber, Long short-term memory, Neural Computation 9 (1997), section 5.5",
    published="LSTM: 482,000 sequences to fewer than 140 wrong of the 2,000 most recent, 1,273,000 to fewer than 13 "
    "(Table 8, means of 10 trials)",
    criterion="of the 2,000 most recent training sequences, fewer than 13 are not within 0.04 of their targets",
    measure="share of 2,560 fresh sequences not within 0.04 of the target",
    settings=tuple(Setting(cell, 100) for cell in CELLS),
    run=run,
    chance=chance,
    least_lag=20,
)
