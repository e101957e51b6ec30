"""The forget gate's first bias, 1 against 0, on sums and differences that are written out among other letters."""

from __future__ import annotations

import string
from functools import partial
from typing import Any

import numpy as np
import torch

from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.lab.network import network
from unrolled.lab.task import LabTask, Parts, options, train
from unrolled.models.encoders import Embedding
from unrolled.models.heads import Softmax
from unrolled.models.model import Model
from unrolled.training.batches import Batch
from unrolled.training.drawn import Drawn
from unrolled.training.metric import Metric

SYMBOLS = string.ascii_lowercase + string.digits + "+-.="
DIGITS = 1
"""Of each number at most; the paper has 8, and trains for much longer."""
MOST_DISTRACTORS = 3
BIASES = {"forget bias 1": 1.0, "forget bias 0": 0.0}
HIDDEN, WIDTH, BATCH, RATE, BUDGET = 64, 32, 50, 0.005, 150_000
EVERY = 100
"""Updates between two tests."""
TESTED = 1000
ACCURACY = 0.90163
"""What the paper's LSTM with bias 1 reaches on its own sizes."""


def problem(rng: np.random.Generator, digits: int = DIGITS) -> tuple[str, str]:
    """A problem up to its ``=``, and the answer up to its full stop.

    Two numbers of 1 to ``digits`` digits each, added or subtracted; the first may be negative. Behind each symbol but
    the last come none to three letters at random.

    Source:
        R. Jozefowicz, W. Zaremba & I. Sutskever (2015), section 3.1.1. The paper does not say how many letters; its
        example has none to three.

    >>> problem(np.random.default_rng(5))
    ('-6-8kdb=', '-14.')
    """
    one, two = (int(rng.integers(10 ** int(rng.integers(1, digits + 1)))) for _ in range(2))
    one = one if rng.integers(4) else -one
    sign = "+-"[rng.integers(2)]
    asked = f"{one}{sign}{two}"
    letters = rng.integers(26, size=(len(asked), MOST_DISTRACTORS))
    counts = rng.integers(MOST_DISTRACTORS + 1, size=len(asked))
    mixed = [
        symbol + "".join(string.ascii_lowercase[k] for k in letters[i, : counts[i]]) for i, symbol in enumerate(asked)
    ]
    return "".join(mixed) + "=", f"{one + two if sign == '+' else one - two}."


def encode(problems: list[tuple[str, str]]) -> Batch:
    """Symbols, and the next symbols as targets (T, N), of which those count that belong to the answer."""
    lengths = torch.tensor([len(asked) + len(answer) - 1 for asked, answer in problems])
    T = int(lengths.max())
    inputs, targets = (torch.zeros(T, len(problems), dtype=torch.long) for _ in range(2))
    mask = torch.zeros(T, len(problems), dtype=torch.bool)
    for n, (asked, answer) in enumerate(problems):
        whole = torch.tensor([SYMBOLS.index(s) for s in asked + answer])
        inputs[: len(whole) - 1, n], targets[: len(whole) - 1, n] = whole[:-1], whole[1:]
        mask[len(asked) - 1 : len(whole) - 1, n] = True
    return Batch(inputs, targets, lengths, mask)


def draw(count: int, rng: np.random.Generator) -> Batch:
    """Problems drawn anew."""
    return encode([problem(rng) for _ in range(count)])


def begin(setting: Setting, seed: int) -> Model:
    """A fresh network, with the setting's forget bias."""
    V = len(SYMBOLS)
    encoder, head = partial(Embedding, V, WIDTH), partial(Softmax, vocabulary_size=V)
    return network(setting.cell, encoder, HIDDEN, head, seed, forget_bias=BIASES.get(setting.variant))


@torch.no_grad()
def accuracy(model: Model, batch: Batch) -> float:
    """The share of the answers' symbols predicted right, each with the true ones before it."""
    outputs, _ = model(batch.inputs, lengths=batch.lengths)
    return float((outputs.argmax(-1) == batch.targets)[batch.mask].double().mean())


def run(setting: Setting, seed: int) -> Outcome:
    """One network, trained on fresh problems until its accuracy is the paper's, or the budget is used up."""
    model = begin(setting, seed)
    tested, fresh = (draw(TESTED, np.random.default_rng([seed, 2015, part])) for part in (1, 2))
    data = Drawn(draw, BATCH, BUDGET // BATCH, [seed, 2015, 0])
    measure = Metric("accuracy", "of the answers' symbols", higher=True)
    task = LabTask("forget-bias", data, measure, lambda model: accuracy(model, fresh))

    def solved(update: int, parts: Parts, record: dict[str, Any]) -> bool:
        if update % EVERY:
            return False
        record["accuracy"] = accuracy(model, tested)
        return record["accuracy"] >= ACCURACY

    trained = train(task, model, options(RATE), EVERY, solved)
    return Outcome(trained.solved, trained.shown, trained.score, {"curve": trained.curve})


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The accuracy of symbols drawn at random from the ten digits, the minus and the full stop."""
    batch = draw(2000, np.random.default_rng(1))
    known = torch.tensor([SYMBOLS.index(s) for s in string.digits + "-."])
    counted = batch.targets[batch.mask]
    drawn = known[torch.randint(len(known), counted.shape, generator=generator)]
    return float((drawn == counted).double().mean())


EXPERIMENT = Experiment(
    name="forget-bias",
    title="The forget gate's bias, on arithmetic",
    source="R. Jozefowicz, W. Zaremba & I. Sutskever, An empirical exploration of recurrent network architectures, "
    "ICML 2015, section 3.1.1; numbers of 1 digit here, up to 8 in the paper",
    published="accuracy on arithmetic: LSTM with bias 1 0.902, with bias 0 0.892, GRU 0.896, tanh 0.295 (Table 1)",
    criterion="0.90163 of the answers' symbols are predicted right, the accuracy of the paper's LSTM with bias 1",
    measure="share of the answers' symbols predicted right, in 1,000 fresh problems",
    settings=(*(Setting("lstm", None, v) for v in BIASES), Setting("gru"), Setting("elman")),
    run=run,
    chance=chance,
    published_at={
        (None, "forget bias 1"): "LSTM-b: accuracy 0.90163 (Table 1)",
        (None, "forget bias 0"): "LSTM: accuracy 0.89228 (Table 1)",
    },
)
