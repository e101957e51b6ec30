"""How experiments are trained: as tasks of the general loop, in memory, until their paper's criterion is met."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from unrolled.training.metric import Metric
from unrolled.training.options import TrainingOptions
from unrolled.training.task import Task, Tell

Parts = Mapping[str, tuple[float, int]]


class LabTask(Task):
    """An experiment as a task, with its data at hand.

    Arguments:
        name: of the experiment.
        data: the training data.
        metric, measure: the experiment's measure. It is taken at the end, of the network that training ends with:
            papers have criteria of their own for when that is, so no weights are chosen on the way.
        loss: of a batch.
        throughout: whether the measure is taken on the way as well, and the best weights are scored at the end.
    """

    def __init__(
        self,
        name: str,
        data: Batches,
        metric: Metric,
        measure: Callable[[Model], float],
        loss: Callable[[Model, Batch, Any], Loss] = batch_loss,
        throughout: bool = False,
    ) -> None:
        super().__init__()
        self.name = name  # type: ignore[misc]  # of this one alone
        self.metrics = (metric,)
        self.measure, self.throughout = measure, throughout
        self._data, self._loss = data, loss

    def settings(self) -> dict[str, Any]:
        """None: nobody reads the advice."""
        return {}

    def batches(self, part: str = "training") -> Batches:
        return self._data

    def loss(self, model: Model, batch: Batch, state: Any) -> Loss:
        return self._loss(model, batch, state)

    def validate(self, model: Model, whole: bool, tell: Tell | None = None) -> dict[str, Any] | None:
        """The measure, at the end or throughout."""
        return {self.criterion.name: self.measure(model)} if whole or self.throughout else None


def options(lr: float, **others: Any) -> TrainingOptions:
    """Adam for one epoch, its rate falling along a line to zero; no warm-up, and no average of the weights."""
    usual: dict[str, Any] = {"epochs": 1.0, "lr": lr, "schedule": "linear", "warmup": 0.0, "ema": 0.0}
    return TrainingOptions(**usual | others)


@dataclass(frozen=True)
class Trained:
    """What came of training.

    Fields:
        solved: whether the criterion was met; otherwise the budget is used up, or gradients were not finite.
        shown: sequences until then.
        curve: records on the way: ``sequences``, the mean ``loss`` since the last, and what the criterion measured.
        score: the experiment's measure.
        history: all that the loop has kept.
    """

    solved: bool
    shown: int
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
        score = task.measure(model)
    return Trained(met, count(trainer.progress.update), curve, score, run.history())
