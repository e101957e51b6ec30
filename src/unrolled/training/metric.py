"""A metric: one number that a model is scored by, and how a person is to see it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unrolled.wording import short


@dataclass(frozen=True)
class Metric:
    """One number that a model is scored by.

    Fields:
        name: its key among the scores, such as ``"loss"``.
        unit: what stands behind it, such as ``"nats per character"``.
        digits: shown behind the point.
        higher: whether larger is better.
        percent: whether it is a share, shown in percent.
        label: what stands before it; None for its name, and empty where the unit says all.
        in_lines: whether it stands in the lines of training, too.
        brief: its name there; None for its label.
        brief_digits: digits there; None for as many.
        factor: it is the loss times this, if it is: then it is shown for training losses, too.
    """

    name: str
    unit: str = ""
    digits: int = 4
    higher: bool = False
    percent: bool = False
    label: str | None = None
    in_lines: bool = True
    brief: str | None = None
    brief_digits: int | None = None
    factor: float | None = None

    @property
    def title(self) -> str:
        """What stands before it in a table."""
        return self.name.replace("_", " ") if self.label is None else self.label

    def number(self, value: float, digits: int) -> str:
        """The value with so many digits."""
        return f"{value:.{digits}%}" if self.percent and math.isfinite(value) else short(value, digits)

    def in_full(self, value: float) -> str:
        """The value with its unit.

        >>> Metric("loss", "nats per word").in_full(1.25), Metric("accuracy", percent=True, digits=1).in_full(0.5)
        ('1.2500 nats per word', '50.0%')
        """
        return f"{self.number(value, self.digits)} {self.unit}".rstrip()

    def in_brief(self, value: float, mark: str = "") -> str:
        """Name and value for a line of training, if it has a place there; ``mark`` stands before the number.

        >>> Metric("bits_per_character", brief="bpc", brief_digits=3).in_brief(2.5, "~")
        'bpc ~2.500'
        """
        digits = self.digits if self.brief_digits is None else self.brief_digits
        return f"{self.brief or self.title} {mark}{self.number(value, digits)}" if self.in_lines else ""

    def of(self, scores: Mapping[str, Any] | None) -> float | None:
        """The value among scores; None where there are no scores, or it is not finite.

        Raises:
            ValueError: it is not among them.
        """
        if scores is None:
            return None
        if self.name not in scores:
            raise ValueError(
                f"the best weights are chosen by {self.name!r}, the first of the task's metrics, but its scores are "
                f"{', '.join(scores)}: give the loss a part of that name, or name another metric first"
            )
        value = float(scores[self.name])
        return value if math.isfinite(value) else None

    def improves(self, value: float, best: float | None) -> bool:
        """Whether ``value`` is finite and better than the best so far, which is None before there is one."""
        if not math.isfinite(value):
            return False
        return best is None or (value > best if self.higher else value < best)
