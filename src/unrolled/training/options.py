"""What a person can say about training. No torch here, so that help is instant."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unrolled.options import check, check_one_of, check_share, check_types, option

OPTIMIZERS = ("adam", "adamw", "muon", "rmsprop", "sgd")
SCHEDULES = ("cosine", "linear", "constant")


@dataclass(frozen=True)
class TrainingOptions:
    """Settings of the training loop; None where the program is to choose.

    Units: ``minutes`` of wall clock; ``warmup`` as a share of the budget; ``save_every`` seconds; ``bptt``
    and ``update_every`` time steps.
    """

    minutes: float | None = option(None, "Budget in minutes (3).")
    epochs: float | None = option(None, "Budget in passes over the training part.")
    batch: int | None = option(None, "Sequences or streams side by side.")
    bptt: int = option(100, "Steps of truncated BPTT (100); 0 for all.")
    update_every: int | None = option(None, "New steps per update; below --bptt the window slides.")
    carry: bool = option(True, "Carry the hidden state from chunk to chunk.")
    optimizer: str | None = option(None, "adam, adamw, muon, rmsprop or sgd (default: by the task).")
    momentum: float | None = option(None, "Nesterov momentum of sgd (0.9); 0 for none.")
    lr: float | None = option(None, "Peak learning rate.")
    schedule: str = option("cosine", "Learning rate: cosine (default), linear or constant.")
    weight_decay: float | None = option(None, "Weight decay (0; with muon 0.1).")
    warmup: float = option(0.02, "Share of the budget for warm-up (0.02).")
    clip: str | float = option("1", "Limit of the gradient norm (1), value:5, or off.")
    patience: int | None = option(None, "Stop after so many validations without a better one.")
    ema: float | None = option(None, "Decay of the weight average; 0 for none.")
    seed: int = option(1, "Random seed (1).")
    threads: int | None = option(None, "Processor threads, at most one per core (default: by workload).")
    device: str = option("cpu", "cpu (default), cuda or mps.")
    save_every: float = option(30.0, "Seconds between checkpoints (30).", metavar="SECONDS")

    def __post_init__(self) -> None:
        object.__setattr__(self, "clip", f"{self.clip:g}" if isinstance(self.clip, int | float) else self.clip)
        check_types(self)
        check(self.minutes is None or self.epochs is None, "minutes", "give --minutes or --epochs, not both")
        for name in ("minutes", "epochs"):
            value = getattr(self, name)
            check(value is None or 0 <= value < math.inf, name, f"must be a number above 0, got {value}")
        for name in ("minutes", "epochs"):
            check(getattr(self, name) != 0, name, "must be a number above 0, got 0")
        check(self.lr is None or 0 <= self.lr < math.inf, "lr", f"must be a number from 0, got {self.lr}")
        for name in ("batch", "update_every", "patience", "threads"):
            value = getattr(self, name)
            check(value is None or value >= 1, name, f"must be a whole number from 1, got {value}")
        check(self.bptt >= 0, "bptt", f"must be 0 (the whole stream) or a number of steps, got {self.bptt}")
        if self.update_every is not None and self.bptt:
            within = self.update_every <= self.bptt
            check(within, "update_every", f"must be at most --bptt {self.bptt}, got {self.update_every}")
            check(
                self.carry or self.update_every == self.bptt,
                "update_every",
                "a sliding window carries the state: leave out --update-every or --no-carry",
            )
        if self.optimizer is not None:
            check_one_of(self, "optimizer", OPTIMIZERS)
        check_share(self, "momentum")
        has_momentum = self.momentum is None or self.optimizer == "sgd"
        other = "applies to --optimizer sgd only" + (f", got --optimizer {self.optimizer}" if self.optimizer else "")
        check(has_momentum, "momentum", other)
        check_one_of(self, "schedule", SCHEDULES)
        check(0 <= self.warmup < 1, "warmup", f"must lie in [0, 1), got {self.warmup}")
        small = self.weight_decay is None or 0 <= self.weight_decay < math.inf
        check(small, "weight_decay", f"must be a number from 0, got {self.weight_decay}")
        decays = self.ema is None or 0 <= self.ema < 1
        check(decays, "ema", f"must lie in [0, 1), got {self.ema}")
        check(0 <= self.seed < 2**63, "seed", f"must lie in [0, 2^63), got {self.seed}")
        check(self.save_every >= 0, "save_every", f"must be 0 or more seconds, got {self.save_every}")
        self.clipping()

    @property
    def is_adam(self) -> bool:
        """Whether the optimizer is Adam, or left open."""
        return self.optimizer in (None, "adam", "adamw")

    def clipping(self) -> tuple[str, float]:
        """``("norm", 1.0)``, ``("value", 5.0)`` or ``("off", 0.0)`` from ``"1"``, ``"value:5"``, ``"off"``."""
        assert isinstance(self.clip, str)
        kind, _, number = self.clip.rpartition(":")
        if self.clip in ("off", "0"):
            return "off", 0.0
        try:
            limit = float(number)
        except ValueError:
            limit = math.nan
        if kind not in ("", "norm", "value") or not 0 < limit < math.inf:
            check(False, "clip", f"expected a norm such as 1, or value:5, or off; got {self.clip!r}")
        return kind or "norm", limit
