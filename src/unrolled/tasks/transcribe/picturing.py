"""A picture of what a model hears, beside the sound or the current."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unrolled.drawing import COLOURS, bare, new_figure

_WIDE = 11.0
_LIKELY = 0.1
"""From this probability on, a symbol is drawn."""


def draw_heard(
    frames: np.ndarray, seconds: float, posterior: np.ndarray, symbols: Sequence[str], title: str, seen: str
) -> Any:
    """The frames, and below them the probability of each symbol over time.

    Arguments:
        frames: (T, D): a spectrum for D above 1, else a curve; seconds: how long they last.
        posterior: (T', V), the blank first; symbols: those behind the blank.
        seen: what a curve is, in words; its numbers are in units of its spread.
    """
    figure = new_figure(_WIDE, 4.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.1))
    if frames.shape[1] > 1:
        above.imshow(frames.T, origin="lower", aspect="auto", extent=(0, seconds, 0, frames.shape[1]), cmap="magma")
        above.set_ylabel("mel band")
    else:
        above.plot(np.linspace(0, seconds, len(frames)), frames[:, 0], color="0.25", linewidth=0.7)
        above.set_ylabel(f"{seen} / its spread", parse_math=False)
        bare(above)
    above.set_title(title, loc="left", fontsize=10, parse_math=False)
    times = (np.arange(len(posterior)) + 0.5) * seconds / len(posterior)
    below.plot(times, posterior[:, 0], color="0.75", linewidth=1, label="blank")
    likely = (1 + np.flatnonzero(posterior[:, 1:].max(0) > _LIKELY)).tolist()
    for k in likely:
        below.plot(times, posterior[:, k], color=COLOURS[(k - 1) % len(COLOURS)], linewidth=1.3)
    spikes = _spikes(posterior)
    spikes += [(int(posterior[:, k].argmax()), k) for k in sorted(set(likely) - {k for _, k in spikes})]
    for t, k in spikes:
        below.annotate(
            {" ": "␣"}.get(symbols[k - 1], symbols[k - 1]),
            (times[t], posterior[t, k]),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            color=COLOURS[(k - 1) % len(COLOURS)],
            annotation_clip=True,
            parse_math=False,
        )
    below.set_ylim(0, 1.18)
    below.set_xlim(0, seconds)
    below.set_ylabel("probability")
    below.set_xlabel("seconds")
    below.legend(loc="lower right", bbox_to_anchor=(1, 0.98), frameon=False, fontsize=8, borderaxespad=0)
    bare(below)
    return figure


def _spikes(posterior: np.ndarray) -> list[tuple[int, int]]:
    """Step and symbol where each symbol of the most likely path is most likely."""
    path = posterior.argmax(1)
    starts = np.flatnonzero(np.diff(path, prepend=-1)).tolist()
    ends = [*starts[1:], len(path)]
    return [
        (start + int(posterior[start:end, path[start]].argmax()), int(path[start]))
        for start, end in zip(starts, ends, strict=True)
        if path[start]
    ]
