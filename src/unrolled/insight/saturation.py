"""Saturation: how much of the time each gate is nearly closed or nearly open."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from unrolled.insight.gates import Named

NEAR = 0.1
"""How near the end of its range a value counts as saturated: gates below 0.1 and above 0.9."""


@dataclass(frozen=True)
class Saturation:
    """One gate or state of one layer.

    Fields:
        name: which, as `gates` has it: ``"1.f"``.
        kind: ``"gate"``, values from 0 to 1; ``"tanh"``, from -1 to 1; ``"unbounded"``, neither.
        low, high: share of time of each unit near the lower and the upper end of that range (width,);
            of an unbounded one, below -0.9 and above 0.9.
        mean: of all its values.
    """

    name: str
    kind: str
    low: np.ndarray
    high: np.ndarray
    mean: float

    @property
    def low_share(self) -> float:
        """Share of all values near the lower end."""
        return float(self.low.mean())

    @property
    def high_share(self) -> float:
        """Share of all values near the upper end."""
        return float(self.high.mean())


def saturation(named: Named, states: Collection[str] = ()) -> list[Saturation]:
    """Saturation of everything that `gates` read, per unit.

    Equation::

        low_k = share of steps with gate_k < 0.1        high_k = share of steps with gate_k > 0.9

    A value is a gate if it is not a state and always lies in [0, 1]. A value that lies in [-1, 1] counts as
    saturated below -0.9 and above 0.9.

    Arguments:
        named: arrays (T, N, width) from `gates`.
        states: those that are states, from `state_names`.

    Raises:
        ValueError: ``named`` does not come from `gates`, or one of its arrays is empty.

    Source:
        A. Karpathy, J. Johnson & L. Fei-Fei, "Visualizing and understanding recurrent networks" (2015),
        figure 3: fractions of left- and right-saturated time.

    >>> shut, open_ = np.full((8, 1, 1), 0.01), np.full((8, 1, 1), 0.97)
    >>> found, = saturation({"1.f": np.concatenate([shut, open_], axis=2)})
    >>> found.name, found.kind, found.low.tolist(), found.high.tolist()
    ('1.f', 'gate', [1.0, 0.0], [0.0, 1.0])
    """
    if not isinstance(named, Mapping):
        raise ValueError(f"saturation: expected the arrays from gates(model, x), got {type(named).__name__}")
    saturated = []
    for name, values in named.items():
        if not values.size:
            raise ValueError(f"saturation: {name} is empty: its shape is {values.shape}")
        kind = _kind(values, name in states)
        flat = values.reshape(-1, values.shape[-1])
        lower = NEAR if kind == "gate" else NEAR - 1
        low, high = (flat < lower).mean(axis=0), (flat > 1 - NEAR).mean(axis=0)
        saturated.append(Saturation(name, kind, low, high, float(flat.mean())))
    return saturated


def _kind(values: np.ndarray, is_state: bool) -> str:
    if not is_state and values.min() >= 0 and values.max() <= 1:
        return "gate"
    return "tanh" if np.abs(values).max() <= 1 else "unbounded"
