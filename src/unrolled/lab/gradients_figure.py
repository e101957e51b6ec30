"""The picture of the lesson on gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from unrolled.drawing import COLOURS, bare, new_figure
from unrolled.insight.gradient_figures import draw_lags
from unrolled.lab.gradients import LIMIT, RADII, STEPS, Lesson, Training


def draw_lesson(lesson: Lesson) -> Any:
    """Products, a tanh network, gates, clipping: one panel each. A matplotlib figure."""
    figure = new_figure(10.5, 7.6, dpi=120)
    (first, second), (third, fourth) = figure.subplots(2, 2)
    depth = max(lesson.products[0].derivatives)
    curves = {f"w = {p.weight:g}": [p.weight**n for n in range(depth + 1)] for p in lesson.products}
    draw_lags(curves, "1.  f(x) = w x, applied n times", first, "derivative")
    first.set_xlabel("n")
    for k, p in enumerate(lesson.products):
        first.plot(list(p.derivatives), list(p.derivatives.values()), "o", color=COLOURS[k], markersize=4)
    _tanh(lesson, second)
    draw_lags(
        {n.name: n.norms[_lasting(n.norms)] for n in lesson.gates}, "3.  Gates, inputs of size 1", third, "norm"
    )
    third.set_ylabel("|dL/dh|; LSTM: |dL/dc|")
    third.legend(fontsize=8, frameon=False, loc="lower left")
    _training(lesson.training, fourth)
    return figure


def _lasting(norms: dict[str, list[float]]) -> str:
    return "c" if "c" in norms else "h"


def _tanh(lesson: Lesson, axes: Any) -> None:
    silent = {n.radius: n for n in lesson.tanh if n.silent}
    curves = {f"radius {r:g}, no input": silent[r].norms["h"] for r in RADII}
    draw_lags(curves, "2.  h = tanh(W h + U x), W orthogonal times a radius", axes)
    for k, radius in enumerate(RADII):
        driven = next(n for n in lesson.tanh if n.radius == radius and not n.silent)
        label = f"radius {radius:g}, inputs of size 1"
        axes.plot(driven.norms["h"], "--", color=COLOURS[k], linewidth=1.2, label=label)
    axes.legend(fontsize=8, frameon=False, loc="lower left")


def _training(training: list[Training], axes: Any) -> None:
    for k, one in ((1, training[0]), (0, training[1])):
        colour = COLOURS[k]
        word = "clipping off" if one.clip is None else f"clipped at {LIMIT:g}"
        for j, losses in enumerate(one.losses):
            label = f"{word}: {one.learnt} of {len(one.losses)} learned" if j == 0 else None
            axes.plot(_smooth(losses), color=colour, linewidth=0.9, alpha=0.75, label=label)
    axes.axhline(np.log(2), color="#999999", linewidth=0.8, zorder=0)
    longest = max(len(losses) for one in training for losses in one.losses)
    axes.text(longest, np.log(2), "guessing", va="top", ha="right", fontsize=8, color="#777777")
    axes.set_yscale("log")
    axes.set_xlabel("update")
    axes.set_ylabel("loss in nats (mean of 10 updates)")
    axes.set_title(f"4.  Remembering one sign for {STEPS} steps", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="center right")
    bare(axes)


def _smooth(losses: list[float], over: int = 10) -> np.ndarray:
    values = np.asarray(losses)
    return np.convolve(values, np.ones(over) / over, mode="valid") if len(values) >= over else values
