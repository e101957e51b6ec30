"""Experiments with one answer at the end of each sequence: how their networks are trained, and when they stop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unrolled.lab.experiment import Outcome, Setting
from unrolled.lab.predictor import Predictor, update

RECENT = 2000
"""Of the training sequences, how many must be right."""
TESTED = 2560
"""Fresh sequences that a trained network is tested on."""


@dataclass(frozen=True)
class Batch:
    """Sequences of different lengths.

    Shapes:
        x (T, N, D), zero behind each sequence's end, or symbols (T, N); lengths (N,); target (N,) or (N, outputs).
    """

    x: Tensor
    lengths: Tensor
    target: Tensor


@dataclass(frozen=True)
class Task:
    """What is to be learnt.

    Fields:
        inputs, outputs: D, and the width of y.
        symbols: how many there are, where x is symbols.
        direct: whether they are connected to the outputs as well.
        draw: T, how many, and a generator to sequences drawn anew.
        loss: of y (N, outputs) and the targets, what training descends.
        error: each sequence's absolute errors, (N, outputs), in the paper's units.
        largest: a sequence is wrong if an error is not below it.
        allowed: of the 2,000 most recent training sequences, fewer than this may be wrong.
        mean_error: their mean squared error must be below it.
    """

    inputs: int
    outputs: int
    draw: Callable[[int, int, np.random.Generator], Batch]
    loss: Callable[[Tensor, Tensor], Tensor]
    error: Callable[[Tensor, Tensor], Tensor]
    largest: float
    allowed: int = 1
    mean_error: float = float("inf")
    symbols: int | None = None
    direct: bool = False


@dataclass(frozen=True)
class Training:
    """How a network is trained, the same for every cell of an experiment.

    Fields:
        hidden: H.
        batch: sequences an update.
        rate: of Adam at the start; it falls linearly to zero over the budget.
        budget: sequences shown at most.
        clip: the largest norm of the gradient; None for no clipping.
        chrono: whether gates begin with memories from 1 to T steps.
        plain: gradient descent at a constant rate in place of Adam.
    """

    hidden: int
    batch: int
    rate: float
    budget: int
    clip: float | None = 1.0
    chrono: bool = True
    plain: bool = False

    def optimizer(self, net: Predictor) -> torch.optim.Optimizer:
        """Adam, or plain gradient descent."""
        kind = torch.optim.SGD if self.plain else torch.optim.Adam
        return kind(net.parameters(), lr=self.rate)

    def rate_at(self, shown: int) -> float:
        """The learning rate when so many sequences have been shown."""
        return self.rate if self.plain else self.rate * (1 - shown / self.budget)


class Recent:
    """The stopping criterion: the 2,000 most recent training sequences, each as it was answered before its update.

    >>> recent = Recent(allowed=1, mean_error=0.01)
    >>> recent.add(torch.zeros(2000).bool(), torch.zeros(2000))
    >>> recent.met
    True
    >>> recent.add(torch.tensor([True]), torch.zeros(1))
    >>> recent.met, recent.wrong
    (False, 1)
    """

    def __init__(self, allowed: int, mean_error: float) -> None:
        self._allowed, self._mean_error = allowed, mean_error
        self._wrong: deque[bool] = deque(maxlen=RECENT)
        self._squared: deque[float] = deque(maxlen=RECENT)

    def add(self, wrong: Tensor, squared: Tensor) -> None:
        """More sequences: whether each is wrong (N,), and its mean squared error (N,)."""
        self._wrong.extend(wrong.tolist())
        self._squared.extend(squared.tolist())

    @property
    def wrong(self) -> int:
        return sum(self._wrong)

    @property
    def met(self) -> bool:
        full = len(self._wrong) == RECENT
        return full and self.wrong < self._allowed and sum(self._squared) / RECENT < self._mean_error


def judged(task: Task, y: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Which sequences are wrong (N,), and each one's mean squared error (N,). What is not a number is wrong."""
    error = task.error(y, target)
    return ~(error < task.largest).all(-1), error.square().mean(-1)


@torch.no_grad()
def share_wrong(net: Predictor, task: Task, lag: int, count: int, rng: np.random.Generator) -> float:
    """Of ``count`` fresh sequences, the share that is wrong."""
    wrong = 0
    for begun in range(0, count, 256):
        batch = task.draw(lag, min(256, count - begun), rng)
        wrong += int(judged(task, net.last(batch.x, batch.lengths), batch.target)[0].sum())
    return wrong / count


def network(task: Task, training: Training, setting: Setting, seed: int) -> Predictor:
    """A fresh network for a task."""
    return Predictor(
        setting.cell,
        task.inputs,
        training.hidden,
        task.outputs,
        seed,
        longest=setting.lag if training.chrono else None,
        symbols=task.symbols,
        direct=task.direct,
    )


Stop = Callable[[Predictor, Recent, int], bool]
"""Whether a network has solved its task: asked after every update, with the sequences shown so far."""


def recent_are_right(net: Predictor, recent: Recent, shown: int) -> bool:
    """The criterion of the 2,000 most recent training sequences."""
    return recent.met


def train(
    task: Task, training: Training, setting: Setting, seed: int, solved: Stop = recent_are_right, net: Any = None
) -> Outcome:
    """Train on fresh sequences until the criterion is met or the budget is used up.

    The score is the share of wrong answers among 2,560 fresh sequences behind that.

    Arguments:
        solved: the criterion.
        net: a network that has begun in another way than `network` does.
    """
    begun = time.process_time()
    lag = setting.lag or 0
    net = network(task, training, setting, seed) if net is None else net
    optimizer = training.optimizer(net)
    rng = np.random.default_rng([seed, lag])
    recent = Recent(task.allowed, task.mean_error)
    curve: list[dict[str, Any]] = []
    losses: list[float] = []
    shown, every, done = 0, max(1, training.budget // training.batch // 400), False
    while shown < training.budget and not done:
        batch = task.draw(lag, training.batch, rng)
        y = net.last(batch.x, batch.lengths)
        recent.add(*judged(task, y.detach(), batch.target))
        optimizer.param_groups[0]["lr"] = training.rate_at(shown)
        losses.append(update(net, optimizer, task.loss(y, batch.target), training.clip))
        shown += training.batch
        done = solved(net, recent, shown)
        if len(losses) == every or done:
            curve.append({"sequences": shown, "loss": float(np.mean(losses)), "wrong": recent.wrong})
            losses = []
    score = share_wrong(net, task, lag, TESTED, np.random.default_rng([seed, lag, 1]))
    return Outcome(done, shown, time.process_time() - begun, score, {"curve": curve})


def guessed(
    task: Task,
    lag: int,
    guess: Callable[[Batch, torch.Generator], Tensor],
    generator: torch.Generator,
    count: int = 10_000,
) -> float:
    """The share of ``count`` sequences that guesses at random answer wrongly; a guess stands in place of y."""
    batch = task.draw(lag, count, np.random.default_rng(1))
    wrong, _ = judged(task, guess(batch, generator), batch.target)
    return float(wrong.double().mean())
