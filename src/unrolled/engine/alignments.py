"""Sums over all alignments of labels with steps; `models.heads.alignments` has their equation."""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled import threads
from unrolled.engine import native

_OPERATIONS = 30.0
"""Of a step and label."""


def aligned(y: Tensor, labels: Tensor, steps: Tensor, counts: Tensor, gradient: Tensor | None = None) -> Tensor:
    """-log p of the labels of each sequence (N,), in nats, float64; NaN where 64 bits are not enough to know it.

    Shapes:
        y (T, N, V), float64, the probability of each symbol, the blank first; labels (S, N), int64, from 1; steps,
        counts (N,), int64: how many of T and S belong to each sequence, one step at least.

    Arguments:
        gradient: (T, N, V), float64; the share of the paths that have each symbol at each step is taken away from it.

    Raises:
        ValueError: a number that is out of range.
    """
    arrays = [array.contiguous() for array in (y, labels, steps, counts)]
    losses = y.new_empty(len(steps))
    sizes = [*y.shape, len(labels)]
    most = threads.limited(torch.get_num_threads())
    count = threads.suited(most, _OPERATIONS * len(y) * len(steps) * len(labels))
    addresses = [array.data_ptr() for array in (*arrays, losses)]
    native.module.align(count, sizes, *addresses, 0 if gradient is None else gradient.data_ptr())
    return losses
