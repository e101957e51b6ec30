"""Units that follow something readable."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from unrolled.insight.gates import Named

NEAR = 50
"""Shifts nearer than this, or a tenth of the steps, are no chance: a unit may follow a feature with a delay."""


@dataclass(frozen=True)
class Unit:
    """A unit, and the feature that it follows.

    Fields:
        feature: its name.
        name, unit: which number, from 0, of which state, ``"1.h"``.
        correlation: Pearson's, on the half of the steps that was not used to pick the unit.
        picked: the same on the half that it was picked on.
        n: steps in the held-out half.
        p: how often chance gives so large a correlation to any of the units chosen; see `units`.
    """

    feature: str
    name: str
    unit: int
    correlation: float
    picked: float
    n: int
    p: float


def units(named: Named, features: Mapping[str, np.ndarray], each: int = 1) -> list[Unit]:
    """The units that follow each feature best, by the size of the correlation.

    Units are picked on the first half of the steps, and their correlation is reported on the second,
    so that the best of many units does not look better than it is. States and features of a text are
    smooth in time, so n independent steps would promise too much: chance is what the circular shifts of the features
    against the units give. And many are compared, so some correlate by chance: p is the share of shifts at which
    *any* unit that was chosen correlates as strongly with its feature, each in units of its own spread (one more
    is counted on each side). It holds for features and units without a trend over the whole sequence.

    Shapes:
        each array of ``named`` (T, N, width), or (T, width) of one sequence; each feature (T,) or (T, N).

    Arguments:
        named: arrays by name, from `gates`; often the states alone.
        features: what to look for, as numbers or bools. One that is constant in either half is left out, and so
            is, with a warning, one that is infinite or not a number somewhere; units likewise.
        each: units for each feature.

    Source:
        P. H. Westfall & S. S. Young, "Resampling-based multiple testing" (1993): the largest of several statistics.

    Raises:
        ValueError: a feature has no numbers, or not the steps of the arrays; or there are fewer than 20 steps.

    >>> t = np.arange(200.0)
    >>> states = np.stack([np.sin(t / 9), np.cos(t)], axis=1)[:, None, :]
    >>> best, = units({"1.h": states}, {"slow": np.sin(t / 9) > 0})
    >>> best.name, best.unit, best.correlation > 0.8
    ('1.h', 0, True)
    """
    if not named:
        return []
    named = {key: v[:, None] if v.ndim == 2 else v for key, v in named.items()}
    T, N = next(iter(named.values())).shape[:2]
    if T < 20:
        raise ValueError(f"units: {T} steps, expected at least 20: one half selects units, the other tests them")
    if not N:
        raise ValueError("units: the arrays contain no sequences (N = 0)")
    for name, v in named.items():
        if v.shape[:2] != (T, N):
            raise ValueError(f"units: {name} has (T, N) = {v.shape[:2]}, others {(T, N)}")
    owners = [(name, k) for name, v in named.items() for k in range(v.shape[2])]
    values = np.concatenate([v.astype(np.float64) for v in named.values()], axis=2)
    odd = ~np.isfinite(values).all(axis=(0, 1))
    if odd.any():
        _left_out(f"{odd.sum()} of {len(odd)} units")
        values = np.where(odd, 0.0, values)
    half = T // 2
    picking, telling = _standard(values[:half]), _standard(values[half:])
    chosen, pairs = [], []
    for label, per_step in features.items():
        feature = _checked(label, per_step, T, N)
        if not np.isfinite(feature).all():
            _left_out(f"feature {label!r}")
            continue
        if _is_constant(feature[:half]) or _is_constant(feature[half:]):
            continue
        first = np.einsum("tnk,tn->k", picking, _standard(feature[:half]))
        held = _standard(feature[half:])
        for k in np.argsort(-np.abs(first), kind="stable")[:each]:
            if not first[k]:  # the unit does not move, or only where the feature does not
                break
            r = float((telling[:, :, k] * held).sum())
            name, unit = owners[k]
            chosen.append(Unit(label, name, unit, r, float(first[k]), (T - half) * N, p=1.0))
            pairs.append((telling[:, :, k], held))
    tested = [replace(unit, p=p) for unit, p in zip(chosen, _chance(pairs), strict=True)]
    return sorted(tested, key=lambda u: -abs(u.correlation))


def _checked(label: str, values: np.ndarray, T: int, N: int) -> np.ndarray:
    try:
        feature = np.asarray(values)
        if np.iscomplexobj(feature):
            raise TypeError
        feature = feature.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"units: feature {label!r} must be numbers or bools, one per step") from error
    if feature.ndim == 1:
        feature = np.repeat(feature[:, None], N, axis=1)
    if feature.shape != (T, N):
        raise ValueError(f"units: feature {label!r} has shape {np.shape(values)}, expected (T,) or (T, N) = {(T, N)}")
    return feature


def _left_out(what: str) -> None:
    warnings.warn(f"units: left out {what}, which is infinite or NaN at some steps", stacklevel=3)


def _is_constant(values: np.ndarray) -> bool:
    """Whether they are all the same, but for rounding."""
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max(initial=0)) if values.size else True


def _standard(values: np.ndarray) -> np.ndarray:
    """Centred over steps and sequences, and of length 1; a constant one becomes zero."""
    centred = values - values.mean(axis=(0, 1))
    length = np.sqrt((centred**2).sum(axis=(0, 1)))
    moves = length > 1e-9 * np.sqrt((values**2).sum(axis=(0, 1)))
    return np.divide(centred, length, out=np.zeros_like(centred), where=moves)


def _chance(pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """For each unit and its feature, (n, N) each: the share of shifts at which any of them correlates so strongly."""
    if not pairs:
        return []
    n = len(pairs[0][0])
    near = max(1, min(NEAR, n // 10))
    spectra = (np.fft.rfft(u, axis=0) * np.fft.rfft(f, axis=0).conj() for u, f in pairs)
    sizes = np.abs([np.fft.irfft(s.sum(axis=1), n) for s in spectra])  # by shift: |sum_t unit_t feature_(t - s)|
    shifted = sizes[:, near : n - near + 1]
    spread = np.maximum(np.sqrt((shifted**2).mean(axis=1)), 1e-12)
    largest = (shifted / spread[:, None]).max(axis=0)
    reached = (largest >= (sizes[:, 0] / spread)[:, None] * (1 - 1e-9)).sum(axis=1)
    return ((reached + 1) / (len(largest) + 1)).tolist()
