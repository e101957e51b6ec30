"""Bases and their qualities from the outputs of a model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unrolled.models.heads.ctc import BLANK
from unrolled.tasks.extras import needed

BEST = 50
"""The highest quality that is written."""
WIDTH = 5
"""Of the search, unless another one is asked for; a wider one finds hardly more."""


_BEHIND = 16
"""Bases that the likeliest path may be behind the newest one of the search."""


class Call(NamedTuple):
    """The labels of a read; the quality of each, and the step at which it begins.

    Equation::

        quality = -10 log10(1 - p)        p the largest probability of the label among its steps

    rounded, from 1 to 50.
    """

    labels: list[int]
    qualities: list[int]
    steps: list[int]


def greedy_call(outputs: Tensor) -> Call:
    """The labels of the most likely path of one read (T, V).

    >>> greedy_call(torch.tensor([[0.1, 0.9], [0.05, 0.95], [0.8, 0.2], [0.4, 0.6]]).log())
    Call(labels=[1, 1], qualities=[13, 4], steps=[0, 3])
    """
    p = torch.softmax(outputs.double(), dim=1).numpy(force=True)
    path = p.argmax(1)
    return _call(p, path, path)


def beam_call(outputs: Tensor, width: int) -> Call:
    """The labels that a prefix beam search finds, with the steps and qualities of their most likely path.

    Source:
        the search is fast-ctc-decode's. It has each label at the first step at which it tried it, often long before
        the label's own.
    """
    search = needed("fast_ctc_decode", "Searches with a beam").beam_search
    letters = [chr(ord("a") + k) for k in range(outputs.shape[1])]
    found, tried = search(torch.softmax(outputs, dim=1).numpy(force=True), letters, width, 0.0)
    labels = np.array([letters.index(letter) for letter in found], np.int64)
    log_p = torch.log_softmax(outputs.double(), dim=1).numpy(force=True)
    states = _aligned(log_p, labels, np.array(tried, np.int64))
    return _call(np.exp(log_p), _states_of(labels)[states], states)


def _call(p: np.ndarray, path: np.ndarray, runs: np.ndarray) -> Call:
    """The labels of a path (T,), of which a new one begins wherever ``runs`` changes."""
    starts = np.flatnonzero(np.diff(runs, prepend=-1))
    best = np.maximum.reduceat(p[np.arange(len(path)), path], starts)
    labels = path[starts]
    is_base = labels != BLANK
    return Call(labels[is_base].tolist(), qualities(best[is_base]), starts[is_base].tolist())


def _states_of(labels: np.ndarray) -> np.ndarray:
    """A blank before, between and behind labels (2 labels + 1,)."""
    states = np.full(2 * len(labels) + 1, BLANK)
    states[1::2] = labels
    return states


def _aligned(log_p: np.ndarray, labels: np.ndarray, tried: np.ndarray) -> np.ndarray:
    """The state of each step (T,) on the most likely path of labels, as `_states_of` counts them.

    Arguments:
        log_p: (T, V). tried: the first step at which each label may stand. The path is sought among the states of the
            last `_BEHIND` labels that may.
    """
    size, pad = 2 * _BEHIND + 1, 2 * _BEHIND
    symbols = np.concatenate([np.full(pad, BLANK), _states_of(labels)])
    skips = np.full(len(symbols), -np.inf)
    skips[2:][(symbols[2:] != BLANK) & (symbols[2:] != symbols[:-2])] = 0
    lows = 2 * np.searchsorted(tried, np.arange(len(log_p)), side="right")
    shifts = np.diff(lows, prepend=lows[0]).tolist()
    seen = lows[:, None] + np.arange(size)  # the states of each step, of which ``pad`` stand before the first one
    given, skips = np.take_along_axis(log_p, symbols[seen], 1), skips[seen]
    best = np.full((len(log_p) + 1, size + 4), -np.inf)  # of the paths to a state, two more on either side
    best[0, 2 + pad - lows[0]] = 0  # so that the first step is in state 0, or goes on to 1
    for t, k in enumerate(shifts):
        before, now = best[t], best[t + 1, 2:-2]
        np.maximum(before[k + 2 : k + 2 + size], before[k + 1 : k + 1 + size], out=now)
        np.maximum(now, before[k : k + size] + skips[t], out=now)
        now += given[t]
    at = size + 1 if best[-1, -3] >= best[-1, -4] else size
    states = np.empty(len(log_p), np.int64)
    for t in range(len(log_p) - 1, -1, -1):
        states[t] = lows[t] + at - 2 - pad
        stay, k = best[t], at + shifts[t]
        ways = (stay[k], stay[k - 1], stay[k - 2] + skips[t, at - 2])
        at = k - ways.index(max(ways))
    return states


def qualities(p: np.ndarray) -> list[int]:
    """Phred qualities of probabilities."""
    error = np.maximum(1 - p, 10 ** (-BEST / 10))
    return np.clip(np.rint(-10 * np.log10(error)), 1, BEST).astype(int).tolist()


def fastq(name: str, bases: str, quality: list[int]) -> str:
    """One record."""
    return f"@{name}\n{bases}\n+\n{''.join(chr(33 + q) for q in quality)}\n"
