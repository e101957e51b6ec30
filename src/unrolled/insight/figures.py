"""Figures. They draw what they are given, and compute nothing."""

from __future__ import annotations

from typing import Any

from unrolled.drawing import new_figure
from unrolled.layers import Bidirectional, Recurrent
from unrolled.models.model import Model
from unrolled.models.pooling import LastPool

INPUT, HIDDEN, OUTPUT = "#f4b6ae", "#b9dca8", "#aecbee"
"""The lecture's colours: inputs red, hidden states green, outputs blue."""

_WIDE, _HIGH = 0.56, 0.46


def draw_graph(model: Model, steps: int = 4, title: str = "") -> Any:
    """The model's computational graph, unrolled over time.

    Arguments:
        model: what to draw.
        steps: T; a one-to-one graph has one.
        title: above the picture.

    Layers without a state, such as norms, are left out.

    Raises:
        ValueError: a layer changes the number of steps.

    Returns:
        A matplotlib figure; ``figure.savefig("graph.png")`` keeps it.

    >>> model = unrolled.Model(unrolled.OneHot(4), unrolled.Stack([unrolled.LSTMCell(4, 8)]), unrolled.Softmax(8, 4))
    >>> figure = draw_graph(model, steps=3)
    >>> len(figure.axes)
    1
    """
    inputs, outputs = model.graph.split("-to-")
    steps = 1 if (inputs, outputs) == ("one", "one") else steps
    for layer in model.stack.layers:
        if not layer.keeps_steps:
            raise ValueError(
                f"draw_graph: {type(layer).__name__} changes the number of steps, which the picture cannot show"
            )
    layers = [layer for layer in model.stack.layers if isinstance(layer, Recurrent | Bidirectional)]
    pooled = model.pool is not None and not isinstance(model.pool, LastPool)
    top = len(layers) + 1
    figure = new_figure(1.25 * steps + 1.0, 0.95 * (top + 1) + 0.35)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-0.75, steps - 0.25)
    axes.set_ylim(-0.45, top + 0.45)
    if title:
        axes.set_title(title, fontsize=10)
    fed_back = model.feedback is not None
    for t in range(steps):
        has_input = inputs == "many" or t == 0
        has_output = outputs == "many" or t == steps - 1
        if has_input:
            _box(axes, t, 0, INPUT, _label("x", t, inputs == "one"))
            _arrow(axes, (t, 0), (t, 1))
        elif fed_back:
            _box(axes, t, 0, INPUT, _label("y", t - 1, False))
            _arrow(axes, (t, 0), (t, 1))
        for k, layer in enumerate(layers, start=1):
            name = "h" if len(layers) == 1 else f"h^{{({k})}}"
            _box(axes, t, k, HIDDEN, _label(name, t, False))
            if t:
                _arrow(axes, (t - 1, k), (t, k), both=isinstance(layer, Bidirectional))
            if k < len(layers) or has_output:
                _arrow(axes, (t, k), (t, k + 1))
            elif pooled:
                _arrow(axes, (t, k), (steps - 1, k + 1))
        if has_output:
            _box(axes, t, top, OUTPUT, _label("y", t, outputs == "one"))
    return figure


def _label(name: str, t: int, alone: bool) -> str:
    if alone:
        return f"${name}$"
    index = f"_{{{t + 1}}}"
    return f"${name}{index}$"


def _box(axes: Any, x: float, y: float, colour: str, label: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch(
            (x - _WIDE / 2, y - _HIGH / 2),
            _WIDE,
            _HIGH,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=colour,
            edgecolor="#555555",
            linewidth=0.8,
        )
    )
    axes.text(x, y - 0.01, label, ha="center", va="center", fontsize=10)


def _arrow(axes: Any, start: tuple[float, float], end: tuple[float, float], both: bool = False) -> None:
    """From the edge of one box to the edge of another, upwards or to the right."""
    (x0, y0), (x1, y1) = start, end
    if x0 == x1:
        y0, y1 = y0 + _HIGH / 2, y1 - _HIGH / 2
    else:
        x0, x1 = x0 + _WIDE / 2, x1 - _WIDE / 2
    style = {
        "arrowstyle": "<|-|>" if both else "-|>",
        "color": "#333333",
        "linewidth": 1.0,
        "shrinkA": 1,
        "shrinkB": 1,
    }
    axes.annotate("", xy=(x1, y1), xytext=(x0, y0), arrowprops=style)
