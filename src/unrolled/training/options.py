"""What a person can say about training. No torch here, so that help is instant."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from unrolled.errors import UsageError

OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")


@dataclass(frozen=True)
class TrainingOptions:
    """Settings of the training loop; None where the program is to choose.

    Units: ``minutes`` of wall clock; ``warmup`` as a share of the budget; ``save_every`` seconds; ``bptt``
    and ``update_every`` time steps.
    """

    minutes: float | None = None
    epochs: float | None = None
    batch: int | None = None
    bptt: int = 100
    update_every: int | None = None
    carry: bool = True
    optimizer: str = "adam"
    lr: float | None = None
    weight_decay: float = 0.0
    warmup: float = 0.02
    clip: str | float = "1"
    ema: float | None = None
    seed: int = 1
    threads: int | None = None
    device: str = "cpu"
    save_every: float = 30.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "clip", f"{self.clip:g}" if isinstance(self.clip, int | float) else self.clip)
        check_types(self)
        _check(self.minutes is None or self.epochs is None, "minutes", "give --minutes or --epochs, not both")
        for name in ("minutes", "epochs"):
            value = getattr(self, name)
            _check(value is None or 0 <= value < math.inf, name, f"must be a number above 0, got {value}")
        for name in ("minutes", "epochs"):
            _check(getattr(self, name) != 0, name, "must be a number above 0, got 0")
        _check(self.lr is None or 0 <= self.lr < math.inf, "lr", f"must be a number from 0, got {self.lr}")
        for name in ("batch", "update_every", "threads"):
            value = getattr(self, name)
            _check(value is None or value >= 1, name, f"must be a whole number from 1, got {value}")
        _check(self.bptt >= 0, "bptt", f"must be 0 (the whole stream) or a number of steps, got {self.bptt}")
        if self.update_every is not None and self.bptt:
            within = self.update_every <= self.bptt
            _check(within, "update_every", f"must be at most --bptt {self.bptt}, got {self.update_every}")
            _check(
                self.carry or self.update_every == self.bptt,
                "update_every",
                "a sliding window carries the state: leave out --update-every or --no-carry",
            )
        known = ", ".join(OPTIMIZERS)
        _check(self.optimizer in OPTIMIZERS, "optimizer", f"must be one of {known}, got {self.optimizer!r}")
        _check(0 <= self.warmup < 1, "warmup", f"must lie in [0, 1), got {self.warmup}")
        _check(self.weight_decay >= 0, "weight_decay", f"must be 0 or more, got {self.weight_decay}")
        decays = self.ema is None or 0 <= self.ema < 1
        _check(decays, "ema", f"must lie in [0, 1), got {self.ema}")
        _check(0 <= self.seed < 2**63, "seed", f"must lie in [0, 2^63), got {self.seed}")
        _check(self.save_every >= 0, "save_every", f"must be 0 or more seconds, got {self.save_every}")
        self.clipping()

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
            _check(False, "clip", f"expected a norm such as 1, or value:5, or off; got {self.clip!r}")
        return kind or "norm", limit


def option_names(kind: type) -> set[str]:
    """The names of the settings of an options class."""
    return {field.name for field in fields(kind)}


def flag(name: str) -> str:
    """A setting as the command line spells it."""
    return "--" + name.replace("_", "-")


def check_types(options: Any) -> None:
    """UsageError where a setting of a dataclass is not of the kind that its annotation says."""
    for field in fields(options):
        value = getattr(options, field.name)
        allowed = {_KINDS[kind] for kind in str(field.type).split(" | ")}
        known = tuple(kind for kind, _ in allowed)
        if float in known:
            known += (int,)
        if not isinstance(value, known) or (isinstance(value, bool) and bool not in known):
            expected = " or ".join(sorted(text for kind, text in allowed if kind is not type(None)))
            raise UsageError(f"{flag(field.name)}: expected {expected}, got {value!r}")


_KINDS: dict[str, tuple[type, str]] = {
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "str": (str, "text"),
    "bool": (bool, "true or false"),
    "None": (type(None), ""),
}


def _check(holds: bool, name: str, problem: str) -> None:
    if not holds:
        raise UsageError(f"{flag(name)}: {problem}")
