"""Transposition as augmentation: in each update every roll is moved up or down by some semitones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from unrolled.training.batches import Batch
from unrolled.training.padded import Padded


class Transposed:
    """The batches of rolls, each sequence moved by a whole number of semitones that keeps it on the piano.

    The numbers are drawn from the seed and the update alone, evenly from -most to most, cut where a note would leave
    the 88 keys.

    >>> roll = np.eye(5, 88, 40, dtype=np.uint8)
    >>> moved = Transposed(Padded([roll], [roll], 1, by_step=True), most=3, seed=1).batch_at(0)
    >>> abs(int(moved.targets[0, 0].argmax()) - 40) <= 3
    True
    """

    def __init__(self, batches: Padded, most: int, seed: int) -> None:
        self.batch, self.updates_per_epoch = batches.batch, batches.updates_per_epoch
        self._batches, self._most, self._seed = batches, most, seed

    def batch_at(self, update: int) -> Batch:
        """The batch of an update, counted from the start of the run."""
        batch = self._batches.batch_at(update)
        random = np.random.Generator(np.random.Philox(key=[self._seed, update]))
        inputs, targets = batch.inputs.clone(), batch.targets.clone()
        for n, shift in enumerate(random.integers(-self._most, self._most + 1, targets.shape[1])):
            keys = torch.nonzero(inputs[:, n].amax(0) | targets[:, n].amax(0))[:, 0]
            if not len(keys):
                continue
            own = int(np.clip(shift, -int(keys[0]), targets.shape[2] - 1 - int(keys[-1])))
            inputs[:, n], targets[:, n] = (steps[:, n].roll(own, dims=1) for steps in (batch.inputs, batch.targets))
        return replace(batch, inputs=inputs, targets=targets)
