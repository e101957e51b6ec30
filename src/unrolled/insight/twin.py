"""The numbers of a report, for JSON: no number that is not finite, and every layer counted from 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unrolled.insight.about import About
from unrolled.insight.errors import Losses
from unrolled.insight.findings import Findings
from unrolled.insight.record import Curves, Record, reach


def twin(
    about: About, kept: Record, found: Findings | None, notes: Sequence[str], sentences: Sequence[str]
) -> dict[str, Any]:
    """All numbers of a report."""
    made: dict[str, Any] = {
        "run": about.title,
        "settings": about.settings,
        "unit": about.unit,
        "text": about.origin or None,
        "findings": list(sentences),
        "notes": list(notes),
        "train": kept.train,
        "validation": kept.validation,
        "finished": kept.finished,
        "warnings": kept.warnings,
        "gradient_by_position": _curves(kept.by_position),
        "gradient_by_lag": _curves(kept.by_lag),
        "samples": [{"update": update, "text": written} for update, written in about.samples],
    }
    if found is not None:
        made |= _found(found, about.frequencies)
    return finite(made)


def finite(value: Any) -> Any:
    """The same for JSON: arrays as lists, and null for what is infinite or no number.

    >>> finite({"a": np.array([1.0, np.nan]), "b": (True, np.int64(2), float("inf"))})
    {'a': [1.0, None], 'b': [True, 2, None]}
    """
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return finite(value.tolist())
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _curves(curves: Mapping[str, Curves]) -> dict[str, Any]:
    return {
        name: {
            "updates": c.updates,
            "norms": c.norms,
            "reach": {str(share): reach(c.norms[-1], share) for share in (0.5, 0.1, 0.01, 0.001)},
        }
        for name, c in curves.items()
    }


def _found(found: Findings, frequencies: float | None) -> dict[str, Any]:
    return {
        "symbols": found.symbols,
        "unknown": np.flatnonzero(found.unknown),
        "saturation": [
            {
                "layer": s.layer + 1,
                "name": s.name,
                "kind": s.kind,
                "low_share": s.low_share,
                "high_share": s.high_share,
                "mean": s.mean,
                "low": _rounded(s.low),
                "high": _rounded(s.high),
            }
            for s in found.saturation
        ],
        "units": [
            {
                "feature": u.feature,
                "layer": u.layer + 1,
                "name": u.name,
                "unit": u.unit,
                "correlation": u.correlation,
                "picked": u.picked,
                "n": u.n,
                "p": u.p,
            }
            for u in found.followers
        ],
        "traces": [
            {"layer": t.layer + 1, "name": t.name, "unit": t.unit, "follows": t.follows, "values": _rounded(t.values)}
            for t in found.traces
        ],
        "gradient_through_time": None if found.gradient is None else found.gradient.as_json(),
        "lyapunov": None if found.exponent is None else found.exponent.as_json(),
        "errors": None if found.losses is None else _losses(found, found.losses, frequencies),
    }


def _losses(found: Findings, lost: Losses, frequencies: float | None) -> dict[str, Any]:
    return {
        "mean": lost.loss.mean(),
        "frequencies": frequencies,
        "mean_by_context": {str(k): v.mean() for k, v in lost.short.items()},
        "causes": [{"name": c.name, "count": c.count, "nats": c.nats, "share": c.share} for c in found.causes],
        "loss": _rounded(lost.loss),
        "candidates": [[found.names[k] for k in row] for row in lost.candidates],
        "probabilities": _rounded(lost.probabilities),
    }


def _rounded(values: np.ndarray) -> np.ndarray:
    """Four places are what a person can use, and keep the file small."""
    return np.round(values.astype(np.float64), 4)
