"""What all pictures share: colours, paper, axes. It knows nothing of what is drawn."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from unrolled.errors import RunError, UsageError

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe & Ito's, which people with any colour vision tell apart; those that differ most come first."""

_SAYS = "Glyph .* missing|Matplotlib currently does not support|constrained_layout not applied"


class DrawingError(RunError):
    """A picture cannot be drawn: nothing else is lost."""


@contextmanager
def written() -> Iterator[None]:
    """While a figure becomes a file.

    A text may have letters that the font lacks, and a history absurd numbers: that is to be seen, not said.

    Raises:
        DrawingError: matplotlib fails, whatever the reason.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=f"({_SAYS})", category=UserWarning)
        try:
            yield
        except Exception as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise DrawingError(f"a picture cannot be drawn: {reason}") from error


def new_figure(width: float, height: float, dpi: int = 150) -> Any:
    """An empty matplotlib figure, in inches. matplotlib is imported here, so that what draws nothing starts fast.

    >>> new_figure(6.4, 3.8).axes
    []
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def check_picture(path: str) -> None:
    """A picture's name says its format, and its folder is there; better known before the work than after it.

    Raises:
        UsageError: the ending is none of a format that can be written, or there is no such folder.
    """
    from pathlib import Path

    known = new_figure(1, 1).canvas.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in known:
        raise UsageError(f"{path}: a picture's name must end in .png, .svg, .pdf or another format's ending")
    check_folder(path)


def check_folder(path: str) -> None:
    """UsageError if a file cannot be written to ``path`` because its folder is not there."""
    from pathlib import Path

    if not Path(path).parent.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {Path(path).parent}")


def bare(axes: Any) -> None:
    """Take the upper and the right edge away."""
    axes.spines[["top", "right"]].set_visible(False)
