"""How experiments are trained: as tasks of the general loop, in memory, until their paper's criterion is met."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unrolled.errors import RunError
from unrolled.models.model import Model
from unrolled.runs.memory import MemoryRun
from unrolled.training.batches import Batch, Batches
from unrolled.training.bptt import batch_loss
from unrolled.training.loop import Trainer
from unrolled.training.losses import Loss
from unrolled.training.options import TrainingOptions
from unrolled.training.task import Metric, Shown

Parts = Mapping[str, tuple[float, int]]


class LabTask:
    """What the tasks of all experiments share; see `training.task.Task`.

    A subclass says what a score is. It is measured at the end, on the network that training ends with: papers have
    criteria of their own for when that is, so there is no validation on the way to choose weights by.

    Arguments:
        name: of the experiment.
        batches: the training data.
    """

    unit = "steps"
    criterion = Metric("score")

    def __init__(self, name: str, batches: Batches) -> None:
        self.name = name
        self._batches = batches

    def score(self, model: Model) -> float:
        """The experiment's measure."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """None: nobody reads the advice."""
        return {}

    def batches(self) -> Batches:
        """The training data."""
        return self._batches

    def loss(self, model: Model, batch: Batch, state: Any) -> Loss:
        """The head's."""
        return batch_loss(model, batch, state)

    def validate(
        self, model: Model, whole: bool, tell: Callable[[float], None] | None = None
    ) -> dict[str, float] | None:
        """The score, at the end."""
        return {self.criterion.name: self.score(model)} if whole else None

    def show(self, model: Model, seed: int) -> Shown | None:
        """Nothing."""
        return None


class Drawn:
    """Training data that are drawn anew for each update, from the seeds and its number alone.

    Arguments:
        draw: how many sequences, and a generator, to a batch.
        batch: N.
        updates: how many make up the budget, an epoch.
        seeds: numbers that no other generator of the experiment begins with.

    >>> coins = Drawn(lambda N, rng: Batch(torch.from_numpy(rng.integers(2, size=(9, N))), None), 4, 10, [1, 0])
    >>> bool((coins.batch_at(3).inputs == coins.batch_at(3).inputs).all())
    True
    """

    def __init__(
        self, draw: Callable[[int, np.random.Generator], Batch], batch: int, updates: int, seeds: Sequence[int]
    ) -> None:
        self.batch, self.updates_per_epoch = batch, updates
        self._draw, self._seeds = draw, seeds

    def batch_at(self, update: int) -> Batch:
        """The batch of an update, counted from the start."""
        return self._draw(self.batch, np.random.default_rng([*self._seeds, update]))


def options(lr: float, **others: Any) -> TrainingOptions:
    """Adam for one epoch, its rate falling along a line to zero; no warm-up, and no average of the weights."""
    usual: dict[str, Any] = {"epochs": 1.0, "lr": lr, "schedule": "linear", "warmup": 0.0, "ema": 0.0}
    return TrainingOptions(**usual | others)


@dataclass(frozen=True)
class Trained:
    """A network that training has ended with.

    Fields:
        solved: whether the criterion was met; otherwise the budget is used up, or gradients were not finite.
        shown: sequences until then.
        updates: how many there were.
        curve: records on the way: ``sequences``, the mean ``loss`` since the last, and what the criterion measured.
        score: the experiment's measure.
        history: all that the loop has kept.
    """

    model: Model
    solved: bool
    shown: int
    updates: int
    curve: list[dict[str, Any]]
    score: float
    history: list[dict[str, Any]]


def train(
    task: LabTask,
    model: Model,
    options: TrainingOptions,
    every: int,
    solved: Callable[[int, Parts, dict[str, Any]], bool] = lambda update, parts, record: False,
    shown: Callable[[int], int] | None = None,
) -> Trained:
    """Train until the criterion is met or the budget is used up.

    Arguments:
        every: updates between two records.
        solved: asked after each update, with its number, the parts of its loss, and the record that is open, to which
            it may add; true ends training.
        shown: sequences after so many updates; by default N an update.
    """
    curve: list[dict[str, Any]] = []
    losses: list[float] = []
    record: dict[str, Any] = {}
    met = False

    def count(update: int) -> int:
        return update * trainer.batches.batch if shown is None else shown(update)

    def listen(event: dict[str, Any]) -> None:
        nonlocal record, met
        if event["event"] != "update":
            return
        update = event["update"]
        losses.append(event["loss"])
        met = solved(update, event["parts"], record)
        if met:
            trainer.stop()
        if met or update % every == 0 or event["share"] == 1:
            curve.append({"sequences": count(update), "loss": float(np.mean(losses)), **record})
            losses.clear()
            record = {}

    run = MemoryRun(task.name)
    trainer = Trainer(task, model, options, run, listen)
    try:
        trainer.run()
        score = run.history()[-1]["validation"][task.criterion.name]
    except RunError:  # no finite gradient in several updates: it will not learn any more
        score = task.score(model)
    updates = trainer.progress.update
    return Trained(model, met, count(updates), updates, curve, score, run.history())
