"""Separate sequences of any lengths, side by side in padded batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import DataError, EmptyPartError
from unrolled.training.batches import Batch, as_tensor
from unrolled.training.epochs import Epochs


class Padded:
    """Sequences of any lengths as batches of about N, each sequence once an epoch, as `Epochs` shuffles them.

    Shapes:
        inputs (T, N, ...), with zeros behind a sequence's end; lengths (N,). Targets of one step each are padded to
        (T, N, ...), and a mask (T, N) says which are none; targets of a whole sequence are stacked, (N, ...).

    Arguments:
        inputs: one numpy array for each sequence, (steps,) whole numbers or (steps, width) numbers; all of one type,
            which the batches have.
        targets: one numpy array for each sequence, (steps, ...) for targets of each step, or one number or vector for
            the whole sequence.
        batch: N; the last batches of an epoch may be smaller.
        seed: of the shuffling.
        by_step: whether targets belong to steps.
        device: where the batches are to be.

    Raises:
        EmptyPartError: no sequences. DataError: an empty one, one whose targets do not fit its steps, or arrays of
            several types. TypeError: no arrays.

    >>> made = Padded([np.array([1, 2, 3]), np.array([4])], [np.int64(0), np.int64(1)], batch=2)
    >>> one = made.batch_at(0)
    >>> sorted(one.inputs.T.tolist()), sorted(one.lengths.tolist())
    ([[1, 2, 3], [4, 0, 0]], [1, 3])
    """

    def __init__(
        self,
        inputs: Sequence[np.ndarray],
        targets: Sequence[np.ndarray],
        batch: int,
        seed: int = 1,
        by_step: bool = False,
        device: str = "cpu",
    ) -> None:
        _check(inputs, targets, by_step)
        self._inputs, self._targets = inputs, targets
        self._by_step, self._device = by_step, device
        self._lengths = np.array([len(x) for x in inputs])
        self._epochs = Epochs(self._lengths, len(inputs), batch, seed)
        self.batch, self.updates_per_epoch = self._epochs.batch, self._epochs.updates

    def batch_at(self, update: int) -> Batch:
        """The batch of an update, counted from the start of the run."""
        chosen = self._epochs.batch_at(update)
        lengths = torch.from_numpy(self._lengths[chosen]).to(self._device)
        inputs = stacked([self._inputs[i] for i in chosen], self._device)
        if not self._by_step:
            targets = as_tensor(np.stack([self._targets[i] for i in chosen]), self._device)
            return Batch(inputs, targets, lengths)
        targets = stacked([self._targets[i] for i in chosen], self._device)
        mask = torch.arange(len(inputs), device=self._device)[:, None] < lengths
        return Batch(inputs, targets, lengths, mask)


def stacked(arrays: Sequence[np.ndarray], device: str = "cpu") -> Tensor:
    """Arrays (steps, ...) side by side, (T, N, ...), with zeros behind their ends.

    >>> stacked([np.array([1, 2]), np.array([3])]).tolist()
    [[1, 3], [2, 0]]
    """
    T = max(map(len, arrays))
    padded = np.zeros((T, len(arrays), *arrays[0].shape[1:]), dtype=arrays[0].dtype)
    for n, array in enumerate(arrays):
        padded[: len(array), n] = array
    return as_tensor(padded, device)


def _check(inputs: Sequence[np.ndarray], targets: Sequence[np.ndarray], by_step: bool) -> None:
    if len(inputs) != len(targets):
        raise DataError(f"{len(inputs):,} sequences and {len(targets):,} targets, expected the same number")
    if not len(inputs):
        raise EmptyPartError("there are no sequences, expected at least one")
    for name, arrays, others in (("inputs", inputs, ()), ("targets", targets, (int, float, np.generic))):
        for k, a in enumerate(arrays):
            if not isinstance(a, (np.ndarray, *others)) or (name == "inputs" and not a.ndim):
                came = f"the {name} of sequence {k} are of type {type(a).__name__}"
                raise TypeError(f"Padded: {came}, expected a numpy array, whose type says what the batches have")
        kinds = {(np.asarray(a).dtype, np.asarray(a).shape[name == "inputs" or by_step :]) for a in arrays}
        if len(kinds) > 1:
            some = " and ".join(sorted(f"{dtype} {shape}" for dtype, shape in kinds)[:2])
            raise DataError(f"the {name} of all sequences must have one type and one width, got {some}")
    for k, x in enumerate(inputs):
        if not len(x):
            raise DataError(f"sequence {k} has no steps")
        if by_step and len(targets[k]) != len(x):
            raise DataError(f"sequence {k} has {len(x):,} steps and {len(targets[k]):,} targets")
