"""Exclusive or, spread over time: the first experiment of the simple recurrent network."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unrolled.drawing import COLOURS, new_figure
from unrolled.lab.experiment import Experiment, Outcome, Outcomes, Setting
from unrolled.lab.figures import draw_seeds
from unrolled.lab.prediction import SETTINGS, read, root_mean_square, side_by_side, train
from unrolled.lab.predictor import Predictor

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
    begun = time.process_time()
    net = Predictor(setting.cell, 1, HIDDEN, 1, seed)
    bits = side_by_side(draw(BITS, np.random.default_rng([seed, 1990])).unsqueeze(1), STREAMS)
    inputs, wanted = fresh_stream(np.random.default_rng([seed, 1]))

    def said() -> Tensor:
        return torch.sigmoid(read(net, inputs)[0][2:]).reshape(TRIALS, STEPS)

    def done(record: dict[str, float]) -> bool:
        record["right"] = share_right(said(), wanted)
        return record["right"] == 1

    curve = train(net, bits[:-1], bits[1:], PASSES, WINDOW, LEARNING_RATE, done=done, every=EVERY)
    details = {"curve": curve, "error": root_mean_square(said() - wanted, 0).tolist()}
    score = curve[-1]["right"]
    return Outcome(score == 1, int(curve[-1]["sequences"]), time.process_time() - begun, score, details)


def share_right(said: Tensor, wanted: Tensor) -> float:
    """The share of the exclusive ors on whose side of 1/2 the prediction lies; 1 only if all are right."""
    right = (said[:, 2::3] > 0.5) == (wanted[:, 2::3] > 0.5)
    return 1.0 if bool(right.all()) else int(right.sum()) / right.numel()


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The score of random numbers."""
    _, wanted = fresh_stream(np.random.default_rng(1))
    return share_right(torch.rand(wanted.shape, generator=generator), wanted)


def picture(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The error over twelve consecutive bits, as in the paper's figure 3: a faint line a seed, and their median."""
    figure = new_figure(6.4, 3.6)
    axes = figure.add_subplot()
    steps = np.arange(1, STEPS + 1)
    for colour, (setting, of) in zip(COLOURS, outcomes.items(), strict=False):
        draw_seeds(axes, steps, [outcome.details["error"] for outcome in of], colour, str(setting))
    for third in steps[2::3]:
        axes.axvspan(third - 0.25, third + 0.25, color="#eeeeee", zorder=0)
    axes.axhline(0.5, color="#555555", linewidth=1, linestyle=":", label="always saying 1/2")
    axes.set_xticks(steps)
    axes.set_ylim(0, None)
    axes.set_xlabel("bit predicted (grey: an exclusive or of the two before it)")
    axes.set_ylabel("root mean square error")
    axes.set_title(experiment.title, fontsize=10)
    axes.legend(fontsize=8, frameon=False, ncols=2)
    return figure


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
    draw=picture,
    first_seed=101,
)
