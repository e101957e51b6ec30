"""Long lags without any hint in between: the second symbol, or the first, says what the last will be."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.lab.answers import Problem, Training, guessed, judged, task_of
from unrolled.lab.experiment import Experiment, Outcome, Setting
from unrolled.lab.network import network
from unrolled.lab.task import Parts, options, train
from unrolled.models.encoders import Embedding
from unrolled.models.heads import Softmax
from unrolled.models.model import Model
from unrolled.training.batches import Batch

ONE, RANDOM = "one path (2a)", "random symbols (2c)"
SUCCESSIVE = 10_000
"""Random sequences that must all be right behind training."""
STOP = 0.1
"""The probability of the end of the distractors at each step behind the shortest."""


def draw_one(lag: int, count: int, rng: np.random.Generator) -> Batch:
    """y, a_1, ..., a_{p-1}, y or x, a_1, ..., a_{p-1}, x: inputs (p, N), and the next symbols as targets (p, N).

    p is T. Symbols are numbered a_1 to a_{p-1}, x, y.

    Source:
        Hochreiter & Schmidhuber (1997), section 5.2, task 2a.

    >>> batch = draw_one(4, 3, np.random.default_rng(0))
    >>> [int(s) for s in batch.inputs[1:, 0]], bool((batch.targets[-1] == batch.inputs[0]).all())
    ([0, 1, 2], True)
    """
    ends = torch.from_numpy(rng.integers(lag - 1, lag + 1, size=count))
    path = torch.arange(lag - 1)[:, None].expand(-1, count)
    whole = torch.cat([ends[None], path, ends[None]])
    return Batch(whole[:-1], whole[1:], torch.full((count,), lag), torch.ones(lag, count, dtype=torch.bool))


def draw_random(lag: int, count: int, rng: np.random.Generator) -> Batch:
    """b, then x or y, then q + k distractors, then e: inputs (T, N), and whether the last symbol is y (N,).

    With q = p = T: each distractor is one of p at random, and behind the first q each further step is the e with
    probability 1/10. Symbols are numbered a_1 to a_p, e, b, x, y.

    Source:
        Hochreiter & Schmidhuber (1997), section 5.2, task 2c.

    >>> batch = draw_random(4, 3, np.random.default_rng(0))
    >>> [int(s) for s in batch.inputs[0]], int(batch.inputs[batch.lengths[0] - 1, 0])
    ([5, 5, 5], 4)
    """
    e, b, x = lag, lag + 1, lag + 2
    lengths = lag + 3 + rng.geometric(STOP, size=count) - 1
    drawn = rng.integers(lag, size=(int(lengths.max()), count))
    which = rng.integers(2, size=count)
    drawn[0], drawn[1] = b, x + which
    drawn[lengths - 1, np.arange(count)] = e
    drawn[np.arange(len(drawn))[:, None] >= lengths] = 0
    return Batch(torch.from_numpy(drawn), torch.from_numpy(which), torch.from_numpy(lengths))


def difference(outputs: Tensor, targets: Tensor) -> Tensor:
    """The largest absolute error of all outputs at each step, behind the softmax (N, steps).

    It is that of the right one: outputs sum to 1, so no other can be larger than what the right one lacks.
    """
    missing = 1 - torch.softmax(outputs, dim=-1).gather(-1, targets[..., None])
    return missing[..., 0].T if targets.dim() == 2 else missing


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


def problem(variant: str, lag: int) -> Problem:
    """Task 2a or 2c."""
    count, outputs = (lag + 1, lag + 1) if variant == ONE else (lag + 4, 2)
    network = partial(Embedding, count, WIDTH), partial(Softmax, vocabulary_size=outputs)
    draw, largest = (draw_one, 0.25) if variant == ONE else (draw_random, 0.2)
    return Problem("long-lag", *network, draw, difference, largest, tested=1000)


class Direct(Model):
    """A model whose symbols reach the outputs by connections of their own as well.

    Equation::

        y_t = head(h_t) + W_xy x_t        for one-hot x_t; W_xy begins at 0
    """

    def __init__(self, encoder: Any, stack: Any, head: Any, graph: str) -> None:
        super().__init__(encoder, stack, head, graph)
        self.direct = nn.Embedding(len(encoder.weight), head.output_size)
        nn.init.zeros_(self.direct.weight)

    def forward(self, inputs: Tensor, *args: Any, **others: Any) -> tuple[Tensor, Any]:
        """As in `Model`."""
        outputs, state = super().forward(inputs, *args, **others)
        return outputs + self.direct(inputs), state


def begin(setting: Setting, seed: int) -> Model:
    """A fresh network."""
    one, hidden = problem(setting.variant, setting.lag or 0), TRAINING[setting.variant].hidden
    graph, kind = ("many-to-many", Direct) if setting.variant == ONE else ("many-to-one", Model)
    return network(setting.cell, one.encoder, hidden, one.head, seed, setting.lag, graph, kind)


def learn_what_needs_no_memory(model: Direct, one: Problem, how: Training, lag: int, seed: int) -> int:
    """Train the direct connections of task 2a alone; sequences shown.

    All but the last symbol follow from the one before. Cells that are there from the start are put to that use, which
    saturates them, and they never serve as a memory: the paper's "abuse problem". Its remedy is this one: cells are
    added when the error has stopped to fall.
    """
    nn.init.zeros_(model.head.map.weight)
    model.requires_grad_(False)
    for weight in (model.direct.weight, model.head.map.bias):
        weight.requires_grad_(True)
    shown = FIRST * how.batch
    task = task_of(one, Training(how.hidden, how.batch, FIRST_RATE, shown), lag, seed, part=1)
    train(task, model, options(FIRST_RATE, clip="off", schedule="constant"), every=FIRST)
    model.requires_grad_(True)
    return shown


@torch.no_grad()
def all_right(model: Model, one: Problem, lag: int, count: int, rng: np.random.Generator) -> bool:
    """Whether ``count`` random sequences are right; the first part with a wrong one ends it."""
    for begun in range(0, count, 250):
        batch = one.draw(lag, min(250, count - begun), rng)
        outputs, _ = model(batch.inputs, lengths=batch.lengths)
        if bool(judged(one, outputs, batch.targets)[0].any()):
            return False
    return True


def run(setting: Setting, seed: int) -> Outcome:
    """Train until 10,000 random sequences, one behind another, are right, or the budget is used up."""
    lag, variant = setting.lag or 0, setting.variant
    one, how = problem(variant, lag), TRAINING[variant]
    model = begin(setting, seed)
    first = learn_what_needs_no_memory(model, one, how, lag, seed) if isinstance(model, Direct) else 0
    left = Training(how.hidden, how.batch, how.rate * (1 - first / how.budget), how.budget - first)
    tested, right = np.random.default_rng([seed, lag, 2]), 0

    def solved(update: int, parts: Parts, record: dict[str, Any]) -> bool:
        nonlocal right
        right = 0 if parts["wrong"][0] else right + how.batch
        if right < CONFIDENT:
            return False
        right = 0
        return all_right(model, one, lag, SUCCESSIVE, tested)

    def shown(update: int) -> int:
        return first + update * how.batch

    task = task_of(one, left, lag, seed)
    trained = train(task, model, left.options(), max(1, how.budget // how.batch // 200), solved, shown)
    return Outcome(trained.solved, trained.shown, trained.score, {"curve": trained.curve})


def chance(setting: Setting, generator: torch.Generator) -> float:
    """The share of wrong answers of x or y drawn at random with certainty; in task 2a the rest is as it should be."""
    lag = setting.lag or 100

    def guess(batch: Batch, generator: torch.Generator) -> Tensor:
        last = torch.randint(2, (batch.inputs.shape[1],), generator=generator)
        if setting.variant == RANDOM:
            return 100.0 * F.one_hot(last, 2)
        said = batch.targets.clone()
        said[-1] = lag - 1 + last
        return 100.0 * F.one_hot(said, lag + 1)

    return guessed(problem(setting.variant, lag), lag, guess, generator, count=1000)


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
    least_lag=3,
)
