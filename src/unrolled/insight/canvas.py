"""Paper and ink of the report's figures: one look, as SVG inside a page and as PNG files."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from unrolled import drawing
from unrolled.drawing import COLOURS

INK = "#23303b"
"""The colour of text and axes; in a page it becomes that of the page's text."""
MARKERS = ("o", "s", "^", "D", "v", "P")
WIDTH = 4.8
"""Of every figure, in inches, so that letters have one size."""


def new_figure(rows: int = 1, columns: int = 1, height: float = 2.9, **settings: Any) -> tuple[Any, Any]:
    """A figure without a background, and its axes."""
    figure = drawing.new_figure(WIDTH, height)
    panels = figure.subplots(rows, columns, **settings)
    for axes in np.atleast_1d(panels).ravel():
        axes.patch.set_alpha(0)
        drawing.bare(axes)
        for spine in axes.spines.values():
            spine.set_color(INK)
        axes.tick_params(colors=INK, labelsize=9, which="both")
        for axis in (axes.xaxis, axes.yaxis):
            axis.label.set_color(INK)
            axis.label.set_size(9)
    return figure, panels


def legend(axes: Any, **settings: Any) -> None:
    """A legend in the figure's ink."""
    _literal(axes.legend(frameon=False, labelcolor=INK, fontsize=8, **settings))


def legend_above(figure: Any, handles: Sequence[Any], labels: Sequence[str], size: int = 8) -> None:
    """A legend over the axes, where it hides no line, in as many columns as the figure has room for."""
    wide = size * (0.6 * max(map(len, labels), default=0) + 5)  # points of a column, handle and spaces included
    made = figure.legend(
        handles,
        labels,
        loc="outside upper center",
        frameon=False,
        labelcolor=INK,
        fontsize=size,
        ncols=min(len(labels), max(1, int(72 * WIDTH / wide))) or 1,
    )
    _literal(made)


def _literal(made: Any) -> None:
    """The texts of a legend are no mathematics, whatever dollars they have."""
    for text in made.get_texts():
        text.set_parse_math(False)


def colour_bar(figure: Any, image: Any, axes: Any, label: str) -> None:
    """What the colours of an image stand for."""
    bar = figure.colorbar(image, ax=axes, pad=0.02, fraction=0.05)
    bar.set_label(label, color=INK, fontsize=9)
    bar.ax.tick_params(colors=INK, labelsize=8, which="both")
    bar.outline.set_edgecolor(INK)


def as_svg(figure: Any, label: str) -> str:
    """A figure as inline SVG, in the colours and with the fonts of the page around it.

    Raises:
        DrawingError: matplotlib cannot draw it.

    >>> svg = as_svg(new_figure()[0], "<nothing>")
    >>> svg[:44]
    '<svg role="img" aria-label="&lt;nothing&gt;"'
    """
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}), drawing.written():
        figure.savefig(file, format="svg", transparent=True, dpi=150, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    for k, colour in enumerate(COLOURS):
        svg = svg.replace(colour, f"var(--c{k})")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([\d.]+)px ([^;\"]*)", r"font-size: \1px; font-family: \2", svg)  # older matplotlib
    svg = re.sub(r"font-family: [^;\"]*monospace", "font-family: ui-monospace, monospace", svg)
    svg = re.sub(r"font-family: '[^;\"]*sans-serif;? ?", "", svg)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)


def as_png(figure: Any) -> bytes:
    """A figure as a PNG file on white.

    Raises:
        DrawingError: matplotlib cannot draw it.
    """
    file = io.BytesIO()
    with drawing.written():
        figure.savefig(file, format="png", dpi=180, facecolor="white")
    return file.getvalue()
