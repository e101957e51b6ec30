"""The embedded Reber grammar: the first experiment of the LSTM paper."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.lab import grammar
from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.lab.predictor import Predictor, update

TRAIN = TEST = 256
HIDDEN = 12
BATCH = 8
LEARNING_RATE = 0.01
BUDGET = 100_000
"""Strings shown at most."""


def data(seed: int) -> tuple[list[str], list[str]]:
    """256 training strings, and 256 test strings that are not among them."""
    rng = np.random.default_rng([seed, 1997])
    train = grammar.draw_many(TRAIN, rng)
    return train, grammar.draw_many(TEST, rng, without=set(train))


def loss(net: Predictor, strings: list[str]) -> Tensor:
    """The mean cross-entropy of the next symbol, in nats."""
    symbols, _, lengths = grammar.encode(strings)
    y, _, _ = net(F.one_hot(symbols[:-1], len(grammar.SYMBOLS)).float())
    counted = torch.arange(len(y))[:, None] < lengths - 1
    return F.cross_entropy(y[counted], symbols[1:][counted])


@torch.no_grad()
def right(net: Predictor, strings: list[str]) -> float:
    """The share of symbols predicted right; 1 only where every symbol of every string is."""
    symbols, legal, lengths = grammar.encode(strings)
    y, _, _ = net(F.one_hot(symbols[:-1], len(grammar.SYMBOLS)).float())
    counted = torch.arange(len(y))[:, None] < lengths - 1
    good = grammar.predicted(y, legal)[counted]
    return 1.0 if bool(good.all()) else int(good.sum()) / good.numel()


def run(setting: Setting, seed: int) -> Outcome:
    """Train on the training strings until every symbol of both sets is predicted right, or the budget is used up.

    The criterion is tested after each 256 strings.
    """
    begun = time.process_time()
    train, test = data(seed)
    net = Predictor(setting.cell, len(grammar.SYMBOLS), HIDDEN, len(grammar.SYMBOLS), seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    rng = np.random.default_rng([seed, 1])
    curve: list[dict[str, float]] = []
    shown = 0
    while shown < BUDGET:
        losses = []
        for _ in range(TRAIN // BATCH):
            picked = rng.integers(TRAIN, size=BATCH)
            losses.append(update(net, optimizer, loss(net, [train[k] for k in picked])))
            shown += BATCH
        of_train, of_test = right(net, train), right(net, test)
        curve.append({"sequences": shown, "loss": float(np.mean(losses)), "train": of_train, "test": of_test})
        if of_train == of_test == 1.0:
            break
    details = {"curve": curve, "example": example(net, test[0])}
    solved = of_train == of_test == 1.0
    return Outcome(solved, shown, time.process_time() - begun, (of_train + of_test) / 2, details)


@torch.no_grad()
def example(net: Predictor, string: str) -> dict[str, object]:
    """What the network says to one string: the probabilities of all symbols behind each of its symbols."""
    symbols, _, _ = grammar.encode([string])
    y, _, _ = net(F.one_hot(symbols[:-1], len(grammar.SYMBOLS)).float())
    said = torch.softmax(y[:, 0], dim=-1)
    return {"string": string, "legal": grammar.legal_next(string)[:-1], "probabilities": said.tolist()}


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The score of random numbers as outputs, on the strings of seed 1."""
    shares = []
    for strings in data(1):
        _, legal, lengths = grammar.encode(strings)
        counted = torch.arange(len(legal))[:, None] < lengths - 1
        scores = torch.rand(legal.shape, generator=generator)
        shares.append(float(grammar.predicted(scores, legal)[counted].float().mean()))
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
