"""Epochs: which sequences each batch has, those of similar lengths together, shuffled anew in each epoch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

POOL = 50
"""So many batches' sequences are sorted by length together: the more, the less padding, and the less shuffled."""


class Epochs:
    """The numbers of the sequences of each batch of about N, each sequence once an epoch.

    In each epoch the sequences are shuffled, cut into pools of 50 batches, sorted by length within a pool and cut
    into batches, whose order is shuffled again. All of it follows from the seed and the number of the epoch.

    Arguments:
        lengths: of the sequences; or, where they differ from epoch to epoch, what gives them for the number of one.
        count: of the sequences. batch: N, the last batches of an epoch may be smaller.
        seed: of the shuffling.

    >>> epochs = Epochs([3, 1, 3, 1], 4, batch=2)
    >>> sorted(sorted(epochs.batch_at(k).tolist()) for k in range(epochs.updates))
    [[0, 2], [1, 3]]
    """

    def __init__(
        self, lengths: np.ndarray | list[int] | Callable[[int], np.ndarray], count: int, batch: int, seed: int = 1
    ) -> None:
        self._lengths, self._seed = lengths, seed
        self.batch = min(batch, count)
        self.updates = -(-count // self.batch)
        self._epoch = -1
        self._batches: list[np.ndarray] = []

    def batch_at(self, update: int) -> np.ndarray:
        """The numbers of the sequences of an update, counted from the start of the run."""
        epoch, k = divmod(update, self.updates)
        if epoch != self._epoch:
            lengths = self._lengths(epoch) if callable(self._lengths) else self._lengths
            self._epoch, self._batches = epoch, _shuffled(np.asarray(lengths), self.batch, self._seed, epoch)
        return self._batches[k]


def _shuffled(lengths: np.ndarray, batch: int, seed: int, epoch: int) -> list[np.ndarray]:
    random = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    order = random.permutation(len(lengths))
    pool = POOL * batch
    parts = [order[start : start + pool] for start in range(0, len(order), pool)]
    order = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in parts])
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    return [batches[k] for k in random.permutation(len(batches))]
