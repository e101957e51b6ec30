"""Where training stands: the numbers that a checkpoint keeps beside the tensors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from unrolled.training.losses import Loss, mean


@dataclass
class Since:
    """Sums since the last report."""

    updates: int = 0
    loss: float = 0.0
    count: int = 0
    norm: float = 0.0
    clipped: int = 0
    symbols: int = 0
    seconds: float = 0.0
    parts: dict[str, tuple[float, int]] = field(default_factory=dict)

    def add(self, loss: float, losses: Loss, steps: int, norm: float, clipped: bool) -> None:
        """One more update: its loss and the parts of that, the steps that were read, the gradient's norm."""
        self.updates += 1
        self.loss += loss
        self.count += losses.count
        self.norm += norm
        self.clipped += clipped
        self.symbols += steps
        for name, (total, count) in losses.parts.items():
            before = self.parts.get(name, (0.0, 0))
            self.parts[name] = before[0] + total, before[1] + count

    def means(self) -> dict[str, float]:
        """``loss`` and its parts, ``gradient_norm``, and ``clipped``, the share of the updates."""
        parts = {name: mean(*of) for name, of in self.parts.items()}
        per_update = {"gradient_norm": self.norm / self.updates, "clipped": self.clipped / self.updates}
        return {"loss": mean(self.loss, self.count), **parts, **per_update}


@dataclass
class Progress:
    """All that the loop knows of its way so far. Seconds are wall clock, those before a stop included.

    Fields:
        budget: how many budgets came before this one.
        begun_update, begun_seconds: where this one began; see `Budget`.
        steps: of the optimizer; updates that were skipped, or had no loss, made none.
        symbols: steps of sequences that were read, in the task's unit.
        best: the best score by the task's criterion; None before there is one. ``worse`` validations came since.
        stopped: there were more of them than the person would wait for.
        scoring: the part of ``seconds`` in which the ends of budgets were scored, which no budget counts.
        share: of this budget, 0 to 1.
    """

    update: int = 0
    steps: int = 0
    symbols: int = 0
    seconds: float = 0.0
    scoring: float = 0.0
    budget: int = 0
    begun_update: int = 0
    begun_seconds: float = 0.0
    share: float = 0.0
    clipped: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    best: float | None = None
    best_update: int = 0
    worse: int = 0
    stopped: bool = False
    validated_update: int = 0
    history_size: int = 0
    finished: bool = False
    since: Since = field(default_factory=Since)

    def begin_budget(self) -> None:
        """One more budget begins here; validation is held to the best so far."""
        self.budget += 1
        self.begun_update, self.begun_seconds = self.update, self.seconds - self.scoring
        self.share, self.finished, self.stopped, self.worse = 0.0, False, False, 0
        self.since = Since()

    def as_json(self) -> dict[str, Any]:
        """For the checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Progress:
        """From a checkpoint."""
        known = {f.name: content[f.name] for f in fields(cls) if f.name in content}
        known["since"] = Since(**content["since"])
        return cls(**known)
