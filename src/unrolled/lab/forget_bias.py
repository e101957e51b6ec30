"""The forget gate's first bias, 1 against 0, on sums and differences that are written out among other letters."""

from __future__ import annotations

import string
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.lab.predictor import Predictor, update

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


def encode(problems: list[tuple[str, str]]) -> tuple[Tensor, Tensor]:
    """Symbols (T, N), and the next symbol where it belongs to the answer, -1 elsewhere (T, N)."""
    T = max(len(asked) + len(answer) for asked, answer in problems) - 1
    x = torch.zeros(T, len(problems), dtype=torch.long)
    target = torch.full((T, len(problems)), -1)
    for n, (asked, answer) in enumerate(problems):
        whole = torch.tensor([SYMBOLS.index(s) for s in asked + answer])
        x[: len(whole) - 1, n] = whole[:-1]
        target[len(asked) - 1 : len(whole) - 1, n] = whole[len(asked) :]
    return x, target


def network(setting: Setting, seed: int) -> Predictor:
    """A fresh network, with the setting's forget bias."""
    net = Predictor(setting.cell, WIDTH, HIDDEN, len(SYMBOLS), seed, symbols=len(SYMBOLS))
    if setting.variant:
        gates: Any = net.layer.cell.x
        gates.bias.data[gates.rows("f")] = BIASES[setting.variant]
    return net


@torch.no_grad()
def accuracy(net: Predictor, x: Tensor, target: Tensor) -> float:
    """The share of the answers' symbols predicted right, each with the true ones before it."""
    y, _, _ = net(x)
    counted = target >= 0
    return float((y.argmax(-1) == target)[counted].double().mean())


def run(setting: Setting, seed: int) -> Outcome:
    """One network, trained on fresh problems until its accuracy is the paper's, or the budget is used up."""
    begun = time.process_time()
    net = network(setting, seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    rng = np.random.default_rng([seed, 2015])
    tested = encode([problem(rng) for _ in range(TESTED)])
    curve: list[dict[str, float]] = []
    losses: list[float] = []
    shown, reached = 0, 0.0
    while shown < BUDGET and reached < ACCURACY:
        x, target = encode([problem(rng) for _ in range(BATCH)])
        y, _, _ = net(x)
        optimizer.param_groups[0]["lr"] = RATE * (1 - shown / BUDGET)
        losses.append(update(net, optimizer, F.cross_entropy(y.flatten(0, 1), target.flatten(), ignore_index=-1)))
        shown += BATCH
        if len(losses) == EVERY:
            reached = accuracy(net, *tested)
            curve.append({"sequences": shown, "loss": float(np.mean(losses)), "accuracy": reached})
            losses = []
    fresh = encode([problem(rng) for _ in range(TESTED)])
    seconds = time.process_time() - begun
    return Outcome(reached >= ACCURACY, shown, seconds, accuracy(net, *fresh), {"curve": curve})


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The accuracy of symbols drawn at random from the ten digits, the minus and the full stop."""
    rng = np.random.default_rng(1)
    _, target = encode([problem(rng) for _ in range(2000)])
    known = torch.tensor([SYMBOLS.index(s) for s in string.digits + "-."])
    counted = target[target >= 0]
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
