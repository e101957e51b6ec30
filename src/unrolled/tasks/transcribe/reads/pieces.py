"""Long reads, called piece by piece in memory that does not grow with them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable

import numpy as np

from unrolled.tasks.transcribe.reads.calling import Call
from unrolled.tasks.transcribe.reads.reading import LONGEST

OVERLAP = 6_000
"""Samples that two pieces share: hundreds of bases on either side of where they are joined."""


def in_pieces(
    samples: np.ndarray,
    reduction: int,
    call: Callable[[np.ndarray], Call],
    piece: int = LONGEST,
    overlap: int = OVERLAP,
) -> Call:
    """The call of a read of any length; one that is not longer than a piece is called whole.

    Two pieces are joined behind a base that both have at the same step: of all that they share, the one nearest to
    the middle of what overlaps. There the edges of the pieces are too far away to matter, so that the bases are those
    of the whole read, but that a beam is not filled with doubts of long ago.

    Arguments:
        samples: 16 bits (T,). reduction: samples of a step.
        call: of a piece. piece, overlap: samples.
    """
    stride = (piece - overlap) // reduction * reduction
    found = call(samples[:piece])
    for start in range(stride, len(samples) - piece + stride, stride):
        after, first = call(samples[start : start + piece]), start // reduction
        steps = [first + step for step in after.steps]
        middle = first + (piece - stride) // (2 * reduction)
        tail = bisect_left(found.steps, first)
        left = zip(found.labels[tail:], found.steps[tail:], strict=True)
        shared = [step for _, step in set(left) & set(zip(after.labels, steps, strict=True))]
        at = min(shared, key=lambda step: (abs(step - middle), step), default=middle)
        kept, new = bisect_right(found.steps, at), bisect_right(steps, at)
        for whole, more in zip(found, (after.labels, after.qualities, steps), strict=True):
            whole[kept:] = more[new:]
    return found
