"""Forecasts of many origins at once, as draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from unrolled.models.decode import evaluating, paths
from unrolled.models.model import Model
from unrolled.models.philox import Rows
from unrolled.series.spread import widened
from unrolled.tasks.series.prepared import Layout, Prepared, expected, window
from unrolled.tasks.series.windows import Pair

_TOGETHER = 4_000
"""Paths that are drawn side by side."""
_LOOKED_BACK = 1_000


def forecast(
    model: Model, series: Sequence[Prepared], pairs: Sequence[Pair], layout: Layout, draws: int, seed: int
) -> np.ndarray:
    """Draws of what comes behind each origin, (O, H, K, M), in the unit of the data; only what is before is read."""
    return np.concatenate([made for _, made in forecasts(model, series, pairs, layout, draws, seed)])


def forecasts(
    model: Model, series: Sequence[Prepared], pairs: Sequence[Pair], layout: Layout, draws: int, seed: int
) -> Iterator[tuple[list[Pair], np.ndarray]]:
    """The same, a few series at a time: all their origins, which are in order, and the draws."""
    spread = model.get_buffer("spread").cpu().double().numpy()
    waiting: list[Pair] = []
    made = np.zeros((0, layout.horizon, len(series[0].scalings), draws))
    for some, drawn in _parts(model, series, pairs, layout, draws, seed):
        waiting += some
        made = np.concatenate([made, _in_units(series, some, layout, drawn, spread)])
        whole = sum(k != waiting[-1][0] for k, _ in waiting)
        if whole:
            yield waiting[:whole], made[:whole]
            waiting, made = waiting[whole:], made[whole:]
    yield waiting, made


def scaled(
    model: Model, series: Sequence[Prepared], pairs: Sequence[Pair], layout: Layout, draws: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What came behind each origin (O, H, K), and draws of it (O, H, K, M), both scaled, before they are widened.

    A level is less what its last season says of it; changes are summed up from the origin on. A few origins come at
    a time.
    """
    changes = series[0].scalings[0].changes
    for some, made in _parts(model, series, pairs, layout, draws, seed):
        actual = np.full((len(some), layout.horizon, len(series[0].scalings)), np.nan)
        for n, (k, o) in enumerate(some):
            z = series[k].targets(np.arange(o, min(o + layout.horizon, len(series[k]))))
            actual[n, : len(z)] = z - expected(series[k], o, layout, o, o + len(z))
        yield (actual.cumsum(1), made.cumsum(1)) if changes else (actual, made)


def _parts(
    model: Model, series: Sequence[Prepared], pairs: Sequence[Pair], layout: Layout, draws: int, seed: int
) -> Iterator[tuple[Sequence[Pair], np.ndarray]]:
    """Some of the origins at a time, with what the head draws."""
    chunk = max(1, _TOGETHER // draws)
    for k, begin in enumerate(range(0, len(pairs), chunk)):
        some = pairs[begin : begin + chunk]
        yield some, _drawn(model, series, some, layout, draws, seed + k)


def _drawn(
    model: Model, series: Sequence[Prepared], pairs: Sequence[Pair], layout: Layout, draws: int, seed: int
) -> np.ndarray:
    """What the head draws, (O, H, K, M)."""
    device = next(model.parameters()).device
    reach = layout.ahead if layout.free else 1
    inputs = np.stack([window(series[k], o, layout, o - layout.context, o + reach) for k, o in pairs], 1)
    start = torch.from_numpy(inputs).to(device)
    if layout.free:
        with evaluating(model):
            outputs = model(start)[0][layout.context :][: layout.horizon]  # (H, O, V)
            each = outputs.transpose(0, 1).unsqueeze(2).expand(-1, -1, draws, -1)
            made = model.head.sample(each, Rows(seed, len(pairs)))  # (O, H, M, K)
        return made.transpose(2, 3).cpu().double().numpy()
    fed = _Fed(series, pairs, layout, draws, device)
    made = paths(model, start, layout.horizon, count=draws, seed=seed, feed=fed)  # (H, O * M, K)
    shaped = made.unflatten(1, (len(pairs), draws)).permute(1, 0, 3, 2)
    return shaped.cpu().double().numpy()


class _Fed:
    """What a teacher-forced network reads next: its own draws, where training had the true values."""

    def __init__(
        self, series: Sequence[Prepared], pairs: Sequence[Pair], layout: Layout, draws: int, device: torch.device
    ) -> None:
        self.layout, self.draws, self.device = layout, draws, device
        H = layout.horizon
        known = [window(series[k], o, layout, o + 1, o + H + 1) for k, o in pairs]  # nothing behind the origin
        self.rows = np.stack(known, 1)  # (H, O, width)
        self.past = np.stack([_before(series[k], o, layout.season) for k, o in pairs])  # (O, S, K)
        self.scalings = [series[k].scalings for k, _ in pairs]

    def __call__(self, made: Tensor) -> Tensor:
        """The next inputs (O * M, width), from all draws so far (k, O * M, K)."""
        k, S = len(made), self.layout.season
        K = made.shape[2]
        x = np.repeat(self.rows[k - 1], self.draws, axis=0)
        x[:, :K], x[:, K : 2 * K] = self._scaled(made[-1]), 1
        if S > 1:
            if k < S:  # the season ago lies in what was observed
                ago = np.repeat(self.past[:, k], self.draws, axis=0)
            else:
                ago = self._scaled(made[k - S])
            seen = ~np.isnan(ago)
            x[:, 2 * K : 3 * K], x[:, 3 * K : 4 * K] = np.nan_to_num(ago), seen
        return torch.from_numpy(x).to(self.device)

    def _scaled(self, draw: Tensor) -> np.ndarray:
        """Draws (O * M, K) as they are read."""
        values = draw.cpu().double().numpy()
        if not self.layout.counts:
            return values
        shaped = values.reshape(len(self.scalings), self.draws, -1)
        for n, scalings in enumerate(self.scalings):
            for j, one in enumerate(scalings):
                shaped[n, :, j] = one.forward(shaped[n, :, j])
        return shaped.reshape(values.shape)


def _before(one: Prepared, origin: int, season: int) -> np.ndarray:
    """The S values before an origin, (S, K), NaN before the beginning."""
    found = one.scaled(np.arange(max(0, origin - season), origin))
    return np.concatenate([np.full((season - len(found), found.shape[1]), np.nan), found])


def _in_units(
    series: Sequence[Prepared], pairs: Sequence[Pair], layout: Layout, made: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """What the head drew, (O, H, K, M), widened by ``spread`` (K,), in the unit of the data."""
    if layout.counts:
        return made
    changes = series[0].scalings[0].changes
    made = widened(made.cumsum(1) if changes else made, spread)
    found = np.empty_like(made)
    for n, (k, origin) in enumerate(pairs):
        one = series[k]
        z = np.diff(made[n], axis=0, prepend=0) if changes else made[n]  # (H, K, M)
        z = z + expected(one, origin, layout, origin, origin + len(z))[..., None]
        for j, scaling in enumerate(one.scalings):
            found[n, :, j] = scaling.back(z[None, :, j], last_seen(one.series.y[:origin, j]))[0]
    return found


def last_seen(y: np.ndarray) -> np.ndarray:
    """The last value that was observed, (1,)."""
    for end in range(len(y), 0, -_LOOKED_BACK):
        some = y[max(0, end - _LOOKED_BACK) : end]
        if len(seen := some[~np.isnan(some)]):
            return seen[-1:]
    return np.zeros(1)
