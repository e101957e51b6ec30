"""What is to be beaten: captions that look at no picture, or only for the one that is most alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from unrolled.tasks.caption.scores import tokens

_ROWS = 256
"""Pictures whose distances to all others are in memory at once."""


def most_frequent(captions: Sequence[str]) -> tuple[str, float]:
    """The commonest caption, as it is scored, and its share of all; of equally common ones the first.

    >>> most_frequent(["A dog.", "a cat", "a dog", "two"])
    ('a dog', 0.5)
    """
    caption, count = Counter(map(tokens, captions)).most_common(1)[0]
    return caption, count / len(captions)


def nearest(described: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The number of the known description (n, D) that is nearest to each (m, D), by the angle between them.

    >>> nearest(np.array([[2.0, 0.1]]), np.array([[0.0, 1.0], [1.0, 0.0]])).tolist()
    [1]
    """
    middle = known.mean(0)  # what all pictures share says nothing
    known, described = _directions(known - middle), _directions(described - middle)
    found = [(described[k : k + _ROWS] @ known.T).argmax(1) for k in range(0, len(described), _ROWS)]
    return np.concatenate(found)


def _directions(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
