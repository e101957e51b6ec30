"""Batches that are changed as they are trained on: noise, shifts, and whatever else leaves the answer as it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from unrolled.training.batches import Batch, Batches


class Augmented:
    """Other batches, each changed in a way that follows from the seed and its number alone.

    Arguments:
        batches: the batches.
        change: given a batch and random numbers; the batch in its place.
        seed: of the random numbers.

    >>> from unrolled.training import Padded
    >>> plain = Padded([np.array([1, 2, 3])], [np.int64(0)], batch=1)
    >>> batch = Augmented(plain, lambda batch, random: batch, seed=1).batch_at(0)
    >>> batch.inputs.tolist()
    [[1], [2], [3]]
    """

    def __init__(
        self, batches: Batches, change: Callable[[Batch, np.random.Generator], Batch], seed: int = 1
    ) -> None:
        self.batch, self.updates_per_epoch = batches.batch, batches.updates_per_epoch
        self._batches, self._change, self._seed = batches, change, seed

    def batch_at(self, update: int) -> Batch:
        """The batch of an update, counted from the start of the run."""
        random = np.random.Generator(np.random.Philox(key=[self._seed, update]))
        return self._change(self._batches.batch_at(update), random)
