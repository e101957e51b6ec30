"""What a person can say about simulated reads. No torch here, so that help is instant."""

from __future__ import annotations

from unrolled.tasks.transcribe.options import RATES

BOUNDS: dict[str, tuple[float, float]] = {
    "dwell": (1, 1_000),
    "shape": (0.01, 1_000_000),
    "noise": (0, 1_000),
    "drift": (0, 1_000),
    "rate": (RATES[0], RATES[-1]),
}
"""The least and the most of a pore's numbers."""
