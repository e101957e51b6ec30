"""Watchers: what looks at training from outside, and changes nothing of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

from unrolled.models.model import Model
from unrolled.training.advice import Advice
from unrolled.training.batches import Batch
from unrolled.training.task import Task

Event = dict[str, Any]
"""An entry of the history: ``event``, and its numbers."""


@dataclass(frozen=True)
class Moment:
    """Where training is when a watcher is called.

    Fields:
        update: how many updates were made, without one that is being made.
        share: of the budget that is used, 0 to 1.
        lr: the learning rate now; ``peak``: the highest one of the schedule.
        first: whether this is the first update since the last report, so that a watcher need not look at each.
    """

    update: int
    share: float
    lr: float
    peak: float
    first: bool


class Watcher:
    """Called by the loop at the moments below; what it returns is kept in the history, and warnings are told.

    A warning is an event named ``warning`` with ``cause``, ``evidence`` and ``cure`` in words. Each method has a
    default that does nothing. A watcher must draw no random numbers and leave weights and gradients as they are.

    Attributes:
        name: the key of its counts in a checkpoint.
    """

    name: ClassVar[str]

    def begin(self, task: Task, model: Model, advice: Advice, fresh: bool) -> None:
        """What is trained; ``fresh``: whether its weights have not been trained before."""

    def begin_budget(self) -> None:
        """One more budget begins."""

    def differentiating(self, moment: Moment, batch: Batch) -> AbstractContextManager[Any]:
        """Around the loss of a batch and its gradient."""
        return nullcontext()

    def stepping(self, moment: Moment) -> AbstractContextManager[Any]:
        """Around the optimizer's step; there is none if the gradient is not finite."""
        return nullcontext()

    def updated(self, moment: Moment) -> Iterable[Event]:
        """After each update that was made."""
        return ()

    def skipped(self, moment: Moment) -> Iterable[Event]:
        """After each update whose gradient was not finite."""
        return ()

    def reported(self, moment: Moment, report: Mapping[str, Any]) -> Iterable[Event]:
        """After a report: ``loss``, ``clipped`` (the share of updates) and the other numbers since the last one."""
        return ()

    def validated(self, moment: Moment, scores: Mapping[str, Any]) -> Iterable[Event]:
        """After a validation."""
        return ()

    def look(self, moment: Moment, batch: Batch, state: Any) -> Iterable[Event]:
        """After the first update, and about ten times in a budget: time for what takes as long as a few updates.

        Arguments:
            batch, state: of the last update, and what it started from.
        """
        return ()

    def as_json(self) -> dict[str, Any]:
        """What a checkpoint keeps, so that a resumed run is watched like one that never stopped."""
        return {}

    def restore(self, content: Mapping[str, Any]) -> None:
        """Go back to a checkpoint: KeyError or TypeError where it is damaged."""


def entered(contexts: Iterable[AbstractContextManager[Any]]) -> ExitStack:
    """All of these contexts, as one."""
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        return stack.pop_all()
