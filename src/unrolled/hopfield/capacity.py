"""How much a memory holds: recall against load, and the load at which recall breaks down."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from unrolled.errors import UsageError
from unrolled.hopfield.dense import Dense
from unrolled.hopfield.dynamics import asynchronous
from unrolled.hopfield.rules import DENSE, RULES, holds
from unrolled.hopfield.wiring import Wiring

_FLOATS = 50_000_000
"""Numbers that the matrices of networks run together may hold."""
SWEEPS = 200
_LOADS = 30
"""Steps of 0.01 in load, at most."""


@dataclass(frozen=True)
class Point:
    """Recall at one load: ``recalled`` of ``trials`` exactly, and the mean overlap with the pattern at the end.

    ``low`` and ``high`` are the ends of the 95 % confidence band of ``rate`` (Wilson's score interval).
    """

    patterns: int
    trials: int
    recalled: int
    overlap: float

    @property
    def rate(self) -> float:
        return self.recalled / self.trials

    @property
    def low(self) -> float:
        return wilson(self.recalled, self.trials)[0]

    @property
    def high(self) -> float:
        return wilson(self.recalled, self.trials)[1]


@dataclass(frozen=True)
class Capacity:
    """What `measure` finds, and the theory beside it.

    ``theory`` maps what a figure is of to a number of patterns: 0.138 N, where recall with few errors ends, and
    N / (2 ln N), where recall without any error does; both for Hebb's rule, large N and no damage.
    """

    units: int
    rule: str
    flips: float
    points: tuple[Point, ...]
    theory: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.units} units, {self.rule}, {100 * self.flips:g} % of units flipped at the start"]
        lines += [
            f"{p.patterns:>6} patterns  {p.rate:.3f} recalled ({p.low:.3f} to {p.high:.3f})  overlap {p.overlap:.3f}"
            for p in self.points
        ]
        return "\n".join(lines)


def measure(
    units: int,
    loads: Iterable[int] | None = None,
    rule: str = "hebb",
    flips: float = 0.15,
    trials: int = 100,
    seed: int = 0,
    self_connections: bool = False,
    options: dict[str, Any] | None = None,
    gain: float = 1.0,
    tell: Callable[[float], None] | None = None,
) -> Capacity:
    """Recall random patterns from damaged copies, at several loads.

    Each trial has a network and patterns of its own; ``flips`` of the units of one pattern, exactly, are turned over,
    and single units updated in random order until the state rests (200 sweeps at most).

    Arguments:
        units: N.
        loads: numbers of patterns; ten up to 1.5 times what the rule holds if None.
        flips: a share.
        trials: of each load.
        gain: of ``"softmax"``, its inverse temperature.
        tell: called with the share of the trials that is done, now and then.

    Cost:
        trials N^2 numbers a load for the learning; networks are made and run together as memory allows.

    >>> made = measure(50, [2, 25], trials=50, seed=1)
    >>> [p.patterns for p in made.points], made.points[0].rate > made.points[1].rate
    ([2, 25], True)
    """
    chosen = _checked(units, loads, rule, flips, trials)
    draw = torch.Generator().manual_seed(seed)
    points: list[Point] = []
    for P in chosen:
        recalled, overlap, left = 0, 0.0, trials
        while left:
            size = units * (P if rule in DENSE else max(P, units))
            K = 1 if rule in DENSE else max(1, min(left, _FLOATS // size))
            patterns = signs((K, P, units), draw)
            start = patterns[:, 0].clone()
            turned = torch.rand(K, units, generator=draw).argsort(1)[:, : round(flips * units)]
            start.scatter_(1, turned, -start.gather(1, turned))
            network = _network(rule, patterns, self_connections, options or {}, gain)
            course = asynchronous(
                network,
                start[..., None].to(network.theta.dtype),
                lambda: torch.randperm(units, generator=draw),
                SWEEPS,
                energy=False,
            )
            m = (course.v[..., 0] * patterns[:, 0]).mean(1, dtype=torch.float64)
            recalled += int((m == 1).sum())
            overlap += float(m.sum())
            left -= K
            if tell is not None:
                tell((len(points) + 1 - left / trials) / len(chosen))
        points.append(Point(P, trials, recalled, overlap / trials))
    theory = {"0.138 N": 0.138 * units, "N / (2 ln N)": units / (2 * math.log(units))}
    return Capacity(units, rule, flips, tuple(points), theory)


@dataclass(frozen=True)
class Critical:
    """The load at which half the runs keep an overlap above .9, and how sure that is.

    ``load`` is patterns over units, ``low`` and ``high`` its 95 % confidence band over networks; ``kept`` maps each
    number of patterns to the share of runs of each network that kept their overlap.
    """

    units: int
    load: float
    low: float
    high: float
    kept: dict[int, tuple[float, ...]]


def critical_load(units: int, networks: int = 10, seed: int = 0, sweeps: int = 500) -> Critical:
    """The load at which Hebb's memory breaks down, from starts at the stored patterns themselves.

    Every pattern of a network is a start. The share of them that end with an overlap above .9 is measured at loads
    of 0.12, 0.13, ... until it is below 0.3, in ``networks`` networks each. Where it crosses one half is read off
    straight lines between them, and the networks, drawn again with replacement, say how sure that is.

    In a large network the breakdown is at 0.138 and sharp. In a small one, patterns differ in the noise that they
    meet, and the first of them are lost earlier, the last later; the middle of the curve lies above 0.138 and comes
    down to it as N grows.

    Arguments:
        units: N.
        networks: at each load.

    Source:
        D. J. Amit, H. Gutfreund & H. Sompolinsky, "Storing infinite numbers of patterns in a spin-glass model of
        neural networks", Physical Review Letters 55 (1985).
    """
    if not isinstance(units, int) or units < 50:
        raise UsageError(f"Hopfield: the critical load needs 50 units at least, got {units!r}")
    draw = torch.Generator().manual_seed(seed)
    kept: dict[int, tuple[float, ...]] = {}
    for k in range(_LOADS):
        P = round(units * (0.12 + 0.01 * k))
        kept[P] = tuple(_shares_kept(units, P, networks, draw, sweeps))
        if sum(kept[P]) < 0.3 * networks:
            break
    loads = list(kept)
    table = torch.tensor([kept[P] for P in loads], dtype=torch.float64)
    x = torch.tensor(loads, dtype=torch.float64) / units
    middles = [_middle(x, table.mean(1))]
    for _ in range(200):
        drawn = torch.randint(networks, table.shape, generator=draw)
        middles.append(_middle(x, table.gather(1, drawn).mean(1)))
    spread = torch.tensor(middles[1:], dtype=torch.float64).quantile(
        torch.tensor([0.025, 0.975], dtype=torch.float64)
    )
    return Critical(units, middles[0], float(spread[0]), float(spread[1]), kept)


def _shares_kept(units: int, P: int, networks: int, draw: torch.Generator, sweeps: int) -> list[float]:
    """The share of the patterns of each network that, as starts, end with an overlap above .9."""
    shares: list[float] = []
    while left := networks - len(shares):
        patterns = signs((max(1, min(left, _FLOATS // units**2)), P, units), draw)
        start = patterns.mT.contiguous()
        network = _network("hebb", patterns, False, {}, 1.0)
        course = asynchronous(network, start, lambda: torch.randperm(units, generator=draw), sweeps, energy=False)
        m = (course.v * patterns.mT).mean(1)
        shares += (m > 0.9).double().mean(1).tolist()
    return shares


def _middle(x: Tensor, share: Tensor) -> float:
    """Where the shares cross one half, on straight lines between the loads."""
    above = (share >= 0.5).nonzero()[:, 0]
    if not len(above):
        return float(x[0])
    k = int(above[-1])
    if k + 1 == len(x):
        return float(x[-1])
    return float(x[k] + (share[k] - 0.5) / (share[k] - share[k + 1]) * (x[k + 1] - x[k]))


def signs(shape: tuple[int, ...], draw: torch.Generator) -> Tensor:
    """Random patterns of -1 and 1, in single precision, in which Hebb's sums are exact."""
    return torch.randint(0, 2, shape, generator=draw, dtype=torch.int8).float().mul_(2).sub_(1)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share.

    >>> [round(end, 3) for end in wilson(5, 10)]
    [0.237, 0.763]
    """
    z = 1.959963984540054
    p, n = successes / trials, trials
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def _network(
    rule: str, patterns: Tensor, self_connections: bool, options: dict[str, Any], gain: float
) -> Wiring | Dense:
    theta = patterns.new_zeros(1, patterns.shape[2], 1)
    if rule in DENSE:
        return Dense(patterns.double(), theta.double(), rule, False, options.get("degree", 3), gain)
    learned = RULES[rule](patterns, self_connections, **options)
    return Wiring(learned.W, theta, "sign", scale=learned.scale, dead=learned.dead)


def _checked(units: int, loads: Iterable[int] | None, rule: str, flips: float, trials: int) -> list[int]:
    if rule not in (*RULES, *DENSE):
        raise UsageError(f"Hopfield: rule must be one of {', '.join((*RULES, *DENSE))}; got {rule!r}")
    if not isinstance(units, int) or units < 2:
        raise UsageError(f"Hopfield: units must be a whole number from 2, got {units!r}")
    if not 0 <= flips <= 1:
        raise UsageError(f"Hopfield: flips must be a share from 0 to 1, got {flips!r}")
    if not isinstance(trials, int) or trials < 1:
        raise UsageError(f"Hopfield: trials must be a whole number from 1, got {trials!r}")
    if loads is None:
        most = 1.5 * (holds(rule, units) or (units, ""))[0]
        loads = {max(1, round(most * k / 10)) for k in range(1, 11)}
    chosen = [loads] if isinstance(loads, Integral) else list(loads)
    for load in chosen:
        if isinstance(load, bool) or not isinstance(load, Integral) or load < 1:
            raise UsageError(f"Hopfield: a load is a whole number of patterns from 1, got {load!r}")
    return sorted(int(load) for load in chosen)
