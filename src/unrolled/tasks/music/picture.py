"""A piano roll as a picture."""

from __future__ import annotations

import io
from typing import Any

from unrolled.drawing import COLOURS, bare, new_figure, written
from unrolled.tasks.music.notes import pitch_name


def piano_roll(score: Any, primed: float = 0.0) -> bytes:
    """A score as a PNG: time in bars of four quarter notes, and the pitches.

    Arguments:
        primed: so many quarter notes were given, and are shown in grey.
    """
    notes = [
        (note.start / score.tpq, note.duration / score.tpq, note.pitch) for t in score.tracks for note in t.notes
    ]
    end = max([start + length for start, length, _ in notes], default=4.0)
    bars = max(1.0, end / 4)
    figure = new_figure(min(16.0, max(6.4, 0.6 * bars + 1)), 3.8)
    axes = figure.add_subplot()
    pitches = [pitch for *_, pitch in notes] or [60]
    for colour, chosen in (("0.65", True), (COLOURS[0], False)):
        own = [note for note in notes if (note[0] < primed) == chosen]
        axes.barh(
            [pitch for *_, pitch in own],
            [length / 4 for _, length, _ in own],
            left=[start / 4 for start, *_ in own],
            height=0.8,
            color=colour,
            edgecolor="white",
            linewidth=0.4,
        )
    low, high = min(pitches) - 2, max(pitches) + 2
    octaves = [pitch for pitch in range(low, high + 1) if pitch % 12 == 0]
    axes.set_yticks(octaves, [pitch_name(pitch) for pitch in octaves])
    step = max(1, round(bars / 16))
    axes.set_xticks(range(0, int(bars) + 1, step), [str(1 + k) for k in range(0, int(bars) + 1, step)])
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.set_xlim(0, bars)
    axes.set_ylim(low, high)
    axes.set_xlabel("bar")
    bare(axes)
    stream = io.BytesIO()
    with written():
        figure.savefig(stream, format="png")
    return stream.getvalue()
