"""How large a value can get, and how steep: what keeps random equations away from singularities and from chaos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

INPUT = 2.0
"""x, states and constants lie between -INPUT and INPUT."""


@dataclass(frozen=True)
class Range:
    """All numbers from ``low`` to ``high``; ``slope`` bounds the derivative by x, states and constants."""

    low: float
    high: float
    slope: float = 0.0

    @property
    def size(self) -> float:
        return max(-self.low, self.high, 0.0)

    def scaled(self, factor: float) -> Range:
        ends = sorted((self.low * factor, self.high * factor))
        return Range(*ends, self.slope * abs(factor))

    def shifted(self, by: float) -> Range:
        return Range(self.low + by, self.high + by, self.slope)

    def joined(self, other: Range) -> Range:
        """What holds of either."""
        return Range(min(self.low, other.low), max(self.high, other.high), max(self.slope, other.slope))

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high, self.slope + other.slope)

    def __sub__(self, other: Range) -> Range:
        return self + other.scaled(-1.0)

    def __mul__(self, other: Range) -> Range:
        ends = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Range(min(ends), max(ends), self.size * other.slope + other.size * self.slope)

    def __truediv__(self, other: Range) -> Range:
        return self * other.through(lambda b: 1 / b)

    def through(self, f: Callable[[float], float]) -> Range:
        """The range of f(value): f is tried on a grid, which has 0 in it where f may have a kink."""
        step = (self.high - self.low) / 40
        grid = [self.low + k * step for k in range(41)]
        if self.low < 0 < self.high:
            grid = sorted([*grid, 0.0])
        made = [f(a) for a in grid]
        slopes = [
            abs(q - p) / (b - a) for a, b, p, q in zip(grid, grid[1:], made, made[1:], strict=False) if b - a > 1e-6
        ]
        return Range(min(made), max(made), self.slope * min(1.3 * max(slopes, default=1.0), 1e3))


def symmetric(size: float, slope: float = 0.0) -> Range:
    return Range(-size, size, slope)
