"""What training kept of itself, as arrays: losses, clipping, gradients through time, warnings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_TRAIN = ("update", "loss", "gradient_norm", "clipped", "lr")
_VALIDATION = ("update", "loss")


@dataclass(frozen=True)
class Curves:
    """Norms of one state's gradient, one curve a probe, with NaN behind the end of the shorter ones.

    Shapes:
        updates (R,); norms (R, T), over positions in the chunk or over lags.
    """

    updates: np.ndarray
    norms: np.ndarray


@dataclass(frozen=True)
class Record:
    """The history of a run.

    Fields:
        train: ``update``, ``loss``, ``gradient_norm``, ``clipped`` (share of steps), ``lr``, one number a report.
        validation: ``update``, ``loss``, one number a validation.
        by_position: ||dL/ds_t|| of a chunk's loss, by state, such as ``"1.h"`` for h of the first layer.
        by_lag: the same of the loss of one step alone, 0, 1, 2, ... steps back.
        further: after which updates the run was trained further, with one more budget.
        warnings: ``cause``, ``evidence``, ``cure`` and ``update`` of each.
        is_estimated: whether validations on the way scored only excerpts.
        finished: the numbers of the end; empty if training has not come to that of its last budget.
    """

    train: dict[str, np.ndarray]
    validation: dict[str, np.ndarray]
    by_position: dict[str, Curves]
    by_lag: dict[str, Curves]
    further: list[float]
    warnings: list[dict[str, Any]]
    is_estimated: bool
    finished: dict[str, Any]

    @property
    def whole_validation(self) -> float | None:
        """The loss of the best weights on the whole validation part; None if that was not scored."""
        scores = self.finished.get("validation")
        loss = number(scores.get("loss")) if isinstance(scores, Mapping) else math.nan
        return loss if math.isfinite(loss) else None


def record(events: Iterable[Mapping[str, Any]]) -> Record:
    """The events of a run's history as arrays.

    What is missing or no number becomes NaN; events that are none of those named above are passed over.

    >>> kept = record([{"event": "lags", "update": 5, "by_lag": {"1.h": [2.0, 1.0]}},
    ...                {"event": "lags", "update": 9, "by_lag": {"1.h": [3.0]}}])
    >>> kept.by_lag["1.h"].norms.tolist()
    [[2.0, 1.0], [3.0, nan]]
    """
    known = [e for e in events if isinstance(e, Mapping)]

    def of(kind: str) -> list[Mapping[str, Any]]:
        return [e for e in known if e.get("event") == kind]

    warnings = [
        {name: str(e.get(name, "")) for name in ("cause", "evidence", "cure")} | {"update": e.get("update")}
        for e in of("warning")
    ]
    ends = [e for e in known if e.get("event") in ("further", "finished")]
    further = [number(e.get("update")) for e in of("further")]
    return Record(
        train=_columns(of("train"), _TRAIN),
        validation=_columns(of("validation"), _VALIDATION),
        by_position=_curves(of("gradients"), "by_position"),
        by_lag=_curves(of("lags"), "by_lag"),
        further=[update for update in further if math.isfinite(update)],
        warnings=warnings,
        is_estimated=any(e.get("estimate") is True for e in of("validation")),
        finished=dict(ends[-1]) if ends and ends[-1]["event"] == "finished" else {},
    )


def reach(curve: Sequence[float] | np.ndarray, share: float) -> int | None:
    """Steps back until a gradient stays below ``share`` of its peak; None if it does not, in this curve.

    >>> reach([1.0, 0.5, 0.05, 0.001], 0.1)
    2
    >>> reach([1.0, 0.9], 0.1) is None
    True
    """
    values = np.asarray(curve, dtype=np.float64)
    values = values[np.isfinite(values)]
    if not len(values) or values.max() <= 0:
        return None
    last = int(np.flatnonzero(values >= share * values.max())[-1])
    return None if last == len(values) - 1 else last + 1


def furthest(curves: Mapping[str, Curves], share: float) -> tuple[str, int | None, int] | None:
    """The state whose last curve stays above ``share`` of its peak longest.

    Returns:
        its name, the steps of `reach`, and the curve's length; None without curves.
    """
    reaches = []
    for name, recorded in curves.items():
        curve = recorded.norms[-1]
        curve = curve[np.isfinite(curve)]
        if len(curve) and curve.max() > 0:
            reaches.append((name, reach(curve, share), len(curve)))
    return max(reaches, key=lambda f: f[2] if f[1] is None else f[1], default=None)


def _columns(events: list[Mapping[str, Any]], names: Sequence[str]) -> dict[str, np.ndarray]:
    rows = [[number(e.get(name)) for name in names] for e in events]
    rows = [row for row in rows if math.isfinite(row[0])]
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(names))
    return dict(zip(names, table.T, strict=True))


def _curves(events: list[Mapping[str, Any]], key: str) -> dict[str, Curves]:
    by_name: dict[str, dict[float, list[float]]] = {}
    for e in events:
        update, curves = number(e.get("update")), e.get(key)
        if not math.isfinite(update) or not isinstance(curves, Mapping):
            continue
        for name, curve in curves.items():
            if isinstance(curve, list) and curve:
                by_name.setdefault(name, {})[update] = [number(v) for v in curve]
    padded = {}
    for name, by_update in by_name.items():
        updates = sorted(by_update)
        norms = np.full((len(updates), max(len(by_update[u]) for u in updates)), np.nan)
        for row, u in zip(norms, updates, strict=True):
            row[: len(by_update[u])] = by_update[u]
        padded[name] = Curves(np.array(updates), norms)
    return padded


def number(value: Any) -> float:
    """A finite number as a float; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        converted = float(value)
    except OverflowError:
        return math.nan
    return converted if math.isfinite(converted) else math.nan
