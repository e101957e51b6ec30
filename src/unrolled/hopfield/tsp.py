"""The travelling salesman, as Hopfield and Tank put it to a network in 1985."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import UsageError
from unrolled.hopfield.continuous import continuous
from unrolled.hopfield.wiring import Wiring

EXACT = 12
"""Cities up to which the shortest tour is found by dynamic programming."""


@dataclass(frozen=True)
class Constants:
    """A, B: one city a place and one place a city; C: n units on; D: the tour's length; u0: inverse gain.

    Those of the paper, for 10 cities; ``n`` is 1.5 times the number of cities there.
    """

    A: float = 500.0
    B: float = 500.0
    C: float = 200.0
    D: float = 500.0
    n: float = 1.5
    u0: float = 0.02


@dataclass(frozen=True)
class Tours:
    """What the network found from its starts, beside what others find.

    ``tours`` holds, for each start, the cities in order, or None where the units say no valid tour. Lengths are in
    units of the square's side. ``shortest`` is exact up to 12 cities, None above; ``nearest`` is the best of the
    nearest neighbour's tours from every city; ``random`` the mean length of 1,000 random tours. ``unfinished``
    counts starts whose units still moved at the end.
    """

    cities: np.ndarray
    tours: tuple[tuple[int, ...] | None, ...]
    lengths: tuple[float, ...]
    shortest: float | None
    nearest: float
    random: float
    unfinished: int

    @property
    def valid(self) -> int:
        """How many starts ended in a valid tour."""
        return sum(tour is not None for tour in self.tours)

    @property
    def best(self) -> tuple[int, ...] | None:
        """The shortest tour that the network found."""
        found = [tour for tour in self.tours if tour is not None]
        return min(found, key=lambda tour: length(self.cities, tour), default=None)


def wiring(distances: Tensor, constants: Constants | None = None) -> Wiring:
    """The network for cities at these distances: unit (x, i) says that city x has place i.

    Equation::

        W_(xi)(yj) = -A d_xy (1 - d_ij) - B d_ij (1 - d_xy) - C - D dist_xy (d_(j, i+1) + d_(j, i-1))
        Theta = C n        v = (1 + tanh(u / u0)) / 2,  which is the logistic with gain 2 / u0

    with d_xy = 1 if x = y, else 0, and places counted in a ring.

    Source:
        J. J. Hopfield & D. W. Tank, "'Neural' computation of decisions in optimization problems", Biological
        Cybernetics 52 (1985), equations 8 and 9.
    """
    c = constants or Constants()
    N = len(distances)
    same, ones = torch.eye(N, dtype=torch.float64), torch.ones(N, N, dtype=torch.float64)
    beside = torch.roll(same, 1, 0) + torch.roll(same, -1, 0)
    W = -c.A * torch.kron(same, ones - same) - c.B * torch.kron(ones - same, same) - c.C
    W -= c.D * torch.kron(distances.double(), beside)
    theta = torch.full((1, N * N, 1), c.C * c.n * N, dtype=torch.float64)
    return Wiring(W[None], theta, "logistic", gain=2 / c.u0)


def solve(
    cities: np.ndarray | None = None,
    count: int = 10,
    starts: int = 100,
    seed: int = 0,
    constants: Constants | None = None,
    time: float = 2.0,
    tell: Callable[[float], None] | None = None,
) -> Tours:
    """Let the network run from noisy starts, and read each end as a tour or as none.

    All starts are integrated together. A unit is on above 0.5; a tour is valid if each city has one place, and each
    place one city.

    Arguments:
        cities: places (N, 2); random ones in the unit square if None.
        count: how many random cities.
        time: in tau.
        tell: called with the share of it that is over, now and then.

    >>> found = solve(count=5, starts=3)
    >>> len(found.tours), found.shortest <= found.nearest
    (3, True)
    """
    rng = np.random.default_rng(seed)
    if not isinstance(starts, int) or starts < 1:
        raise UsageError(f"Hopfield: starts must be a whole number from 1, got {starts!r}")
    places = rng.random((count, 2)) if cities is None else np.asarray(cities, dtype=float)
    if places.ndim != 2 or places.shape[1] != 2 or len(places) < 3 or not np.isfinite(places).all():
        raise UsageError(f"Hopfield: cities must be at least three points, (N, 2); got shape {places.shape}")
    N, c = len(places), constants or Constants()
    distances = torch.as_tensor(np.linalg.norm(places[:, None] - places[None], axis=2))
    net = wiring(distances, c)
    middle = -math.log(N - 1) * c.u0 / 2  # where each unit is 1/N
    noise = rng.uniform(-0.1 * c.u0, 0.1 * c.u0, (N * N, starts))
    u = torch.as_tensor(middle + noise)[None] * net.gain
    course = continuous(net, u, time, tolerance=1e-3, accuracy=1e-4, tell=tell)
    on = (course.v[0].T.reshape(starts, N, N) > 0.5).numpy()
    tours = tuple(_tour(one) for one in on)
    return Tours(
        places,
        tours,
        tuple(length(places, tour) for tour in tours if tour is not None),
        length(places, shortest(places)) if N <= EXACT else None,
        length(places, nearest(places)),
        float(np.mean([length(places, rng.permutation(N)) for _ in range(1000)])),
        int((course.period == 0).sum()),
    )


def length(cities: np.ndarray, tour: tuple[int, ...] | np.ndarray) -> float:
    """Of the closed tour."""
    at = cities[list(tour)]
    return float(np.linalg.norm(at - np.roll(at, 1, axis=0), axis=1).sum())


def nearest(cities: np.ndarray) -> tuple[int, ...]:
    """The best of the tours that always go to the nearest city left, one from each city."""
    distances = np.linalg.norm(cities[:, None] - cities[None], axis=2)
    tours = []
    for first in range(len(cities)):
        tour, left = [first], set(range(len(cities))) - {first}
        while left:
            tour.append(min(left, key=lambda y: float(distances[tour[-1], y])))
            left.remove(tour[-1])
        tours.append(tuple(tour))
    return min(tours, key=lambda tour: length(cities, tour))


def shortest(cities: np.ndarray) -> tuple[int, ...]:
    """The shortest tour, by dynamic programming over sets of cities.

    Source:
        M. Held & R. M. Karp (1962).
    """
    N = len(cities)
    distances = np.linalg.norm(cities[:, None] - cities[None], axis=2)
    best = {(1 << y, y): (float(distances[0, y]), 0) for y in range(1, N)}
    for visited in sorted(range(2, 1 << N, 2), key=int.bit_count):
        for last in range(1, N):
            before = visited ^ (1 << last)
            if visited >> last & 1 and before:
                best[visited, last] = min(
                    (best[before, y][0] + float(distances[y, last]), y) for y in range(1, N) if before >> y & 1
                )
    left = (1 << N) - 2
    last = min(range(1, N), key=lambda y: best[left, y][0] + float(distances[y, 0]))
    tour = [last]
    while left != 1 << last:
        left, last = left ^ (1 << last), best[left, last][1]
        tour.append(last)
    return (0, *reversed(tour))


def _tour(on: np.ndarray) -> tuple[int, ...] | None:
    if (on.sum(0) == 1).all() and (on.sum(1) == 1).all():
        return tuple(int(x) for x in on.argmax(0))
    return None
