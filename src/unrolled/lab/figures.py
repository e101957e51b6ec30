"""Pictures of experiments. They draw what they are given."""

from __future__ import annotations

from typing import Any

import numpy as np

from unrolled.drawing import COLOURS, new_figure
from unrolled.lab.experiment import Experiment, Outcomes


def draw_curves(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The loss over the sequences shown: a panel a lag and variant, a colour a cell, a line a seed.

    A dot is where the criterion was met. None where the outcomes have no curves.
    """
    cells = list(dict.fromkeys(s.cell for s in outcomes))
    panels: dict[str, Outcomes] = {}
    for setting, of in outcomes.items():
        if any("loss" in c for o in of for c in o.details.get("curve", [])):
            panels.setdefault(setting.where, {})[setting] = of
    if not panels:
        return None
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    figure = new_figure(max(6.4, 3.6 * across), 0.9 + 2.9 * down)
    grid = figure.subplots(down, across, squeeze=False).flat
    for axes, (title, of_panel) in zip(grid, panels.items(), strict=False):
        _curves(axes, of_panel, cells)
        axes.set_title(title, fontsize=9)
    for axes in list(grid)[len(panels) :]:
        axes.remove()
    figure.suptitle(experiment.title, fontsize=10)
    figure.supxlabel("sequences shown", fontsize=9)
    figure.supylabel("training loss", fontsize=9)
    return figure


def _curves(axes: Any, outcomes: Outcomes, cells: list[str]) -> None:
    for setting, of in outcomes.items():
        colour, label = COLOURS[cells.index(setting.cell) % len(COLOURS)], setting.cell
        for outcome in of:
            curve = [c for c in outcome.details.get("curve", []) if "loss" in c]
            if not curve:
                continue
            shown = [c["sequences"] for c in curve]
            axes.plot(shown, [c["loss"] for c in curve], color=colour, alpha=0.6, linewidth=1, label=label)
            if outcome.solved:
                axes.plot(shown[-1], curve[-1]["loss"], "o", color=colour, markersize=4)
            label = "_"
    axes.set_yscale("log")
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.2)


def draw_latch(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The slope of the gradient against the spectral radius where it was measured, else the training curves."""
    measured = [d for of in outcomes.values() for o in of for d in o.details.get("decay", [])]
    return draw_decay(measured) if measured else draw_curves(experiment, outcomes)


def draw_seeds(axes: Any, x: Any, curves: Any, colour: str, label: str) -> None:
    """One faint line a seed, and their median on top; curves (seeds, points)."""
    axes.plot(x, np.transpose(curves), color=colour, linewidth=0.7, alpha=0.25)
    axes.plot(x, np.median(curves, axis=0), color=colour, linewidth=1.8, label=label, zorder=3)


def draw_decay(measured: list[dict[str, float]]) -> Any:
    """Slopes of log gradients against the logarithm of the spectral radius, beside what theory says of them."""
    figure = new_figure(6.4, 4.2)
    axes = figure.add_subplot()
    radius = np.array([m["radius"] for m in measured])
    ends = np.array([radius.min(), radius.max()])
    axes.plot(ends, ends, color="black", linewidth=0.8, label="log spectral radius")
    for name, marker, label, colour in (
        ("slope", "o", "measured, no input", COLOURS[0]),
        ("noisy", "s", "measured, inputs of the task", COLOURS[1]),
        ("exponent", "x", "largest Lyapunov exponent, same inputs", "black"),
    ):
        values = [m[name] for m in measured]
        axes.plot(radius, values, marker, color=colour, label=label, markersize=5, alpha=0.7, fillstyle="none")
    axes.axhline(0, color="grey", linewidth=0.6)
    axes.set_xlabel("log of the spectral radius of W_hh")
    axes.set_ylabel("slope of the log gradient, per step")
    axes.set_title("How fast the gradient of a tanh network decays", fontsize=10)
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.2)
    return figure


def draw_success(experiment: Experiment, outcomes: Outcomes) -> Any:
    """The share of seeds that solved the task against the lag, one line a cell and variant."""
    figure = new_figure(6.4, 3.8)
    axes = figure.add_subplot()
    lines: dict[str, list[tuple[int, float]]] = {}
    for setting, of in outcomes.items():
        if setting.lag is not None and of:
            share = sum(o.solved for o in of) / len(of)
            lines.setdefault(f"{setting.cell}, {setting.variant}", []).append((setting.lag, share))
    for k, (label, points) in enumerate(lines.items()):
        lags, shares = zip(*sorted(points), strict=True)
        axes.plot(lags, shares, "o-", color=COLOURS[k % len(COLOURS)], label=label, alpha=0.8)
    axes.set_ylim(-0.05, 1.05)
    axes.set_xlabel("length of the sequences")
    axes.set_ylabel("share of seeds solved")
    axes.set_title(experiment.title, fontsize=10)
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.2)
    return figure
