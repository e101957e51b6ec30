"""Experiments with one answer at the end of each sequence: how their networks are trained, and when they stop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unrolled.lab.experiment import Outcome, Setting
from unrolled.lab.network import network
from unrolled.lab.task import LabTask, Parts, options, train
from unrolled.models.heads import Head
from unrolled.models.model import Model
from unrolled.training.batches import Batch
from unrolled.training.drawn import Drawn
from unrolled.training.losses import Loss
from unrolled.training.metric import Metric
from unrolled.training.options import TrainingOptions

RECENT = 2000
"""Of the training sequences, how many must be right."""


@dataclass(frozen=True)
class Problem:
    """What is to be learnt.

    Fields:
        name: of the experiment.
        encoder, head: make them, the head from H.
        draw: T, how many, and a generator to sequences with lengths, drawn anew.
        error: each sequence's absolute errors (N, ...) in the paper's units, from outputs and targets.
        largest: a sequence is wrong if an error is not below it.
        allowed: of the 2,000 most recent training sequences, fewer than this may be wrong.
        mean_error: their mean squared error must be below it.
        tested: fresh sequences that a trained network is scored on.
    """

    name: str
    encoder: Callable[[], Any]
    head: Callable[[int], Head]
    draw: Callable[[int, int, np.random.Generator], Batch]
    error: Callable[[Tensor, Tensor], Tensor]
    largest: float
    allowed: int = 1
    mean_error: float = float("inf")
    tested: int = 2560


@dataclass(frozen=True)
class Training:
    """How a network is trained, the same for every cell of an experiment.

    Fields:
        hidden: H.
        batch: sequences an update.
        rate: of Adam at the start; it falls linearly to zero over the budget.
        budget: sequences shown at most.
        clip: the largest norm of the gradient, or ``"off"``.
        chrono: whether gates begin with memories from 1 to T steps.
        plain: gradient descent at a constant rate in place of Adam.
    """

    hidden: int
    batch: int
    rate: float
    budget: int
    clip: str = "1"
    chrono: bool = True
    plain: bool = False

    def options(self) -> TrainingOptions:
        """For the loop."""
        plain: dict[str, Any] = {"optimizer": "sgd", "momentum": 0.0, "schedule": "constant"} if self.plain else {}
        return options(self.rate, clip=self.clip, **plain)


class Recent:
    """The stopping criterion: the 2,000 most recent training sequences, each as it was answered before its update.

    They are the fewest last batches with so many, which is 2,000 exactly where N divides it.

    >>> recent = Recent(allowed=1, mean_error=0.01)
    >>> recent.add(wrong=0, squared=0.0, count=2000)
    >>> recent.met
    True
    >>> recent.add(wrong=1, squared=0.0, count=1)
    >>> recent.met, recent.wrong
    (False, 1)
    """

    def __init__(self, allowed: int, mean_error: float) -> None:
        self._allowed, self._mean_error = allowed, mean_error
        self._batches: deque[tuple[float, float, int]] = deque()
        self._count = 0

    def add(self, wrong: float, squared: float, count: int) -> None:
        """One more batch: how many are wrong, the sum of their mean squared errors, and how many there are."""
        self._batches.append((wrong, squared, count))
        self._count += count
        while self._count - self._batches[0][2] >= RECENT:
            self._count -= self._batches.popleft()[2]

    @property
    def wrong(self) -> int:
        return int(sum(wrong for wrong, _, _ in self._batches))

    @property
    def met(self) -> bool:
        mean = sum(squared for _, squared, _ in self._batches) / max(self._count, 1)
        return self._count >= RECENT and self.wrong < self._allowed and mean < self._mean_error


def judged(problem: Problem, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Which sequences are wrong (N,), and each one's mean squared error (N,). What is not a number is wrong."""
    error = problem.error(outputs, targets)
    return ~(error < problem.largest).all(-1), error.square().mean(-1)


@torch.no_grad()
def share_wrong(model: Model, problem: Problem, lag: int, count: int, rng: np.random.Generator) -> float:
    """Of ``count`` fresh sequences, the share that is wrong."""
    wrong = 0
    for begun in range(0, count, 256):
        batch = problem.draw(lag, min(256, count - begun), rng)
        outputs, _ = model(batch.inputs, lengths=batch.lengths)
        wrong += int(judged(problem, outputs, batch.targets)[0].sum())
    return wrong / count


def task_of(problem: Problem, training: Training, lag: int, seed: int, part: int = 0) -> LabTask:
    """A problem as a task: fresh sequences for each update, whose losses count wrong sequences as well.

    Arguments:
        lag, seed: T, and where the data begin.
        part: of the data: another one for each training of one network.
    """

    def loss(model: Model, batch: Batch, state: Any) -> Loss:
        outputs, _ = model(batch.inputs, lengths=batch.lengths)
        wrong, squared = judged(problem, outputs.detach(), batch.targets)
        total, count = model.head.loss(outputs, batch.targets, batch.mask)
        parts = {"wrong": (float(wrong.sum()), len(wrong)), "squared": (float(squared.sum()), len(wrong))}
        return Loss(total, count, parts=parts)

    def score(model: Model) -> float:
        return share_wrong(model, problem, lag, problem.tested, np.random.default_rng([seed, lag, 1]))

    drawn = Drawn(partial(problem.draw, lag), training.batch, training.budget // training.batch, [seed, lag, 0, part])
    return LabTask(problem.name, drawn, Metric("wrong", "of the sequences"), score, loss)


def begin(problem: Problem, training: Training, setting: Setting, seed: int) -> Model:
    """A fresh network for a problem."""
    longest = setting.lag if training.chrono else None
    return network(setting.cell, problem.encoder, training.hidden, problem.head, seed, longest, graph="many-to-one")


def learn(
    problem: Problem,
    training: Training,
    setting: Setting,
    seed: int,
    stop: Callable[[Model, Recent, int], bool] = lambda model, recent, update: recent.met,
) -> Outcome:
    """Train a network on fresh sequences until the criterion is met or the budget is used up.

    Arguments:
        stop: the criterion, asked after each update with its number; by default that of the 2,000 most recent ones.
    """
    model, recent = begin(problem, training, setting, seed), Recent(problem.allowed, problem.mean_error)
    task = task_of(problem, training, setting.lag or 0, seed)

    def solved(update: int, parts: Parts, record: dict[str, Any]) -> bool:
        recent.add(parts["wrong"][0], *parts["squared"])
        record["wrong"] = recent.wrong
        return stop(model, recent, update)

    trained = train(task, model, training.options(), max(1, training.budget // training.batch // 400), solved)
    return Outcome(trained.solved, trained.shown, trained.score, {"curve": trained.curve})


def guessed(
    problem: Problem,
    lag: int,
    guess: Callable[[Batch, torch.Generator], Tensor],
    generator: torch.Generator,
    count: int = 10_000,
) -> float:
    """The share of ``count`` sequences that guesses at random answer wrongly; a guess stands in place of outputs."""
    batch = problem.draw(lag, count, np.random.default_rng(1))
    wrong, _ = judged(problem, guess(batch, generator), batch.targets)
    return float(wrong.double().mean())
