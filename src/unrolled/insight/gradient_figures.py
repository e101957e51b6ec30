"""Figures of gradients through time. They draw what they are given, and compute nothing but axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unrolled.drawing import COLOURS, bare, new_figure
from unrolled.insight.gradient import GradientThroughTime
from unrolled.insight.jacobian import JacobianSpectrum
from unrolled.insight.names import layer_of, own_name

STYLES = ("-", "--", "-.", ":")
"""One a state."""


def draw_gradient(gradient: GradientThroughTime, title: str = "", axes: Any = None) -> Any:
    """Norms by lag, on a logarithmic scale, with the products of the gates that keep beside them.

    Each layer has a colour, and each state a kind of line; products of gates are dotted.

    Arguments:
        gradient: from `gradient_through_time`.
        title: above the picture.
        axes: to draw into; None for a figure of its own.

    Returns:
        the matplotlib figure; ``figure.savefig("gradient.png")`` keeps it.

    >>> layer = unrolled.Recurrent(unrolled.GRUCell(2, 3))
    >>> found = unrolled.insight.gradient_through_time(layer, torch.ones(9, 1, 2))
    >>> draw_gradient(found).axes[0].get_legend_handles_labels()[1]
    ['dL/dh', 'product of z']
    """
    axes = _axes(axes, (6.4, 3.9))
    ways = list(dict.fromkeys(layer_of(name) for name in gradient.norms))
    seen: dict[str, int] = {}
    for name, norms in gradient.norms.items():
        way, state = layer_of(name), own_name(name)
        line = seen[way] = seen.get(way, -1) + 1
        label = f"dL/d{state}" + (f", layer {way}" if len(ways) > 1 else "")
        _curve(axes, norms, label, COLOURS[ways.index(way) % len(COLOURS)], STYLES[line % len(STYLES)], 1.6)
    for name, product in gradient.kept.items():
        way, gate = layer_of(name), own_name(name)
        label = f"product of {gate}" + (f", layer {way}" if len(ways) > 1 else "")
        _curve(axes, product, label, COLOURS[ways.index(way) % len(COLOURS)], ":", 1.0)
    _by_lag(axes, title or f"{gradient.verdict.kind}: {gradient.verdict.why}")
    axes.set_ylabel("norm, or product")
    axes.legend(fontsize=8, frameon=False)
    return axes.figure


def draw_lags(
    curves: Mapping[str, Sequence[float]], title: str = "", axes: Any = None, ylabel: str = "|dL/dh|"
) -> Any:
    """Any curves by lag, on a logarithmic scale, each with its label."""
    axes = _axes(axes, (6.4, 3.9))
    for k, (label, values) in enumerate(curves.items()):
        _curve(axes, np.asarray(values, dtype=float), label, COLOURS[k % len(COLOURS)], STYLES[0], 1.6)
    _by_lag(axes, title)
    axes.set_ylabel(ylabel)
    axes.legend(fontsize=8, frameon=False)
    return axes.figure


def draw_spectrum(spectrum: JacobianSpectrum, title: str = "", axes: Any = None) -> Any:
    """Singular values of each step, and the mean growth a step over many: how many directions last.

    >>> layer = unrolled.Recurrent(unrolled.GRUCell(2, 3))
    >>> spectrum = unrolled.insight.jacobian_spectrum(layer, torch.ones(20, 1, 2), over=[10])
    >>> len(draw_spectrum(spectrum).axes[0].lines)
    3
    """
    axes = _axes(axes, (6.4, 3.9))
    number = np.arange(1, spectrum.values.shape[1] + 1)  # of products there may be fewer
    low, middle, high = np.quantile(spectrum.values, (0.1, 0.5, 0.9), axis=0)
    axes.fill_between(number, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
    axes.plot(number, middle, color=COLOURS[0], label="one step (median, and 10 to 90 %)")
    for k, (steps, logs) in enumerate(spectrum.products.items(), start=1):
        growth = np.exp(logs.mean(axis=0) / steps)
        axes.plot(
            number[: len(growth)], growth, color=COLOURS[k % len(COLOURS)], label=f"over {steps} steps, per step"
        )
    axes.axhline(1, color="#999999", linewidth=0.8, zorder=0)
    axes.set_xlabel("number of the singular value, largest first")
    axes.set_ylabel("singular value")
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=8, frameon=False)
    _open(axes)
    return axes.figure


def _axes(axes: Any, size: tuple[float, float]) -> Any:
    if axes is not None:
        return axes
    return new_figure(*size).add_subplot()


def _curve(axes: Any, values: np.ndarray, label: str, colour: str, style: str, width: float) -> None:
    """Zeros have no logarithm, and are left out."""
    shown = np.where((values > 0) & np.isfinite(values), values, np.nan)
    axes.plot(np.arange(len(values)), shown, color=colour, linestyle=style, linewidth=width, label=label)


def _by_lag(axes: Any, title: str) -> None:
    axes.set_yscale("log")
    axes.set_xlabel("steps back from the loss")
    axes.set_title(title, fontsize=10)
    axes.axhline(1, color="#999999", linewidth=0.8, zorder=0)
    _open(axes)


def _open(axes: Any) -> None:
    bare(axes)
    axes.grid(True, which="major", color="#eeeeee", linewidth=0.8)
    axes.set_axisbelow(True)
