"""Bases and their qualities from the outputs of a model."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from unrolled.models.heads.ctc import BLANK
from unrolled.tasks.extras import needed

BEST = 50
"""The highest quality that is written."""
WIDTH = 5
"""Of the search, unless another one is asked for; a wider one finds hardly more."""


def greedy_call(outputs: Tensor) -> tuple[list[int], list[int]]:
    """The labels of the most likely path of one read (T, V), and the quality of each.

    Equation::

        quality = -10 log10(1 - p)        p the largest probability of the base among its steps

    rounded, from 1 to 50.

    >>> greedy_call(torch.tensor([[0.1, 0.9], [0.05, 0.95], [0.8, 0.2], [0.4, 0.6]]).log())
    ([1, 1], [13, 4])
    """
    found = torch.softmax(outputs.double(), dim=1).max(1)
    path, p = found.indices.numpy(force=True), found.values.numpy(force=True)
    starts = np.flatnonzero(np.diff(path, prepend=-1))
    best = np.maximum.reduceat(p, starts)
    labels = path[starts]
    return labels[labels != BLANK].tolist(), qualities(best[labels != BLANK])


def beam_call(outputs: Tensor, width: int) -> tuple[list[int], list[int]]:
    """The same by a prefix beam search; the quality of a base is that of its own step.

    Source:
        the search is fast-ctc-decode's.
    """
    search = needed("fast_ctc_decode", "Searches with a beam").beam_search
    p = torch.softmax(outputs, dim=1).numpy(force=True)
    letters = [chr(ord("a") + k) for k in range(p.shape[1])]
    found, steps = search(p, letters, width, 0.0)
    labels = [letters.index(letter) for letter in found]
    return labels, qualities(p[steps, labels])


def qualities(p: np.ndarray) -> list[int]:
    """Phred qualities of probabilities."""
    error = np.maximum(1 - p, 10 ** (-BEST / 10))
    return np.clip(np.rint(-10 * np.log10(error)), 1, BEST).astype(int).tolist()


def fastq(name: str, bases: str, quality: list[int]) -> str:
    """One record; a read without bases has none of either."""
    return f"@{name}\n{bases}\n+\n{''.join(chr(33 + q) for q in quality)}\n"
