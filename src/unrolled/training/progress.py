"""Where training stands: the numbers that a checkpoint keeps beside the tensors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from unrolled.training.watch import Watch


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


@dataclass
class Progress:
    """All that the loop knows of its way so far. Seconds are wall clock, those before a stop included.

    Fields:
        budget: how many budgets came before this one.
        begun_update, begun_seconds: where this one began; see `Budget`.
        symbols: steps of sequences that were read, in the task's unit.
        best: the best score by the task's criterion; None before there is one. ``worse`` validations came since.
        stopped: there were more of them than the person would wait for.
        scoring: the part of ``seconds`` in which the ends of budgets were scored, which no budget counts.
        share: of this budget, 0 to 1.
    """

    update: int = 0
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
    recorded_update: int = 0
    history_size: int = 0
    finished: bool = False
    since: Since = field(default_factory=Since)
    watch: Watch = field(default_factory=Watch)

    def begin_budget(self) -> None:
        """One more budget begins here. Warnings may come again, but validation is held to the best so far."""
        self.budget += 1
        self.begun_update, self.begun_seconds = self.update, self.seconds - self.scoring
        self.share, self.finished, self.stopped, self.worse = 0.0, False, False, 0
        self.since = Since()
        before = self.watch
        self.watch = Watch(fresh=False, best_validation=before.best_validation, train_at_best=before.train_at_best)

    def as_json(self) -> dict[str, Any]:
        """For the checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Progress:
        """From a checkpoint."""
        known = {f.name: content[f.name] for f in fields(cls) if f.name in content}
        known["since"] = Since(**content["since"])
        known["watch"] = Watch(**content["watch"])
        return cls(**known)
