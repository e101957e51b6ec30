"""Figures of the Hopfield network. They draw what they are given, and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unrolled.drawing import COLOURS, bare, new_figure
from unrolled.hopfield.capacity import Capacity
from unrolled.hopfield.tsp import Tours, length


def draw_steps(pictures: Sequence[np.ndarray], titles: Sequence[str]) -> Any:
    """States of a recall as a strip of pictures, (height, width) each, from -1 black to 1 white."""
    figure = new_figure(1.3 * len(pictures), 1.3 * pictures[0].shape[0] / pictures[0].shape[1] + 0.35)
    for k, (picture, title) in enumerate(zip(pictures, titles, strict=True), start=1):
        axes = figure.add_subplot(1, len(pictures), k)
        axes.imshow(picture, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        axes.set_title(title, fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    return figure


def draw_energy(times: Sequence[float], energy: Sequence[float], unit: str) -> Any:
    """The energy of one state against time, in ``unit``."""
    figure = new_figure(4.8, 3.0)
    axes = figure.add_subplot()
    axes.plot(times, energy, color=COLOURS[0], marker="." if len(times) < 60 else "", linewidth=1.3)
    axes.xaxis.get_major_locator().set_params(integer=all(float(t).is_integer() for t in times))
    axes.set_xlabel(unit)
    axes.set_ylabel("energy")
    bare(axes)
    return figure


def draw_capacity(measured: Sequence[Capacity]) -> Any:
    """Exact recall against load, one curve a rule, with 95 % confidence bands, beside the theory for Hebb's rule."""
    figure = new_figure(6.4, 3.8)
    axes = figure.add_subplot()
    for made, colour in zip(measured, COLOURS, strict=False):
        x = [p.patterns for p in made.points]
        axes.fill_between(x, [p.low for p in made.points], [p.high for p in made.points], color=colour, alpha=0.2)
        axes.plot(x, [p.rate for p in made.points], color=colour, marker=".", linewidth=1.3, label=made.rule)
    for (name, value), style in zip(measured[0].theory.items(), ("--", ":"), strict=False):
        axes.axvline(value, color="#888888", linestyle=style, linewidth=1, label=f"{name} = {value:.3g}")
    axes.set_xlabel(f"patterns in {measured[0].units:,} units")
    axes.set_ylabel("recalled exactly")
    axes.set_ylim(-0.03, 1.03)
    axes.set_title(f"{100 * measured[0].flips:g} % of units flipped at the start", fontsize=9)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    bare(axes)
    return figure


def draw_tours(found: Tours, shortest: tuple[int, ...], name: str) -> Any:
    """The network's best tour beside another one."""
    figure = new_figure(6.4, 3.4)
    for k, (tour, what) in enumerate(((found.best, "best of the network"), (shortest, name)), start=1):
        axes = figure.add_subplot(1, 2, k)
        axes.set_aspect("equal")
        if tour is not None:
            at = found.cities[[*tour, tour[0]]]
            axes.plot(at[:, 0], at[:, 1], color=COLOURS[k - 1], linewidth=1.3)
        axes.plot(found.cities[:, 0], found.cities[:, 1], "o", color="#333333", markersize=4)
        told = "no valid tour" if tour is None else f"{length(found.cities, tour):.3f}"
        axes.set_title(f"{what}: {told}", fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    return figure
