"""What a task's loss is: a sum, and how many losses are in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from unrolled.layers.checks import shown
from unrolled.layers.state import detach

_SCORES = {"loss", "scored", "on", "best", "estimate"}
_REPORTS = {
    "event",
    "update",
    "epoch",
    "symbols",
    "gradient_norm",
    "clipped",
    "skipped",
    "lr",
    "seconds",
    "per_second",
}
RESERVED = frozenset(_SCORES | _REPORTS)
"""What scores and the history say themselves."""


@dataclass(frozen=True)
class Loss:
    """The losses of one batch.

    Fields:
        total: their sum (nats), which is differentiated over ``count``.
        count: how many there are.
        state: where the next batch begins, as tensors in nested tuples, which are detached; None where nothing is
            carried on.
        parts: named sums and counts that are reported beside the total, such as those of several heads, or how many
            answers were wrong. A tensor or an array of one number is taken as that number.

    Raises:
        TypeError: a total that is no tensor of one number, or a state of anything but tensors. ValueError: a count
            below 0, or a part whose name is the program's own.
    """

    total: Tensor
    count: int
    state: Any = None
    parts: Mapping[str, tuple[float, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.total, Tensor) or self.total.numel() != 1:
            got = tuple(self.total.shape) if isinstance(self.total, Tensor) else type(self.total).__name__
            raise TypeError(f"Loss: total must be a tensor of one number, got {got}")
        if not _is_state(self.state):
            raise TypeError(f"Loss: state must be tensors in nested tuples, or None, got {shown(self.state)}")
        object.__setattr__(self, "state", detach(self.state))
        parts = {name: (_number(total), int(count)) for name, (total, count) in self.parts.items()}
        object.__setattr__(self, "count", int(self.count))
        object.__setattr__(self, "parts", parts)
        if min([self.count, *(count for _, count in parts.values())]) < 0:
            raise ValueError(f"Loss: counts must be 0 or more, got {self.count} and {parts}")
        if taken := sorted(RESERVED & parts.keys()):
            raise ValueError(f"Loss: a part must not be called {taken[0]}, which the history has already")


def _is_state(state: Any) -> bool:
    if isinstance(state, tuple | list):
        return all(_is_state(part) for part in state)
    return state is None or isinstance(state, Tensor)


def _number(total: Any) -> float:
    return float(total.detach() if isinstance(total, Tensor) else total)


def mean(total: float, count: int) -> float:
    """Of so many losses; of none it is no number."""
    return total / count if count else math.nan
