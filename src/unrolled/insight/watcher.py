"""What looks on while a network trains: curves of the gradient through time, kept, and warnings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from unrolled.engine.recording import Recording
from unrolled.insight.probes import GradientProbe
from unrolled.insight.watch import Change, Warned, Watch
from unrolled.models.model import Model
from unrolled.training.advice import Advice
from unrolled.training.batches import Batch
from unrolled.training.task import Task
from unrolled.training.watcher import Event, Moment, Watcher

APART = 10
"""Updates between two whose gradients are recorded, at least: a recorded one takes longer."""


class GradientWatcher(Watcher):
    """Records the gradient through time now and then, and warns of what plainly goes wrong.

    Events:
        gradients: ``by_position``, for each state the norm at each step of a window; see `GradientProbe`.
        lags: ``by_lag``, the same of one loss, by distance from it.
        warning: see `Watch`.
    """

    name = "gradients"

    def begin(self, task: Task, model: Model, advice: Advice, fresh: bool) -> None:
        self.task, self.advice = task, advice
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.probe = GradientProbe(model)
        self.watch = Watch(fresh=fresh)
        self.recorded_update = 0
        self._recording: Recording | None = None

    def begin_budget(self) -> None:
        """Warnings may come again, but validation is held to the best so far."""
        before = self.watch
        self.watch = Watch(fresh=False, best_validation=before.best_validation, train_at_best=before.train_at_best)

    @contextmanager
    def differentiating(self, moment: Moment, batch: Batch) -> Iterator[None]:
        long_ago = not self.recorded_update or moment.update - self.recorded_update >= APART - 1
        with self.probe.watching(batch, moment.first and long_ago) as self._recording:
            yield

    @contextmanager
    def stepping(self, moment: Moment) -> Iterator[None]:
        change = Change(self.parameters) if moment.first else None
        yield
        if change is not None:
            self.watch.change = change.size()

    def updated(self, moment: Moment) -> Iterable[Event]:
        if self._recording is None:
            return
        self.recorded_update = moment.update
        curves, self._recording = self.probe.curves(self._recording), None
        yield {"event": "gradients", "update": moment.update, "by_position": curves}

    def skipped(self, moment: Moment) -> Iterable[Event]:
        self._recording = None
        return _dated(self.watch.skipped(moment.lr, self.advice), moment)

    def reported(self, moment: Moment, report: Mapping[str, Any]) -> Iterable[Event]:
        means = report["loss"], report["gradient_norm"], report["clipped"]
        warned = self.watch.report(*means, moment.share, moment.lr, moment.peak, self.advice)
        return _dated(warned, moment)

    def validated(self, moment: Moment, scores: Mapping[str, Any]) -> Iterable[Event]:
        return _dated(self.watch.validation(scores.get("loss", math.nan), self.advice), moment)

    def look(self, moment: Moment, batch: Batch, state: Any) -> Iterable[Event]:
        curves = self.probe.by_lag(self.task, batch, state)
        if curves:
            yield {"event": "lags", "update": moment.update, "by_lag": curves}
        advice = replace(self.advice, windows=self.advice.windows and batch.lengths is None)
        yield from _dated(self.watch.lags(curves, moment.share, advice, self.probe.gated), moment)
        yield from _dated(self.watch.units(self.probe.units(batch, state), self.advice), moment)

    def as_json(self) -> dict[str, Any]:
        return {"recorded_update": self.recorded_update, "watch": asdict(self.watch)}

    def restore(self, content: Mapping[str, Any]) -> None:
        self.recorded_update = content["recorded_update"]
        self.watch = Watch(**content["watch"])


def _dated(warned: Iterable[Warned], moment: Moment) -> Iterator[Event]:
    for warning in warned:
        yield warning | {"update": moment.update}
