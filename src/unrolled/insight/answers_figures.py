"""Pictures of a classifier: confusion, calibration, and which steps its answers rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unrolled.drawing import COLOURS, bare, new_figure

_LETTERS = {"A": COLOURS[2], "C": COLOURS[0], "G": COLOURS[4], "T": COLOURS[1]}
_CURVES = 4
"""Channels up to which each is a curve; more of them are rows of an image."""
_WRITTEN = 12
"""Labels up to which a confusion has its numbers written into it."""


def draw_confusion(confusion: np.ndarray, labels: Sequence[str]) -> Any:
    """Rows are labels, columns what the model said (V, V); shades are shares of the row."""
    V = len(labels)
    size = min(9.0, 2.4 + 0.4 * V)
    figure = new_figure(size, size)
    axes = figure.add_subplot()
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if V <= _WRITTEN:
        for (row, column), count in np.ndenumerate(confusion):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=9)
    step = max(1, V // 30)
    shown = [label if len(label) <= 14 else label[:13] + "…" for label in labels]
    turned = 90 if max(map(len, shown)) > 3 else 0
    axes.set_xticks(range(0, V, step), shown[::step], rotation=turned, parse_math=False)
    axes.set_yticks(range(0, V, step), shown[::step], parse_math=False)
    axes.set_xlabel("what the model says")
    axes.set_ylabel("label")
    return figure


def draw_calibration(bins: Sequence[Mapping[str, float]]) -> Any:
    """Share of right answers against the probability that the model gave them; the area of a dot is their number."""
    figure = new_figure(4.2, 4.0)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=1)
    total = sum(one["count"] for one in bins)
    sure, right = [one["probability"] for one in bins], [one["right"] for one in bins]
    axes.plot(sure, right, color=COLOURS[0], linewidth=1)
    axes.scatter(sure, right, [10 + 300 * one["count"] / total for one in bins], color=COLOURS[0])
    axes.set(xlim=(0, 1.03), ylim=(0, 1.05), xlabel="probability of the answer", ylabel="share of right answers")
    bare(axes)
    return figure


def draw_logo(heights: np.ndarray, letters: str, title: str) -> Any:
    """A sequence logo: at each step the letters, as high as they matter; those against the answer hang below.

    Arguments:
        heights: (T, letters), which may be negative.

    Source:
        T. Schneider & R. Stephens, "Sequence logos" (1990), with importance in place of information.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    T = len(heights)
    figure = new_figure(min(14.0, 2.0 + 0.16 * T), 2.4)
    axes = figure.add_subplot()
    font = FontProperties(family="DejaVu Sans", weight="bold")
    paths = {letter: TextPath((0, 0), letter, size=1, prop=font) for letter in letters}
    for t in range(T):
        for sign in (1, -1):
            base = 0.0
            for k in np.argsort(np.abs(heights[t])):
                height = float(heights[t, k])
                if height * sign <= 0:
                    continue
                box = paths[letters[k]].get_extents()
                fit = Affine2D().translate(-box.x0, -box.y0).scale(0.9 / box.width, abs(height) / box.height)
                fit = fit.translate(t + 0.55, base if sign > 0 else base - abs(height))
                colour = _LETTERS.get(letters[k], COLOURS[k % len(COLOURS)])
                axes.add_patch(PathPatch(fit.transform_path(paths[letters[k]]), facecolor=colour, linewidth=0))
                base += height
    top = np.where(heights > 0, heights, 0).sum(1).max()
    bottom = np.where(heights < 0, heights, 0).sum(1).min()
    margin = 0.05 * max(top - bottom, 1e-12)
    axes.set(xlim=(0.4, T + 0.6), ylim=(bottom - margin, top + margin), xlabel="step", ylabel="importance")
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    axes.axhline(0, color="0.6", linewidth=0.6)
    bare(axes)
    return figure


def draw_importance(curves: np.ndarray, names: Sequence[str], title: str) -> Any:
    """The importance of each channel over the steps (T, channels), below their sum; few channels are curves."""
    from matplotlib.ticker import MaxNLocator

    T, C = curves.shape
    many = C > _CURVES
    figure = new_figure(7.2, 2.8 + many * (0.6 + 0.15 * C))
    panels = figure.subplots(1 + many, sharex=True, height_ratios=[2.0, 0.3 + 0.12 * C][: 1 + many], squeeze=False)
    axes = panels[0, 0]
    steps = np.arange(1, T + 1)
    if not many and C > 1:
        for k, name in enumerate(names):
            axes.plot(steps, curves[:, k], color=COLOURS[k], linewidth=0.9, label=name)
    axes.plot(steps, curves.sum(1), color="black", linewidth=1.6, label="sum")
    axes.axhline(0, color="0.6", linewidth=0.6)
    axes.set_ylabel("sum" if many else "importance")
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    bare(axes)
    if not many and C > 1:
        axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    if many:
        limit = max(float(np.abs(curves).max()), 1e-12)
        image = panels[1, 0].imshow(
            curves.T, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", extent=(0.5, T + 0.5, C + 0.5, 0.5)
        )
        step = -(-C // 24)
        panels[1, 0].set_yticks(range(1, C + 1, step), names[::step], fontsize=8, parse_math=False)
        figure.colorbar(image, ax=panels[1, 0], pad=0.02, fraction=0.05).set_label("importance")
    panels[-1, 0].set_xlabel("step")
    return figure


def draw_words(words: Sequence[str], values: Sequence[float], title: str) -> Any:
    """The symbols that speak most for an answer, and most against it."""
    figure = new_figure(5.0, 0.8 + 0.2 * len(words))
    axes = figure.add_subplot()
    places = np.arange(len(words))[::-1]
    axes.barh(places, values, color=[COLOURS[0] if v > 0 else COLOURS[1] for v in values])
    axes.set_yticks(places, words, fontsize=8, parse_math=False)
    axes.axvline(0, color="0.6", linewidth=0.6)
    axes.set_xlabel("mean importance")
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    bare(axes)
    return figure
