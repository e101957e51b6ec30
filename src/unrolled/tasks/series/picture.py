"""Pictures of forecasts: the past, the median and the intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled.drawing import COLOURS, bare, new_figure
from unrolled.insight.canvas import as_png

if TYPE_CHECKING:
    from unrolled.tasks.series.prepared import Prepared
    from unrolled.tasks.series.windows import Pair

MOST = 6
"""Panels of a picture."""
_PAST, _FURTHEST = 3, 8
"""Horizons of the past that are shown: three, and up to eight for three seasons."""
_DATES = np.array(["0001-01-01", "9999-12-31"], dtype="datetime64[s]")
_YEAR = 365.2425 * 86_400


def draw(task: Any, pairs: Sequence[Pair], made: np.ndarray, targets: Sequence[str]) -> bytes:
    """The first few forecasts (O, H, K, M), one below the other, as PNG.

    Raises:
        DrawingError: they cannot be drawn.
    """
    panels = [(n, j) for n in range(len(pairs)) for j in range(len(targets))][:MOST]
    figure = new_figure(7.2, 0.6 + 2.4 * len(panels))
    for row, (n, j) in enumerate(panels):
        k, origin = pairs[n]
        axes = figure.add_subplot(len(panels), 1, row + 1)
        name = task.series[k].series.name
        _panel(axes, task, task.series[k], origin, made[n, :, j], j)
        axes.set_ylabel(targets[j], parse_math=False)
        if name:
            axes.set_title(name, loc="left", fontsize="medium", parse_math=False)
        if row == 0:
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, fontsize="small", ncols=4)
    return as_png(figure)


def _panel(axes: Any, task: Any, one: Prepared, origin: int, draws: np.ndarray, j: int) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    H = len(draws)
    begin = max(0, origin - max(_PAST * H, min(3 * task.layout.season, _FURTHEST * H)))
    times = _drawable(one.series.when(task.clock, np.arange(begin, origin + H)))
    ahead = times[origin - begin :]
    past, y = times[: origin - begin], one.series.y[begin:origin, j]
    axes.plot(past, y, color="0.35", linewidth=0.9, label="before")
    low95, low, median, high, high95 = np.quantile(draws, (0.025, 0.1, 0.5, 0.9, 0.975), axis=-1)
    axes.fill_between(ahead, low95, high95, color=COLOURS[0], alpha=0.15, linewidth=0)
    axes.fill_between(ahead, low, high, color=COLOURS[0], alpha=0.3, linewidth=0, label="80 and 95 %")
    axes.plot(ahead, median, color=COLOURS[0], linewidth=1.4, label="median")
    real = one.series.y[origin : origin + H, j]
    if len(real):
        axes.plot(ahead[: len(real)], real, color=COLOURS[1], linewidth=0.9, label="what came")
    if times.dtype.kind == "M":
        locator = AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    bare(axes)


def _drawable(times: np.ndarray) -> np.ndarray:
    """The times; in years, as numbers, where matplotlib has no dates for them or for the margins.

    >>> _drawable(np.array(["9990-01-01", "10000-01-01"], dtype="datetime64[s]")).round().tolist()
    [9990.0, 10000.0]
    """
    if times.dtype.kind != "M":
        return times
    margin = times[-1] - times[0]
    if times[0] - margin >= _DATES[0] and times[-1] + margin <= _DATES[1]:
        return times
    return 1970 + times.astype("datetime64[s]").astype(np.float64) / _YEAR
