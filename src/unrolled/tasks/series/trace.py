"""Whether a series without a name is the one that a run has learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unrolled.tasks.series.prepared import Prepared

_KEPT = 400
"""Steps by which a series is known again."""
_NEAR = 0.25
"""How far values may be from those of the run, as a share of their spread: statistics are revised."""


@dataclass(frozen=True)
class Trace:
    """Some steps of a series, evenly over it.

    Fields:
        times: (n,) seconds or numbers; empty where the file has no times.
        values: (n, K) scaled, without gaps.
    """

    times: np.ndarray
    values: np.ndarray

    def fits(self, one: Prepared, is_timed: bool) -> bool:
        """Whether the scalings of the run, which ``one`` has, are its own.

        At most of the times that both have, its values are the same or nearly so. Where they share no time, or have
        none, its values lie where those of the run do, or up to half of their range beyond.
        """
        if not len(self.values):
            return True
        if is_timed and len(self.times):
            times = _as_numbers(one.series.times)
            at = np.minimum(np.searchsorted(times, self.times), len(times) - 1)
            shared = times[at] == self.times
            off = np.abs(one.scaled(at[shared]) - self.values[shared])
            if len(off := off[~np.isnan(off)]):
                return bool(np.median(off) <= _NEAR)
        z = one.scaled(_evenly(len(one)))
        if np.isnan(z).all(0).any():
            return False
        low, high = np.nanquantile(z, (0.05, 0.95), axis=0)
        lowest, highest = self.values.min(0), self.values.max(0)
        margin = (highest - lowest) / 2
        return bool(((low >= lowest - margin) & (high <= highest + margin)).all())

    def as_json(self) -> dict[str, Any]:
        """For a side file."""
        return {"times": self.times.tolist(), "values": self.values.tolist()}


def trace_of(one: Prepared, is_timed: bool) -> Trace:
    """What a run keeps of the series that it learns from."""
    steps = _evenly(len(one))
    z = one.scaled(steps)
    seen = ~np.isnan(z).any(1)
    times = _as_numbers(one.series.moments[steps[seen]]) if is_timed else np.zeros(0)
    return Trace(times, z[seen])


def read_trace(times: Sequence[float], values: Sequence[Sequence[float]]) -> Trace:
    """From a side file."""
    return Trace(np.array(times, dtype=np.float64), np.array(values, dtype=np.float64))


def _evenly(count: int) -> np.ndarray:
    """At most `_KEPT` of so many steps, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, _KEPT)).round().astype(np.int64))


def _as_numbers(times: np.ndarray) -> np.ndarray:
    """Dates as seconds."""
    return (times.astype("datetime64[s]").astype(np.int64) if times.dtype.kind == "M" else times).astype(np.float64)
