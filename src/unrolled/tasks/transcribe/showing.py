"""What a person is told of recordings and of transcripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from unrolled.tasks.transcribe.options import TranscribeOptions
from unrolled.tasks.transcribe.reading import Collection
from unrolled.wording import counted, shortened

_SYMBOLS, _BAD, _WORST = 60, 8, 8


def about(
    found: Collection,
    unit: str,
    symbols: tuple[Sequence[str], str],
    options: TranscribeOptions,
    sizes: Mapping[str, int],
    pauses: bool,
) -> list[tuple[str, str]]:
    """The data in a few lines.

    Arguments:
        unit: what the recordings are called. symbols: those that there are, and the characters that are none.
        sizes: of the parts. pauses: whether there are some in training.
    """
    seconds = found.sounds.lengths / found.rate
    span = f"{seconds.min():.1f} to {seconds.max():.1f} s each" if len(seconds) > 1 else f"{seconds[0]:.1f} s"
    length = f"{found.seconds / 60:.1f} minutes" if found.seconds < 7200 else f"{found.seconds / 3600:.1f} hours"
    what = "signal" if unit == "reads" else "sound"
    rows = [(what, f"{counted(len(seconds), unit)}, {length}, {span}, {found.rate:,} Hz")]
    rows.append(("", ", ".join(f"{part} {size:,}" for part, size in sizes.items())))
    known, unknown = symbols
    rows.append(("symbols", f"{_some(known)} ({len(known)} and the blank)"))
    if unknown:
        rows.append(("", f"{_some(unknown)} {'is' if len(unknown) == 1 else 'are'} not among them: never written"))
    changes = [f"joined up to {options.join}"] * (options.join > 1)
    changes += ["varied, noise, bands stretched and masked"] * options.augment
    how = "; ".join(changes) or f"{unit} as they are"
    rows.append(("training", f"{how}; and pauses" if pauses else how))
    rows += bad(found.bad)
    return rows


def _some(symbols: Sequence[str]) -> str:
    more = f", and {len(symbols) - _SYMBOLS} more" if len(symbols) > _SYMBOLS else ""
    return "".join(symbols[:_SYMBOLS]).replace(" ", "␣") + more


def bad(sentences: Sequence[str]) -> list[tuple[str, str]]:
    """What was left out."""
    rows = [("left out" if k == 0 else "", text) for k, text in enumerate(sentences[:_BAD])]
    if len(sentences) > _BAD:
        rows.append(("", f"and {len(sentences) - _BAD:,} more"))
    return rows


def rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Speed, and the worst transcripts."""
    made = []
    if np.isfinite(figures.get("real_time_factor", np.nan)):
        made.append(("speed", f"{figures['real_time_factor']:.4f} of real time"))
    made += list(_worst(figures.get("worst", [])))
    return made


def _worst(found: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for k, one in enumerate(found[:_WORST]):
        text, heard = one["text"], one["heard"]
        if "identity" in one:
            said = f"identity {one['identity']:.2%}, {counted(len(text), 'bases')}, {len(heard):,} called"
        else:
            said = f"{shortened(text)} heard as {shortened(heard) or 'nothing'}"
        yield ("worst" if k == 0 else "", f"{one['name']}: {said}")
