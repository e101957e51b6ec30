"""What a model must beat: tables of how often symbols, and pairs of symbols, occur."""

from __future__ import annotations

import numpy as np

from unrolled.tasks.symbols.counting import count, count_pairs

_LARGEST_TABLE = 1024


def unigram_loss(training: np.ndarray, held_out: np.ndarray, size: int) -> float:
    """Nats a symbol of a table of frequencies, each count plus one; each symbol but the first.

    >>> round(unigram_loss(np.array([0, 1, 0, 1]), np.array([0, 1, 0]), 2), 4)  # log 2
    0.6931
    """
    p = count(training, size) + 1
    return _mean(count(held_out[1:], size), p / p.sum())


def bigram_loss(training: np.ndarray, held_out: np.ndarray, size: int) -> float | None:
    """Nats a symbol of a table of pairs, each count plus one; None where the table would be too large.

    >>> training = np.array([0, 1] * 100)
    >>> bigram_loss(training, np.array([0, 1, 0]), 2) < 0.05
    True
    """
    if size > _LARGEST_TABLE:
        return None
    p = count_pairs(training, size) + 1
    return _mean(count_pairs(held_out, size), p / p.sum(axis=1, keepdims=True))


def _mean(counts: np.ndarray, p: np.ndarray) -> float:
    """-log p, averaged over what was counted."""
    return float(-(counts * np.log(p)).sum() / counts.sum())
