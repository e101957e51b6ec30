"""Long lags without any hint in between: the second symbol, or the first, says what the last will be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.lab.predictor import Predictor, update
from unrolled.lab.sequences import Batch, Task, Training, guessed, judged, network

ONE, RANDOM = "one path (2a)", "random symbols (2c)"
SUCCESSIVE = 10_000
"""Random sequences that must all be right behind training."""
STOP = 0.1
"""The probability of the end of the distractors at each step behind the shortest."""


def draw_one(lag: int, count: int, rng: np.random.Generator) -> Batch:
    """y, a_1, ..., a_{p-1}, y or x, a_1, ..., a_{p-1}, x: inputs (p, N), and the next symbols as targets (N, p).

    p is T. Symbols are numbered a_1 to a_{p-1}, x, y.

    Source:
        Hochreiter & Schmidhuber (1997), section 5.2, task 2a.

    >>> batch = draw_one(4, 3, np.random.default_rng(0))
    >>> [int(s) for s in batch.x[1:, 0]], bool((batch.target[:, -1] == batch.x[0]).all())
    ([0, 1, 2], True)
    """
    ends = torch.from_numpy(rng.integers(lag - 1, lag + 1, size=count))
    path = torch.arange(lag - 1)[:, None].expand(-1, count)
    whole = torch.cat([ends[None], path, ends[None]])
    return Batch(whole[:-1], torch.full((count,), lag), whole[1:].T)


def draw_random(lag: int, count: int, rng: np.random.Generator) -> Batch:
    """b, then x or y, then q + k distractors, then e: inputs (T, N), and whether the last symbol is y (N,).

    With q = p = T: each distractor is one of p at random, and behind the first q each further step is the e with
    probability 1/10. Symbols are numbered a_1 to a_p, e, b, x, y.

    Source:
        Hochreiter & Schmidhuber (1997), section 5.2, task 2c.

    >>> batch = draw_random(4, 3, np.random.default_rng(0))
    >>> [int(s) for s in batch.x[0]], int(batch.x[batch.lengths[0] - 1, 0])
    ([5, 5, 5], 4)
    """
    e, b, x = lag, lag + 1, lag + 2
    lengths = lag + 3 + rng.geometric(STOP, size=count) - 1
    drawn = rng.integers(lag, size=(int(lengths.max()), count))
    which = rng.integers(2, size=count)
    drawn[0], drawn[1] = b, x + which
    drawn[lengths - 1, np.arange(count)] = e
    drawn[np.arange(len(drawn))[:, None] >= lengths] = 0
    return Batch(torch.from_numpy(drawn), torch.from_numpy(lengths), torch.from_numpy(which))


def difference(y: Tensor, target: Tensor) -> Tensor:
    """The largest absolute error of all outputs at each step, behind the softmax.

    It is that of the right one: outputs sum to 1, so no other can be larger than what the right one lacks.
    """
    missing = 1 - torch.softmax(y, dim=-1).gather(-1, target[..., None])
    return missing.flatten(1)


def loss_one(y: Tensor, target: Tensor) -> Tensor:
    """The mean cross-entropy of all next symbols."""
    return F.cross_entropy(y.flatten(0, 1), target.flatten())


def task(variant: str, lag: int) -> Task:
    """Task 2a or 2c."""
    if variant == ONE:
        return Task(WIDTH, lag + 1, draw_one, loss_one, difference, 0.25, symbols=lag + 1, direct=True)
    return Task(WIDTH, 2, draw_random, F.cross_entropy, difference, 0.2, symbols=lag + 4)


WIDTH = 16
"""What the one-hot vectors are mapped to, by a matrix without a bias, before the recurrent layer."""
TRAINING = {
    ONE: Training(hidden=8, batch=16, rate=0.01, budget=40_000),
    RANDOM: Training(hidden=16, batch=20, rate=0.003, budget=100_000),
}
FIRST, FIRST_RATE = 300, 1.0
"""In task 2a, updates of the connections from inputs to outputs alone, and Adam's rate for them."""
CONFIDENT = 500
"""Training sequences that must be right one behind another before the test of 10,000 is worth its time."""


def learn_what_needs_no_memory(net: Predictor, batches: Iterator[Batch]) -> int:
    """Train the direct connections of task 2a alone; sequences shown.

    All but the last symbol follow from the one before. Cells that are there from the start are put to that use, which
    saturates them, and they never serve as a memory: the paper's "abuse problem". Its remedy is this one: cells are
    added when the error has stopped to fall.
    """
    assert net.direct is not None
    nn.init.zeros_(net.map.weight)
    optimizer = torch.optim.Adam([net.direct.weight, net.map.bias], lr=FIRST_RATE)
    shown = 0
    for batch in islice(batches, FIRST):
        update(net, optimizer, loss_one(net.without_memory(batch.x).transpose(0, 1), batch.target), None)
        shown += len(batch.target)
    return shown


def answers(net: Predictor, variant: str, batch: Batch) -> Tensor:
    """y of every step (N, p, symbols) in task 2a, of the last (N, 2) in task 2c."""
    if variant == ONE:
        return net(batch.x)[0].transpose(0, 1)
    return net.last(batch.x, batch.lengths)


@torch.no_grad()
def wrong_in(net: Predictor, variant: str, lag: int, count: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Read ``count`` random sequences, part by part; which of a part are wrong."""
    one, part = task(variant, lag), 250
    for begun in range(0, count, part):
        batch = one.draw(lag, min(part, count - begun), rng)
        yield judged(one, answers(net, variant, batch), batch.target)[0]


def run(setting: Setting, seed: int) -> Outcome:
    """Train until 10,000 random sequences, one behind another, are right, or the budget is used up."""
    begun = time.process_time()
    lag, variant = setting.lag or 0, setting.variant
    one, how = task(variant, lag), TRAINING[variant]
    net = network(one, how, setting, seed)
    rng, tested = np.random.default_rng([seed, lag]), np.random.default_rng([seed, lag, 1])
    batches = iter(partial(one.draw, lag, how.batch, rng), None)
    curve: list[dict[str, Any]] = []
    losses: list[float] = []
    shown, right = learn_what_needs_no_memory(net, batches) if one.direct else 0, 0
    optimizer = torch.optim.Adam(net.parameters(), lr=how.rate)
    solved, every = False, how.budget // how.batch // 200
    while shown < how.budget and not solved:
        batch = next(batches)
        y = answers(net, variant, batch)
        wrong, _ = judged(one, y.detach(), batch.target)
        optimizer.param_groups[0]["lr"] = how.rate_at(shown)
        losses.append(update(net, optimizer, one.loss(y, batch.target), how.clip))
        shown += how.batch
        right = 0 if bool(wrong.any()) else right + how.batch
        if right >= CONFIDENT:
            right = 0
            solved = not any(bool(w.any()) for w in wrong_in(net, variant, lag, SUCCESSIVE, tested))
        if len(losses) == every or solved:
            curve.append({"sequences": shown, "loss": float(np.mean(losses))})
            losses = []
    score = float(torch.cat(list(wrong_in(net, variant, lag, 1000, tested))).double().mean())
    return Outcome(solved, shown, time.process_time() - begun, score, {"curve": curve})


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The share of wrong answers of x or y drawn at random with certainty; in task 2a the rest is as it should be."""
    one = task(setting.variant, setting.lag or 100)

    def guess(batch: Batch, generator: torch.Generator) -> Tensor:
        last = torch.randint(2, (len(batch.lengths),), generator=generator)
        if setting.variant == RANDOM:
            return 100.0 * F.one_hot(last, 2)
        said = batch.target.clone()
        said[:, -1] = one.outputs - 2 + last
        return 100.0 * F.one_hot(said, one.outputs)

    return guessed(one, setting.lag or 100, guess, generator, count=1000)


EXPERIMENT = Experiment(
    name="long-lag",
    title="Long time lags without local regularities",
    source="S. Hochreiter & J. Schmidhuber, Long short-term memory, Neural Computation 9 (1997), section 5.2",
    published="LSTM: 5,040 sequences for task 2a at p = 100, all of 18 trials (Table 2; BPTT and RTRL: none), and "
    "49,000 for 2c at q = p = 1,000 (Table 3, mean of 20 trials)",
    criterion="10,000 random sequences in a row without an error of 0.25 in any output at any step (2a), "
    "or of 0.2 at the last (2c)",
    measure="share of 1,000 fresh sequences with a larger error",
    settings=tuple(
        Setting(cell, lag, v)
        for lag, v in ((100, ONE), (1000, RANDOM))
        for cell in ("lstm", "gru", "lstm1997", "elman")
    ),
    run=run,
    chance=chance,
    published_at={
        (100, ONE): "LSTM: 100 %, 5,040 sequences; BPTT, RTRL: 0 % (Table 2)",
        (1000, RANDOM): "LSTM: 49,000 sequences (Table 3)",
    },
)
