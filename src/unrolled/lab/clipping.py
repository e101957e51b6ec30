"""Temporal order at growing length, by gradient descent with and without clipping."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import torch
from torch import Tensor

from unrolled.lab.answers import RECENT, Problem, Recent, Training, guessed, learn, share_wrong
from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.lab.temporal_order import SYMBOLS, symbols
from unrolled.models.encoders import OneHot
from unrolled.models.heads import Softmax
from unrolled.models.model import Model
from unrolled.training.batches import Batch

LENGTHS = (20, 30, 40, 50, 70, 100)
CLIPPED, FREE = "norm clipped at 1", "not clipped"
FRESH, SHARE = 10_000, 0.01
EVERY = 500
"""Updates between two tests."""
TRAINING = Training(hidden=50, batch=20, rate=0.05, budget=400_000, chrono=False, plain=True)


def draw(lag: int, count: int, rng: np.random.Generator) -> Batch:
    """The sequences of task 6a of 1997, all of length T.

    >>> draw(50, 4, np.random.default_rng(1)).inputs.shape
    torch.Size([50, 4])
    """
    lengths = np.full(count, lag)
    drawn, classes = symbols(2, lag, lengths, rng)
    return Batch(torch.from_numpy(drawn), torch.from_numpy(classes), torch.from_numpy(lengths))


def misclassified(outputs: Tensor, targets: Tensor) -> Tensor:
    """1 where another class is the most active one, or none is, else 0 (N, 1)."""
    right = outputs.argmax(-1) == targets
    return 1.0 - (right & outputs.isfinite().all(-1)).float()[:, None]


NETWORK = partial(OneHot, len(SYMBOLS)), partial(Softmax, vocabulary_size=4)
PROBLEM = Problem("clipping", *NETWORK, draw, misclassified, largest=0.5)


def run(setting: Setting, seed: int) -> Outcome:
    """One network, trained by plain gradient descent until fewer than 1 % of 10,000 fresh sequences are wrong."""
    training = TRAINING if setting.variant == CLIPPED else dataclasses.replace(TRAINING, clip="off")
    tested = np.random.default_rng([seed, setting.lag or 0, 3])

    def stop(model: Model, recent: Recent, update: int) -> bool:
        promising = update % EVERY == 0 and recent.wrong < 2 * SHARE * RECENT
        return promising and share_wrong(model, PROBLEM, setting.lag or 0, FRESH, tested) < SHARE

    return learn(PROBLEM, training, setting, seed, stop)


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The share of wrong answers of random outputs."""

    def guess(batch: Batch, generator: torch.Generator) -> Tensor:
        return torch.rand(len(batch.targets), 4, generator=generator)

    return guessed(PROBLEM, setting.lag or LENGTHS[0], guess, generator)


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
    least_lag=20,
    seeds=5,
)
