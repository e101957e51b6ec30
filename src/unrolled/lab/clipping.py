"""Temporal order at growing length, by gradient descent with and without clipping."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.lab.experiment import Experiment, Outcome, Outcomes, Setting
from unrolled.lab.predictor import Predictor
from unrolled.lab.sequences import Batch, Recent, Task, Training, guessed, share_wrong, train
from unrolled.lab.temporal_order import SYMBOLS, symbols

LENGTHS = (20, 30, 40, 50, 70, 100)
CLIPPED, FREE = "norm clipped at 1", "not clipped"
FRESH, SHARE = 10_000, 0.01
EVERY = 500
"""Updates between two tests."""
TRAINING = Training(hidden=50, batch=20, rate=0.05, budget=400_000, chrono=False, plain=True)


def draw(lag: int, count: int, rng: np.random.Generator) -> Batch:
    """The sequences of task 6a of 1997, all of length T.

    >>> draw(50, 4, np.random.default_rng(1)).x.shape
    torch.Size([50, 4, 8])
    """
    lengths = np.full(count, lag)
    drawn, classes = symbols(2, lag, lengths, rng)
    x = F.one_hot(torch.from_numpy(drawn), len(SYMBOLS)).float()
    return Batch(x, torch.from_numpy(lengths), torch.from_numpy(classes))


def misclassified(y: Tensor, target: Tensor) -> Tensor:
    """1 where another class is the most active one, or none is, else 0 (N, 1)."""
    right = y.argmax(-1) == target
    return 1.0 - (right & y.isfinite().all(-1)).float()[:, None]


TASK = Task(len(SYMBOLS), 4, draw, F.cross_entropy, misclassified, largest=0.5)


def run(setting: Setting, seed: int) -> Outcome:
    """One network, trained by plain gradient descent until fewer than 1 % of 10,000 fresh sequences are wrong."""
    training = TRAINING if setting.variant == CLIPPED else dataclasses.replace(TRAINING, clip=None)
    tested = np.random.default_rng([seed, setting.lag or 0, 3])

    def solved(net: Predictor, recent: Recent, shown: int) -> bool:
        updates = shown // training.batch
        promising = updates % EVERY == 0 and recent.wrong < 2 * SHARE * 2000
        return promising and share_wrong(net, TASK, setting.lag or 0, FRESH, tested) < SHARE

    return train(TASK, training, setting, seed, solved)


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The share of wrong answers of random outputs."""

    def guess(batch: Batch, generator: torch.Generator) -> Tensor:
        return torch.rand(len(batch.target), 4, generator=generator)

    return guessed(TASK, setting.lag or LENGTHS[0], guess, generator)


def draw_lengths(experiment: Experiment, outcomes: Outcomes) -> object:
    """The share of seeds that succeed against the length."""
    from unrolled.lab.figures import draw_success

    return draw_success(experiment, outcomes)


EXPERIMENT = Experiment(
    name="clipping",
    title="Temporal order at growing length, with and without clipping",
    source="R. Pascanu, T. Mikolov & Y. Bengio, On the difficulty of training recurrent neural networks, ICML 2013, "
    "section 4.1.1",
    published="the success rate of 5 networks of 50 units, within 5,000,000 updates, falls with the length, more "
    "slowly with clipping; with a regulariser as well it is 100 % up to 200 (figure 7; no numbers are printed)",
    criterion="fewer than 1 % of 10,000 fresh sequences are misclassified",
    measure="share of 2,560 fresh sequences misclassified",
    settings=tuple(Setting(cell, lag, v) for lag in LENGTHS for cell in ("elman",) for v in (CLIPPED, FREE)),
    run=run,
    chance=chance,
    draw=draw_lengths,
    least_lag=20,
    seeds=5,
)
