"""Pieces by part: as the data say, drawn piece by piece, or cut in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from unrolled.errors import DataError, EmptyPartError
from unrolled.tasks.music.reading import Source, sources
from unrolled.tasks.splitting import digest, split
from unrolled.training.task import ALL, PARTS

_ENOUGH = 10
"""Pieces to split by the piece; fewer are cut in time."""
_UNNAMED = -1
_TRAINING, _VALIDATION, _TEST = range(len(PARTS))


@dataclass(frozen=True)
class Library:
    """Pieces by part, each an array with one entry a step, and what was left out.

    Fields:
        parts: the `PARTS`, unless all was read to be scored whole, and `ALL`.
        skipped: names, and why.
        digest: what tells these parts from others.
        is_split: whether pieces were split, and not all in parts that the data name.
    """

    parts: dict[str, list[np.ndarray]]
    skipped: list[tuple[str, str]]
    digest: str = ""
    is_split: bool = False


def read_library(
    data: str,
    files: list[Path],
    convert: Callable[[Source], np.ndarray],
    settled: Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], list[np.ndarray]],
    shares: tuple[int, int, int] | None,
) -> Library:
    """All pieces, converted one after the other, in their parts.

    Data that name their parts, in a collection or by folders ``train``, ``valid`` and ``test``, keep them. Else ten
    pieces or more are drawn into parts, always in the same way; fewer are cut in time, each in all parts. Pieces that
    cannot be used are drawn, too, so that the others stay in their parts on the day that these can be used.

    Arguments:
        convert: from what was found to an array with one entry a step; DataError for a piece that cannot be used.
        settled: what the arrays become once all are known; what is learnt of them is learnt of the second argument,
            those of the training part.
        shares: the parts in percent; None for no parts.

    Raises:
        DataError: none of the pieces can be used, none is for training, or some lie beside folders that name parts.
    """
    given: list[int] = []
    found: dict[int, np.ndarray] = {}
    skipped: list[tuple[str, str]] = []
    unnamed = ""
    for place, source in enumerate(sources(data, files)):
        given.append(PARTS.index(source.part) if source.part else _UNNAMED)
        unnamed = unnamed or source.name * (not source.part)
        try:
            found[place] = _converted(source, convert)
        except DataError as error:
            skipped.append((source.name, str(error)))
    if not given:
        raise DataError(f"{data} has no pieces")
    if not found:
        others = f"; and {len(skipped) - 1:,} more that cannot be used" if len(skipped) > 1 else ""
        raise DataError(skipped[0][1] + others)
    pieces = list(found.values())
    if shares is None:
        return Library({ALL: settled(pieces, pieces)}, skipped)
    if {_TRAINING, _UNNAMED} <= set(given):
        raise DataError(
            f"{data}: {unnamed} lies outside the folders train, valid and test that other pieces lie in: move it "
            "into one of them, or away"
        )
    made, is_split = _drawn(np.array(given), shares)
    usable = made[list(found)]
    cut = partial(_parts, made=usable, shares=shares)
    if not cut(pieces)["training"]:
        which = f" (--split {'/'.join(map(str, shares))})" if is_split else ""
        raise EmptyPartError(f"{data} has no pieces for the training part{which}")
    parts = cut(settled(pieces, cut(pieces)["training"]))
    return Library(parts, skipped, digest([str(place) for place in found], usable), is_split)


def _converted(source: Source, convert: Callable[[Source], np.ndarray]) -> np.ndarray:
    if source.wrong:
        raise DataError(source.wrong)
    return convert(source)


def _drawn(given: np.ndarray, shares: tuple[int, int, int]) -> tuple[np.ndarray, bool]:
    """Which of the `PARTS` each piece belongs to, -1 for one that is cut in time; and whether shares matter for that.

    Arguments:
        given: what the data say themselves, -1 where they do not.
    """
    if (given == _TRAINING).all():  # somebody has that part of a collection alone
        given = np.full_like(given, _UNNAMED)
    is_split = _UNNAMED in given or (_TEST in given and _VALIDATION not in given)
    if (given == _UNNAMED).all() and len(given) < _ENOUGH:
        return given, is_split
    return split(np.zeros(len(given), np.int64), shares, given), is_split


def _parts(
    pieces: Sequence[np.ndarray], made: np.ndarray, shares: tuple[int, int, int]
) -> dict[str, list[np.ndarray]]:
    """The pieces by part, and all of them; ``made`` is as `_drawn` gives it."""
    parts: dict[str, list[np.ndarray]] = {part: [] for part in PARTS}
    for piece, number in zip(pieces, made.tolist(), strict=True):
        if number != _UNNAMED:
            parts[PARTS[number]].append(piece)
            continue
        cuts = [len(piece) * shares[0] // 100, len(piece) * (shares[0] + shares[1]) // 100]
        for part, stretch in zip(PARTS, np.split(piece, cuts), strict=True):
            parts[part] += [stretch] if len(stretch) else []
    return parts | {ALL: list(pieces)}
