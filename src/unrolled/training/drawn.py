"""Training data without end: sequences that are drawn anew for each update."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from unrolled.training.batches import Batch


class Drawn:
    """Batches that are drawn anew for each update, from the seeds and its number alone.

    Arguments:
        draw: how many sequences, and a generator, to a batch.
        batch: N.
        updates: how many make up the budget, an epoch.
        seeds: whole numbers from 0; other generators must begin with others.

    >>> coins = Drawn(lambda N, rng: Batch(torch.from_numpy(rng.integers(2, size=(9, N))), None), 4, 10, [1, 0])
    >>> bool((coins.batch_at(3).inputs == coins.batch_at(3).inputs).all())
    True
    """

    def __init__(
        self, draw: Callable[[int, np.random.Generator], Batch], batch: int, updates: int, seeds: Sequence[int]
    ) -> None:
        self.batch, self.updates_per_epoch = batch, updates
        self._draw, self._seeds = draw, seeds

    def batch_at(self, update: int) -> Batch:
        """The batch of an update, counted from the start."""
        return self._draw(self.batch, np.random.default_rng([*self._seeds, update]))
