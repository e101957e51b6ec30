"""What a task is: all that the loop, `fit` and the commands ever ask of one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from unrolled.models.model import Model
from unrolled.training.batches import Batch, Batches
from unrolled.training.losses import Loss

SUFFIXES = {"text": ".txt", "picture": ".png", "midi": ".mid", "wav": ".wav", "table": ".csv"}


@dataclass(frozen=True)
class Metric:
    """One number that a model is scored by.

    Fields:
        name: its key among the scores, such as ``"loss"``.
        unit: what stands behind it, such as ``"nats per character"``.
        digits: shown behind the point.
        higher: whether larger is better.
    """

    name: str
    unit: str = ""
    digits: int = 4
    higher: bool = False

    def improves(self, value: float, best: float | None) -> bool:
        """Whether ``value`` is finite and better than the best so far, which is None before there is one."""
        if not math.isfinite(value):
            return False
        return best is None or (value > best if self.higher else value < best)


@dataclass(frozen=True)
class Shown:
    """What a model made, for a person: a file and its kind.

    Fields:
        kind: one of text, picture, midi, wav and table.
        content: the bytes of the file; text in UTF-8.
    """

    kind: str
    content: bytes

    @property
    def suffix(self) -> str:
        """Of the file's name."""
        return SUFFIXES[self.kind]

    @property
    def text(self) -> str | None:
        """What a terminal can show of it."""
        return self.content.decode("utf-8", "replace") if self.kind in ("text", "table") else None


class Task(Protocol):
    """One kind of sequence learning, with its data read and its sizes decided.

    The loop knows nothing else of text, music or speech.
    """

    name: str
    unit: str
    """What a loss is counted over, in the plural: characters, words, steps."""
    criterion: Metric
    """The score by which the best weights are chosen."""

    def settings(self) -> Mapping[str, Any]:
        """The model's settings by name, as far as advice speaks of them; see `Advice`."""
        ...

    def batches(self) -> Batches:
        """The training data."""
        ...

    def loss(self, model: Model, batch: Batch, state: Any) -> Loss:
        """The losses of a batch; see `batch_loss`, which is right for most tasks."""
        ...

    def validate(
        self, model: Model, whole: bool, tell: Callable[[float], None] | None = None
    ) -> dict[str, float] | None:
        """Scores on the validation part, with that of the criterion among them; None if there is no such part.

        Arguments:
            whole: all of it; otherwise as much as training can wait for.
            tell: called with the share that is scored, now and then.
        """
        ...

    def show(self, model: Model, seed: int) -> Shown | None:
        """A sample for a person; None if the task has nothing to show."""
        ...
