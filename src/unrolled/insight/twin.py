"""The numbers of a report, for JSON: none that is not finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unrolled.insight.about import About
from unrolled.insight.errors import Losses
from unrolled.insight.findings import Findings
from unrolled.insight.record import Curves, Record, reach
from unrolled.runs.numbers import finite


def twin(
    about: About, history: Record, findings: Findings | None, notes: Sequence[str], sentences: Sequence[str]
) -> dict[str, Any]:
    """All numbers of a report."""
    numbers: dict[str, Any] = {
        "run": about.title,
        "settings": about.settings,
        "unit": about.unit,
        "text": about.origin or None,
        "findings": list(sentences),
        "notes": list(notes),
        "train": history.train,
        "validation": history.validation,
        "finished": history.finished,
        "warnings": history.warnings,
        "gradient_by_position": _curves(history.by_position),
        "gradient_by_lag": _curves(history.by_lag),
        "samples": [{"update": update, "text": written} for update, written in about.samples],
    }
    if findings is not None:
        numbers |= _of_findings(findings, about.frequencies)
    return finite(numbers)


def _curves(curves: Mapping[str, Curves]) -> dict[str, Any]:
    return {
        name: {
            "updates": c.updates,
            "norms": c.norms,
            "reach": {str(share): reach(c.norms[-1], share) for share in (0.5, 0.1, 0.01, 0.001)},
        }
        for name, c in curves.items()
    }


def _of_findings(findings: Findings, frequencies: float | None) -> dict[str, Any]:
    return {
        "symbols": findings.symbols,
        "unknown": np.flatnonzero(findings.unknown),
        "saturation": [
            {
                "name": s.name,
                "kind": s.kind,
                "low_share": s.low_share,
                "high_share": s.high_share,
                "mean": s.mean,
                "low": _rounded(s.low),
                "high": _rounded(s.high),
            }
            for s in findings.saturation
        ],
        "units": [
            {
                "feature": u.feature,
                "name": u.name,
                "unit": u.unit,
                "correlation": u.correlation,
                "picked": u.picked,
                "n": u.n,
                "p": u.p,
            }
            for u in findings.followers
        ],
        "traces": [
            {"name": t.name, "unit": t.unit, "follows": t.follows, "values": _rounded(t.values)}
            for t in findings.traces
        ],
        "gradient_through_time": None if findings.gradient is None else findings.gradient.as_json(),
        "lyapunov": None if findings.exponent is None else findings.exponent.as_json(),
        "errors": None if findings.losses is None else _losses(findings, findings.losses, frequencies),
    }


def _losses(findings: Findings, lost: Losses, frequencies: float | None) -> dict[str, Any]:
    return {
        "mean": lost.loss.mean(),
        "frequencies": frequencies,
        "mean_by_context": {str(k): v.mean() for k, v in lost.short.items()},
        "causes": [{"name": c.name, "count": c.count, "nats": c.nats, "share": c.share} for c in findings.causes],
        "loss": _rounded(lost.loss),
        "candidates": [[findings.names[k] for k in row] for row in lost.candidates],
        "probabilities": _rounded(lost.probabilities),
    }


def _rounded(values: np.ndarray) -> np.ndarray:
    """Four places are what a person can use, and keep the file small."""
    return np.round(values.astype(np.float64), 4)
