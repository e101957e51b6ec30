"""What a report says of a run besides what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class About:
    """A run, as its report names it.

    Fields:
        title: the run.
        model: one line: which cell, how large, trained how.
        unit: of its sequences, such as ``"character"``.
        origin: the text that was looked at; empty if there is none.
        frequencies: loss of a table of frequencies on it (nats a symbol); None if unknown.
        settings: the run's configuration, for the numbers.
        samples: update, and what the model wrote after it.
        notes: what is missing, and why.
        scales: factors of a loss in nats, each with the unit that it gives: ``(1.44, "bits per character")``.
    """

    title: str
    model: str
    unit: str
    origin: str = ""
    frequencies: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    samples: Sequence[tuple[int, str]] = ()
    notes: Sequence[str] = ()
    scales: Sequence[tuple[float, str]] = ()
