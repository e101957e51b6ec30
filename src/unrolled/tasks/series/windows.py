"""Windows of many series as batches: each has a context and, for a free-running network, a horizon."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from unrolled.errors import EmptyPartError
from unrolled.tasks.series.prepared import Layout, Prepared, expected, window
from unrolled.training.batches import Batch

Pair = tuple[int, int]
"""The number of a series, and an origin in it."""


class Windows:
    """Windows about origins: of training at random, those of other parts as they are.

    An epoch has one window for each stretch of the training part that is as long as what one window predicts, at a
    random origin within the stretch, so that each step is a target about once. All of it follows from the seed and
    the number of the epoch. A free-running network is judged on the horizon behind the origin alone. A
    teacher-forced one learns from every step of the window, and is judged on the horizon that ends it, since the
    steps before belong to an earlier part. Targets that do not count are NaN.

    Arguments:
        pairs: the origins, or for a teacher-forced network where the horizons behind them end; None for random ones
            in the training parts.

    Raises:
        EmptyPartError: there is no origin.
    """

    def __init__(
        self,
        series: Sequence[Prepared],
        layout: Layout,
        batch: int,
        seed: int,
        pairs: Sequence[Pair] | None = None,
        device: str = "cpu",
    ) -> None:
        self.series, self.layout, self.batch = series, layout, batch
        self._seed, self._device, self._pairs = seed, device, pairs
        if pairs is None:
            self._bounds = np.array([self._bounds_of(one) for one in series]).reshape(-1, 3)
            self._ends = np.cumsum(self._bounds[:, 2].astype(np.int64))  # (series,) of their windows
        count = len(pairs) if pairs is not None else int(self._ends[-1]) if len(series) else 0
        if not count:
            raise EmptyPartError("no origin has a whole horizon behind it in this part")
        self.updates_per_epoch = -(-count // batch)
        self._epoch, self._count = -1, count
        self._places, self._order = np.zeros(0), np.zeros(0, dtype=np.int64)

    def batch_at(self, update: int) -> Batch:
        """The batch of an update, counted from the start of the run."""
        inputs, targets = zip(*(self._window(*pair) for pair in self.pairs_at(update)), strict=True)
        return Batch(self._stacked(inputs), self._stacked(targets))

    def pairs_at(self, update: int) -> list[Pair]:
        """The series and the origin of each window of an update."""
        epoch, k = divmod(update, self.updates_per_epoch)
        some = slice(k * self.batch, (k + 1) * self.batch)
        if self._pairs is not None:
            return list(self._pairs[some])
        if epoch != self._epoch:
            random = np.random.Generator(np.random.Philox(key=[self._seed, epoch]))
            self._places = random.random(self._count)
            self._order = random.permutation(self._count)
            self._epoch = epoch
        n = self._order[some]
        own = np.searchsorted(self._ends, n, side="right")
        low, high, count = self._bounds[own].T
        stretch = n - (self._ends[own] - count)
        begin, end = (low + j * ((high - low) / count) for j in (stretch, stretch + 1))
        end = np.where(stretch == count - 1, high, end)
        origins = np.minimum(begin + self._places[n] * (end - begin), np.ceil(end) - 1).astype(np.int64)
        return list(zip(own.tolist(), origins.tolist(), strict=True))

    def _bounds_of(self, one: Prepared) -> tuple[int, int, int]:
        """Of the training origins of a series, and into how many stretches they are cut: a window has one each."""
        low, high = first_origin(self.layout), one.training - self.layout.horizon * self.layout.free
        low = min(low, high)
        span = self.layout.horizon if self.layout.free else self.layout.context
        return low, high + 1, max(1, round((high - low + 1) / span)) if high >= 1 else 0

    def _window(self, k: int, origin: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (T / patch, width) and targets (T, K) of one window."""
        one, layout = self.series[k], self.layout
        begin = origin - layout.context
        end = origin + (layout.ahead if layout.free else 0)
        inputs = window(one, origin, layout, begin, end)
        targets = np.full((end - begin, len(one.scalings)), np.nan, dtype=np.float32)
        first = origin if layout.free else max(0, begin)
        if self._pairs is not None and not layout.free:
            first = max(first, origin - layout.horizon)
        last = min(origin + layout.horizon if layout.free else origin, len(one))
        known = expected(one, origin, layout, first, last)
        targets[first - begin : last - begin] = one.targets(np.arange(first, last)) - known
        return inputs, targets

    def _stacked(self, arrays: Sequence[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(np.stack(arrays, 1)).to(self._device)


def first_origin(layout: Layout) -> int:
    """The first origin that training uses: behind a season or two patches, if the series is long enough."""
    return max(2 * layout.patch, layout.season, 2)


def rolling_origins(low: int, high: int, horizon: int, most: int) -> np.ndarray:
    """At most so many origins from ``low`` on, evenly apart, whose whole horizon ends before ``high``.

    So no target of one part is a target of another: an origin whose forecast would reach into the next part is left
    out (purged).

    >>> rolling_origins(100, 120, 5, 4).tolist()
    [100, 105, 110, 115]
    >>> rolling_origins(100, 120, 5, 1).tolist()
    [100]
    """
    last = high - horizon
    if last < low:
        return np.zeros(0, dtype=int)
    step = max(1, -(-(last - low) // max(most - 1, 1)))
    return np.arange(low, last + 1, step)[:most]


def covered(pairs: Sequence[Pair], horizon: int) -> int:
    """How many steps lie behind some of the origins, within the horizon.

    >>> covered([(0, 10), (0, 12), (0, 40), (1, 10)], 5)
    17
    """
    count, last = 0, (-1, 0)
    for k, origin in sorted(pairs):
        count += horizon if last[0] != k else min(horizon, origin - last[1])
        last = k, origin
    return count
