"""What a model must beat: tables of how often symbols, and pairs of symbols, occur."""

from __future__ import annotations

import numpy as np

_LARGEST_TABLE = 1024


def unigram_loss(training: np.ndarray, held_out: np.ndarray, size: int) -> float:
    """Nats a symbol of a table of frequencies, each count plus one; each symbol but the first.

    >>> round(unigram_loss(np.array([0, 1, 0, 1]), np.array([0, 1, 0]), 2), 4)  # log 2
    0.6931
    """
    counts = np.bincount(training, minlength=size) + 1
    return float(-np.log(counts[held_out[1:]] / counts.sum()).mean())


def bigram_loss(training: np.ndarray, held_out: np.ndarray, size: int) -> float | None:
    """Nats a symbol of a table of pairs, each count plus one; None where the table would be too large.

    >>> training = np.array([0, 1] * 100)
    >>> bigram_loss(training, np.array([0, 1, 0]), 2) < 0.05
    True
    """
    if size > _LARGEST_TABLE:
        return None
    pairs = np.zeros(size * size, dtype=np.int64)
    step = 1 << 20
    for start in range(0, len(training) - 1, step):
        part = training[start : start + step + 1].astype(np.int64)
        pairs += np.bincount(part[:-1] * size + part[1:], minlength=size * size)
    table = pairs.reshape(size, size) + 1
    before, after = held_out[:-1].astype(np.int64), held_out[1:].astype(np.int64)
    return float(-np.log(table[before, after] / table.sum(axis=1)[before]).mean())
