"""The figures of a report. They draw what they are given, and compute nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unrolled.drawing import COLOURS
from unrolled.insight.canvas import INK, MARKERS, WIDTH, colour_bar, legend, legend_above, new_figure
from unrolled.insight.errors import Cause
from unrolled.insight.gradient import GradientThroughTime
from unrolled.insight.names import label_of, layer_of, own_name
from unrolled.insight.record import Curves, Record
from unrolled.insight.saturation import NEAR, Saturation

_MOST_PANELS = 6
_LETTERS, _WORDS, _WIDEST = 48, 24, 16
"""Symbols that have room below a picture, and letters of each."""


def learning_curves(history: Record) -> Any:
    """Training and validation loss over updates; None without reports."""
    if not len(history.train["update"]) and not len(history.validation["update"]):
        return None
    figure, axes = new_figure(height=4.3)
    axes.plot(history.train["update"], history.train["loss"], color=COLOURS[0], label="training")
    if len(history.validation["update"]):
        updates, loss = history.validation["update"], history.validation["loss"]
        label = "validation (estimate)" if history.is_estimated else "validation"
        axes.plot(updates, loss, color=COLOURS[1], marker="o", markersize=4, label=label)
    _mark(history.further, axes)
    axes.set_xlabel("updates")
    axes.set_ylabel("loss (nats)")
    legend(axes)
    return figure


def steering(history: Record) -> Any:
    """Gradient norm, share of steps clipped, learning rate over updates; None without reports."""
    updates = history.train["update"]
    if not len(updates):
        return None
    figure, panels = new_figure(3, height=4.3, sharex=True)
    rows = (("gradient_norm", "gradient norm", 1), ("clipped", "clipped (%)", 100), ("lr", "learning rate", 1))
    for k, (axes, (key, label, scale)) in enumerate(zip(panels, rows, strict=True)):
        axes.plot(updates, history.train[key] * scale, color=COLOURS[k])
        _mark(history.further, axes)
        axes.set_ylabel(label)
    norms = _positive(history.train["gradient_norm"])
    if np.isfinite(norms).any() and np.nanmax(norms) > 10 * np.nanmin(norms):
        panels[0].set_yscale("log")
    else:
        panels[0].set_ylim(bottom=0)
    panels[1].set_ylim(-4, 104)
    panels[2].set_ylim(bottom=0)
    panels[2].set_xlabel("updates")
    return figure


def lag_curves(curves: Mapping[str, Curves]) -> Any:
    """Norm of one loss's gradient against the lag, each state: the last probe, and the first one faint."""
    shown = {name: c for name, c in curves.items() if (np.nan_to_num(c.norms[-1]) > 0).any()}
    if not shown:
        return None
    figure, axes = new_figure(height=3.2)
    for k, (name, c) in enumerate(shown.items()):
        style = {"color": COLOURS[k % len(COLOURS)], "linestyle": ("-", "--", ":")[k // len(COLOURS) % 3]}
        if len(c.norms) > 1:
            axes.plot(_positive(c.norms[0]), alpha=0.35, linewidth=1, **style)
        axes.plot(_positive(c.norms[-1]), label=label_of(name), **style)
    axes.set_yscale("log")
    axes.set_xlabel("lag k (steps back from the loss)")
    axes.set_ylabel("norm of dL(t) / ds(t-k)")
    legend(axes, ncols=2 if len(shown) > 3 else 1)
    return figure


def felt_curves(gradient: GradientThroughTime) -> Any:
    """Norms of one loss's gradient by lag in each state, and dotted the products of the gates that keep."""
    figure, axes = new_figure(height=3.5)
    for k, (name, norms) in enumerate(gradient.norms.items()):
        axes.plot(_positive(norms), color=COLOURS[k % len(COLOURS)], label=label_of(name))
    ways = [layer_of(name) for name in gradient.norms]
    for name, product in gradient.kept.items():
        k = ways.index(layer_of(name))
        colour = COLOURS[k % len(COLOURS)]
        axes.plot(_positive(product), ":", color=colour, linewidth=1.2, label=f"product of {label_of(name)}")
    axes.set_yscale("log")
    drawn = np.concatenate(list(gradient.norms.values()))
    drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
    low, high = axes.get_ylim()
    if len(drawn):  # a product of gates that falls faster would press the gradients into a strip
        axes.set_ylim(max(low, drawn.min() / 10, drawn.max() * 1e-18), high)
    axes.set_xlim(left=0)
    axes.set_xlabel("lag k (steps back from the loss)")
    axes.set_ylabel("norm of dL(t) / ds(t-k)")
    legend_above(figure, *axes.get_legend_handles_labels())
    return figure


def gradient_maps(curves: Mapping[str, Curves], across: str) -> Any:
    """Norms of each state over training (upwards) and over ``across``, in colours of their logarithm."""
    shown = {name: c for name, c in curves.items() if len(c.updates) > 1 and (np.nan_to_num(c.norms) > 0).any()}
    shown = {name: _even(c) for name, c in list(shown.items())[:_MOST_PANELS]}
    if not shown:
        return None
    logs = {name: np.log10(_positive(c.norms)) for name, c in shown.items()}
    high = max(float(np.nanmax(v)) for v in logs.values())
    low = max(min(float(np.nanmin(v)) for v in logs.values()), high - 8)
    if high - low < 1e-6:
        low -= 0.5
    columns = min(len(shown), 2)
    rows = -(-len(shown) // columns)
    figure, grid = new_figure(rows, columns, height=1.6 * rows + 0.7, sharex=True, sharey=True, squeeze=False)
    image: Any = None
    for axes, (name, c) in zip(grid.ravel(), shown.items(), strict=False):
        image = axes.pcolormesh(
            np.arange(c.norms.shape[1]),
            c.updates,
            logs[name],
            shading="nearest",
            cmap="viridis",
            vmin=low,
            vmax=high,
            rasterized=True,
        )
        axes.set_title(label_of(name), fontsize=9, color=INK, parse_math=False)
    for axes in grid.ravel()[len(shown) :]:
        axes.set_visible(False)
    figure.supxlabel(across, fontsize=9, color=INK)
    figure.supylabel("updates", fontsize=9, color=INK)
    colour_bar(figure, image, list(grid.ravel()), "log10 of the norm")
    return figure


def saturation_scatter(saturated: Sequence[Saturation]) -> Any:
    """Each unit of each gate: share of time near 1 against share near 0; None without gates."""
    gates = [s for s in saturated if s.kind == "gate"]
    if not gates:
        return None
    names = list(dict.fromkeys(own_name(s.name) for s in gates))
    layers = list(dict.fromkeys(layer_of(s.name) for s in gates))
    columns = min(max(len(names), 2), 3)
    rows = -(-len(names) // columns)
    side = WIDTH / columns
    figure, grid = new_figure(rows, columns, height=side * rows + 0.75, sharex=True, sharey=True, squeeze=False)
    panels = grid.ravel()
    for axes, name in zip(panels, names, strict=False):
        for s in (s for s in gates if own_name(s.name) == name):
            k = layers.index(layer_of(s.name))
            look = {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)]}
            axes.scatter(s.high, s.low, s=12, alpha=0.6, linewidths=0, **look)
        axes.plot([0, 1], [1, 0], color=INK, linewidth=0.6, linestyle=":")
        axes.set_title(f"gate {name}", fontsize=10, color=INK, parse_math=False)
        axes.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), aspect="equal", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    figure.supxlabel(f"share of time near 1 (> {1 - NEAR:g})", fontsize=9, color=INK)
    figure.supylabel(f"share of time near 0 (< {NEAR:g})", fontsize=9, color=INK)
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="", color=COLOURS[k % len(COLOURS)], marker=MARKERS[k % len(MARKERS)], markersize=5)
        for k in range(len(layers))
    ]
    labels = [f"layer {layer}" for layer in layers]
    legend_above(figure, handles, labels, size=9)
    return figure


def gate_map(means: Mapping[str, np.ndarray], symbols: Sequence[str], unit: str) -> Any:
    """The mean of each gate (a row) while the first of the symbols (below) are read; None without gates."""
    words = any(len(s) > 1 for s in symbols[:_LETTERS])
    steps = min(len(symbols), _WORDS if words else _LETTERS)
    if not means or not steps:
        return None
    values = np.stack([v[:steps] for v in means.values()])
    figure, axes = new_figure(height=0.24 * len(means) + (1.7 if words else 1.0))
    image = axes.imshow(values, aspect="auto", cmap="cividis", interpolation="nearest", vmin=0, vmax=1)
    axes.set_yticks(range(len(means)), [label_of(name) for name in means], parse_math=False)
    labels = [s if len(s) == 1 else s.strip()[:_WIDEST] for s in symbols[:steps]]
    look = {"fontsize": 8, "rotation": 90} if words else {"fontsize": 6, "family": "monospace"}
    axes.set_xticks(range(steps), labels, parse_math=False, **look)
    axes.tick_params(length=0)
    axes.set_xlabel(f"{unit} read", parse_math=False)
    colour_bar(figure, image, axes, "mean")
    return figure


def cause_bars(causes: Sequence[Cause]) -> Any:
    """Shares of the total loss by cause, in the order of asking; None without any."""
    if not causes:
        return None
    figure, axes = new_figure(height=0.3 * len(causes) + 0.8)
    names = [c.name for c in causes][::-1]
    shares = [100 * c.share for c in causes][::-1]
    colours = [COLOURS[5] if name == "no error" else COLOURS[0] for name in names]
    bars = axes.barh(range(len(names)), shares, color=colours)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.bar_label(bars, fmt="%.0f %%", padding=3, fontsize=9, color=INK)
    axes.set_xlabel("share of the total loss (%)")
    axes.margins(x=0.14)
    return figure


def context_curve(means: Mapping[int, float], whole: float, unit: str) -> Any:
    """Mean loss against the number of steps that the model sees, and with all of them; None without any."""
    if not means or not np.isfinite([*means.values(), whole]).all():
        return None
    figure, axes = new_figure()
    lengths = list(means)
    axes.plot(lengths, list(means.values()), color=COLOURS[2], marker="o", markersize=5)
    axes.axhline(whole, color=COLOURS[1], linestyle="--", linewidth=1.2, label=f"full context: {whole:.2f}")
    for k, mean in means.items():
        aside = {"xytext": (5, 4), "ha": "left"} if k != lengths[-1] else {"xytext": (0, 6), "ha": "center"}
        axes.annotate(f"{mean:.2f}", (k, mean), textcoords="offset points", fontsize=8, color=INK, **aside)
    axes.set_xscale("log")
    axes.set_xticks(lengths, [str(k) for k in lengths])
    axes.minorticks_off()
    axes.margins(y=0.15)
    axes.set_xlabel(f"{unit}s of context", parse_math=False)
    axes.set_ylabel(f"mean loss (nats per {unit})", parse_math=False)
    legend(axes)
    return figure


def _mark(updates: Sequence[float], axes: Any) -> None:
    """A dotted line where each further budget begins."""
    for update in updates:
        axes.axvline(update, color=INK, linewidth=0.8, linestyle=":")


def _even(c: Curves) -> Curves:
    """Without the few last columns that shorter windows lack: a ragged edge tells nothing."""
    lengths = np.isfinite(c.norms).sum(axis=1)
    shortest = int(lengths.min())
    return Curves(c.updates, c.norms[:, :shortest]) if shortest > 0.9 * lengths.max() else c


def _positive(values: np.ndarray) -> np.ndarray:
    """NaN where a logarithm has no value."""
    return np.where(np.nan_to_num(values) > 0, values, np.nan)
