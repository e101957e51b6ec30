"""What a task's loss is: a sum, and how many losses are in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """The losses of one batch.

    Fields:
        total: their sum (nats), which is differentiated over ``count``.
        count: how many there are.
        state: where the next batch begins, detached; None where nothing is carried on.
        parts: named sums and counts that are reported beside the total, such as those of several heads, or how many
            answers were wrong.
    """

    total: Tensor
    count: int
    state: Any = None
    parts: Mapping[str, tuple[float, int]] = field(default_factory=dict)
