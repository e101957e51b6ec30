"""A verdict in words: does the gradient vanish, stay or explode, how fast, and what to try."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unrolled.cells import Cell
from unrolled.insight.names import layer_of

FACTOR = 10.0
"""Over all the lags shown, a gradient that changes less than this many times is called stable."""

SMALLEST = 1e-290
"""Smaller norms are not fitted: float64 ends near 1e-308, and loses digits before."""

FEWEST = 3
"""A slope needs at least this many points."""


@dataclass(frozen=True)
class Verdict:
    """How the gradient of one state develops through time.

    Fields:
        state: which, such as ``"1.c"``.
        kind: ``"vanishing"``, ``"stable"``, ``"exploding"`` or ``"unknown"``.
        rate: the slope of its log norm a step back.
        steps: in which it halves or doubles; infinite if neither.
        why: the evidence.
        cure: what to try; empty if nothing is wrong.
    """

    state: str
    kind: str
    rate: float
    steps: float
    why: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.why}" + (f". Try: {self.cure}" if self.cure else "")


def decay(curve: np.ndarray, first: int, last: int) -> float:
    """The slope of log ``curve`` against its index, by least squares over ``first`` to ``last``.

    Zeros and what float64 cannot hold are left out; not a number if fewer than three points (`FEWEST`) are left.

    >>> round(decay(0.9 ** np.arange(50.0), 5, 49), 6) == round(float(np.log(0.9)), 6)
    True
    """
    lag = np.arange(len(curve))
    usable = (lag >= first) & (lag <= last) & (curve > SMALLEST) & np.isfinite(curve)
    if usable.sum() < FEWEST:
        return math.nan
    return float(np.polyfit(lag[usable], np.log(curve[usable]), 1)[0])


def verdict(
    state: str,
    curve: np.ndarray,
    slope: float,
    cell: Cell,
    products: Mapping[str, np.ndarray],
    radius: Mapping[str, float],
) -> Verdict:
    """The verdict on one state's norms by lag.

    Arguments:
        state: its name.
        curve, slope: norms by lag, and their `decay`.
        cell: whose state it is.
        products, radius: ``kept`` and ``radius`` of `GradientThroughTime`.
    """
    K = len(curve) - 1
    way = layer_of(state)
    if not np.isfinite(curve).all():
        k = int(np.flatnonzero(~np.isfinite(curve))[0])
        return Verdict(
            state, "exploding", math.inf, 0.0, f"it is infinite or NaN from lag {k} on", _calm(way, radius)
        )
    alive = np.flatnonzero(curve)
    if not len(alive):
        return Verdict(state, "unknown", math.nan, math.inf, "the loss does not depend on this state")
    ended = f"; it is zero from lag {alive[-1] + 1} on" if alive[-1] < K else ""
    if math.isnan(slope):
        if ended and alive[-1] < K / 2:
            return Verdict(state, "vanishing", -math.inf, 0.0, ended[2:], _keep(way, cell, products))
        return Verdict(state, "unknown", math.nan, math.inf, f"{K + 1} lags are too few to fit a slope")
    steps = math.log(2) / abs(slope) if slope else math.inf
    if slope * K < -math.log(FACTOR) or ended:
        why = f"half-life of {_steps(steps)}{ended}"
        return Verdict(state, "vanishing", slope, steps, why, _keep(way, cell, products))
    if slope * K > math.log(FACTOR):
        return Verdict(state, "exploding", slope, steps, f"doubling every {_steps(steps)}", _calm(way, radius))
    times, word = math.exp(abs(slope) * K), "half-life" if slope < 0 else "doubling time"
    changes = f"changes by a factor of {times:.1f} ({word} of {_steps(steps)})"
    why = f"over {K} lags it " + ("keeps its size" if times < 1.05 else changes)
    return Verdict(state, "stable", slope, steps, why)


def _steps(steps: float) -> str:
    if not math.isfinite(steps):
        return "infinitely many steps"
    return f"{steps:.1f} steps" if steps < 10 else f"{steps:,.0f} steps"


def _keep(way: str, cell: Cell, products: Mapping[str, np.ndarray]) -> str:
    """What helps against a gradient that vanishes."""
    inner = getattr(cell, "innermost", cell)
    product = products.get(f"{way}.{inner.keeps}")
    if product is None or len(product) < 2:
        return (
            "a cell with gates (LSTM, GRU), or recurrent weights that preserve the norm "
            "(recurrent_init='orthogonal', or 'identity' with relu)"
        )
    return (
        f"gates that start open: the product of {inner.keeps} over {len(product) - 1} steps is "
        f"{product[-1]:.1g} (set chrono=LAG to the longest lag in steps, or raise forget_bias)"
    )


def _calm(way: str, radius: Mapping[str, float]) -> str:
    """What helps against a gradient that grows."""
    own = {name: rho for name, rho in radius.items() if layer_of(name) == way}
    largest = max(own.values(), default=math.nan)
    shown = f" (the largest spectral radius is {largest:.2f})" if math.isfinite(largest) and largest > 1 else ""
    return f"clipping the gradient's norm, a smaller learning rate, smaller recurrent weights{shown}"
