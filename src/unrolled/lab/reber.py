"""The embedded Reber grammar: the first experiment of the LSTM paper."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from unrolled.lab import grammar
from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.lab.network import network
from unrolled.lab.task import LabTask, Parts, options, train
from unrolled.models.encoders import OneHot
from unrolled.models.heads import Softmax
from unrolled.models.model import Model
from unrolled.training.batches import Batch
from unrolled.training.drawn import Drawn
from unrolled.training.metric import Metric

TRAIN = TEST = 256
HIDDEN = 12
BATCH = 8
LEARNING_RATE = 0.01
BUDGET = 100_000
"""Strings shown at most."""


def strings_of(seed: int) -> tuple[list[str], list[str]]:
    """256 training strings, and 256 test strings that are not among them."""
    rng = np.random.default_rng([seed, 1997])
    train = grammar.draw_many(TRAIN, rng)
    return train, grammar.draw_many(TEST, rng, without=set(train))


@torch.no_grad()
def right(model: Model, strings: list[str]) -> float:
    """The share of symbols predicted right; 1 only where every symbol of every string is."""
    batch, legal = grammar.encode(strings)
    outputs, _ = model(batch.inputs, lengths=batch.lengths)
    good = grammar.predicted(outputs, legal)[batch.mask]
    return 1.0 if bool(good.all()) else int(good.sum()) / good.numel()


def begin(cell: str, hidden: int, seed: int) -> Model:
    """A fresh network over the seven symbols."""
    V = len(grammar.SYMBOLS)
    return network(cell, partial(OneHot, V), hidden, partial(Softmax, vocabulary_size=V), seed)


def run(setting: Setting, seed: int) -> Outcome:
    """Train on the training strings until every symbol of both sets is predicted right, or the budget is used up.

    The criterion is tested after each 256 strings.
    """
    train_strings, test_strings = strings_of(seed)
    model, every = begin(setting.cell, HIDDEN, seed), TRAIN // BATCH

    def solved(update: int, parts: Parts, record: dict[str, Any]) -> bool:
        if update % every:
            return False
        record |= {"train": right(model, train_strings), "test": right(model, test_strings)}
        return record["train"] == record["test"] == 1.0

    def draw(count: int, rng: np.random.Generator) -> Batch:
        return grammar.encode([train_strings[k] for k in rng.integers(TRAIN, size=count)])[0]

    def score(model: Model) -> float:
        return (right(model, train_strings) + right(model, test_strings)) / 2

    data = Drawn(draw, BATCH, BUDGET // BATCH, [seed, 1, 0])
    task = LabTask("reber", data, Metric("right", "of the symbols", higher=True), score)
    trained = train(task, model, options(LEARNING_RATE, schedule="constant"), every, solved)
    details = {"curve": trained.curve, "example": example(model, test_strings[0])}
    return Outcome(trained.solved, trained.shown, trained.score, details)


@torch.no_grad()
def example(model: Model, string: str) -> dict[str, object]:
    """What the network says to one string: the probabilities of all symbols behind each of its symbols."""
    outputs, _ = model(grammar.encode([string])[0].inputs)
    said = torch.softmax(outputs[:, 0], dim=-1)
    return {"string": string, "legal": grammar.legal_next(string)[:-1], "probabilities": said.tolist()}


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The score of random numbers as outputs, on the strings of seed 1."""
    shares = []
    for strings in strings_of(1):
        batch, legal = grammar.encode(strings)
        scores = torch.rand(legal.shape, generator=generator)
        shares.append(float(grammar.predicted(scores, legal)[batch.mask].float().mean()))
    return sum(shares) / 2


EXPERIMENT = Experiment(
    name="reber",
    title="Embedded Reber grammar",
    source="S. Hochreiter & J. Schmidhuber, Long short-term memory, Neural Computation 9 (1997), section 5.1",
    published="LSTM: 100 % of 30 trials, after 8,440 strings (3 blocks of 2 cells, learning rate 0.5) to 39,740; "
    "Elman net trained by Elman's procedure: 0 %, more than 200,000 (Table 1)",
    criterion="every symbol of 256 training strings and of 256 other strings is predicted right: all legal next "
    "symbols are more active than all others",
    measure="share of symbols predicted right",
    settings=tuple(Setting(cell) for cell in ("lstm", "lstm1997", "gru", "elman")),
    run=run,
    chance=chance,
)
