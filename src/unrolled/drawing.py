"""What all pictures share: colours, paper, axes. It knows nothing of what is drawn."""

from __future__ import annotations

from typing import Any

from unrolled.errors import UsageError

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe & Ito's, which people with any colour vision tell apart; those that differ most come first."""


def new_figure(width: float, height: float, dpi: int = 150) -> Any:
    """An empty matplotlib figure, in inches. matplotlib is imported here, so that what draws nothing starts fast.

    >>> new_figure(6.4, 3.8).axes
    []
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def check_ending(path: str) -> None:
    """A picture's name says its format; better before the work than after it.

    Raises:
        UsageError: the ending is none of a format that can be written.
    """
    from pathlib import Path

    known = new_figure(1, 1).canvas.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in known:
        raise UsageError(f"{path}: a picture's name must end in .png, .svg, .pdf or another format's ending")


def bare(axes: Any) -> None:
    """Take the upper and the right edge away."""
    axes.spines[["top", "right"]].set_visible(False)
