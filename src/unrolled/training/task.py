"""What a task is to the training loop: the protocol that every task meets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor

from unrolled.models.model import Model
from unrolled.training.streams import Streams, Window


class Task(Protocol):
    """One kind of sequence learning, with its data read and its sizes decided.

    The loop knows nothing else of text, music or speech.
    """

    name: str
    unit: str
    """What a loss is counted over, in the plural: characters, words, steps."""

    def settings(self) -> Mapping[str, Any]:
        """The model's settings by name, as far as advice speaks of them; see `Advice`."""
        ...

    def streams(self) -> Streams:
        """The training data, cut into windows."""
        ...

    def loss(self, model: Model, window: Window, state: Any) -> tuple[Tensor, int, Any]:
        """The sum of the window's losses (nats), their number, and the states where the next window begins."""
        ...

    def validate(
        self, model: Model, whole: bool, tell: Callable[[float], None] | None = None
    ) -> dict[str, float] | None:
        """Scores on the validation part, with ``loss`` among them; None if there is no such part.

        Arguments:
            whole: all of it; otherwise as much as training can wait for.
            tell: called with the share that is scored, now and then.
        """
        ...

    def show(self, model: Model, seed: int) -> str:
        """A sample for a person to read."""
        ...
