"""What an update trains on, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Sequences side by side, for one update.

    Shapes:
        inputs (T, N) whole numbers, or (T, N, width); targets as the head takes them, (T, N, ...) or (N, ...);
        lengths (N,); mask bool, one for each target; resets (T, N) bool.

    Fields:
        lengths: None where every sequence has T steps.
        mask: which targets count; None for all.
        continues: whether the states of the batch before are carried into this one.
        counted: the last so many steps have losses that count and are read for the first time; None for all.
        advance: the next batch begins so many steps after this one; None for behind the last.
        resets: where a new sequence begins within a stream, from the initial states; None for nowhere.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None
    mask: Tensor | None = None
    continues: bool = False
    counted: int | None = None
    advance: int | None = None
    resets: Tensor | None = None

    @property
    def steps(self) -> int:
        """How many steps are read for the first time, of all sequences together; padding is none."""
        if self.lengths is not None:
            return int(self.lengths.sum())
        T, N = self.inputs.shape[:2]
        return (T if self.counted is None else self.counted) * N


def at_the_end(batch: Batch, most: int) -> tuple[Batch, Tensor]:
    """The batch with the loss of each sequence's last step alone, for at most so many sequences of full length.

    Returns:
        The batch, and which sequences of the other one it has.
    """
    T, N = batch.inputs.shape[:2]
    rows = torch.arange(N, device=batch.inputs.device)
    if batch.lengths is not None:
        rows = rows[batch.lengths == batch.lengths.max()]
        T = int(batch.lengths.max())
    rows = rows[:most]
    inputs = batch.inputs[:T, rows]
    batch = replace(batch, resets=None if batch.resets is None else batch.resets[:T, rows])
    if batch.lengths is None:
        return replace(batch, inputs=inputs, targets=batch.targets[:, rows], counted=1), rows
    lengths = batch.lengths[rows]
    if batch.mask is None:  # one target for a whole sequence
        return replace(batch, inputs=inputs, targets=batch.targets[rows], lengths=lengths), rows
    mask = torch.zeros(T, len(rows), dtype=torch.bool, device=inputs.device)
    mask[-1] = batch.mask[T - 1, rows]
    return replace(batch, inputs=inputs, targets=batch.targets[:T, rows], lengths=lengths, mask=mask), rows


def first_steps(batches: Batches, steps: int = 2, rows: int = 2) -> Batch:
    """The beginning of the first batch: a few steps of a few sequences."""
    batch = batches.batch_at(0)
    lengths = None if batch.lengths is None else batch.lengths[:rows].clamp(max=steps)
    by_step = lengths is None or batch.mask is not None
    targets = batch.targets[:steps, :rows] if by_step else batch.targets[:rows]
    mask = None if batch.mask is None else batch.mask[:steps, :rows]
    return Batch(batch.inputs[:steps, :rows], targets, lengths, mask)


class Batches(Protocol):
    """The training data in batches. Each is asked for by its number in the whole run.

    So an epoch may shuffle and augment, and a resumed run still sees what an uninterrupted one would: whatever is
    random is drawn from the seed and the number alone.
    """

    batch: int
    """N, the most sequences side by side."""
    updates_per_epoch: int

    def batch_at(self, update: int) -> Batch:
        """The batch of an update, counted from the start of the run."""
        ...
