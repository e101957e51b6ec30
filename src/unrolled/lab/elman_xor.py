"""Exclusive or, spread over time: the first experiment of the simple recurrent network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.lab.network import read
from unrolled.lab.prediction import SETTINGS, bits, read_again, root_mean_square
from unrolled.lab.task import LabTask
from unrolled.models.model import Model
from unrolled.training.metric import Metric
from unrolled.training.streams import Streams

BITS = 3000
PASSES = 600
HIDDEN = 2
TRIALS, STEPS = 1200, 12
STREAMS, WINDOW = 10, 30
LEARNING_RATE = 0.02
EVERY = 10


def draw(count: int, rng: np.random.Generator) -> Tensor:
    """Two random bits, then their exclusive or, again and again: ``count`` bits (a multiple of three).

    >>> bits = draw(6, np.random.default_rng(0))
    >>> bool((bits[0] != bits[1]) == bits[2]), bits.shape
    (True, torch.Size([6]))
    """
    pairs = rng.integers(2, size=(count // 3, 2))
    triples = np.concatenate([pairs, pairs[:, :1] ^ pairs[:, 1:]], axis=1)
    return torch.from_numpy(triples.reshape(-1)).float()


def fresh_stream(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A fresh stream: inputs (3 + TRIALS * STEPS - 1, 1, 1), and its bits behind the first three (TRIALS, STEPS)."""
    bits = draw(3 + TRIALS * STEPS, rng)
    return bits[:-1].reshape(-1, 1, 1), bits[3:].reshape(TRIALS, STEPS)


def run(setting: Setting, seed: int) -> Outcome:
    """Train until every exclusive or of a fresh stream is predicted right, at most as many passes as in the paper."""
    model = bits(setting.cell, 1, HIDDEN, seed)
    inputs, wanted = fresh_stream(np.random.default_rng([seed, 1]))

    def said(model: Model) -> Tensor:
        return torch.sigmoid(read(model, inputs)[0][2:]).reshape(TRIALS, STEPS)

    def right(model: Model) -> float:
        return share_right(said(model), wanted)

    def done(passes: int, record: dict[str, Any]) -> bool:
        record["right"] = right(model)
        return record["right"] == 1

    stream = draw(BITS, np.random.default_rng([seed, 1990])).unsqueeze(1).numpy()
    measure = Metric("right", "of the exclusive ors", higher=True)
    task = LabTask("elman-xor", Streams(stream, STREAMS, WINDOW), measure, right)
    trained = read_again(task, model, PASSES, LEARNING_RATE, done, EVERY)
    details = {"curve": trained.curve, "error": root_mean_square(said(model) - wanted, 0).tolist()}
    return Outcome(trained.score == 1, trained.shown, trained.score, details)


def share_right(said: Tensor, wanted: Tensor) -> float:
    """The share of the exclusive ors on whose side of 1/2 the prediction lies; 1 only if all are right."""
    right = (said[:, 2::3] > 0.5) == (wanted[:, 2::3] > 0.5)
    return 1.0 if bool(right.all()) else int(right.sum()) / right.numel()


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The score of random numbers."""
    _, wanted = fresh_stream(np.random.default_rng(1))
    return share_right(torch.rand(wanted.shape, generator=generator), wanted)


EXPERIMENT = Experiment(
    name="elman-xor",
    title="Exclusive or spread over time",
    source="J. L. Elman, Finding structure in time, Cognitive Science 14 (1990), the first simulation",
    published="the error falls at every third bit (figure 3), after 600 passes through 3,000 bits; 1 input, 2 hidden "
    "units, 1 output",
    criterion="every third bit is predicted on the right side of 1/2 in a fresh stream of 1,200 times 12 bits (ours: "
    "the paper shows the error's fall)",
    measure="share of the exclusive ors predicted right",
    settings=SETTINGS,
    run=run,
    chance=chance,
    first_seed=101,
)
