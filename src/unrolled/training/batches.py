"""What an update trains on, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Sequences side by side, for one update.

    Shapes:
        inputs (T, N) whole numbers, or (T, N, width); (N,) or (N, width), with lengths, for graphs with one input;
        targets as the head takes them, (T, N, ...) or (N, ...), or a mapping of such by name; lengths (N,); mask
        bool, one for each target, or a mapping; resets (T, N) bool. A loss of one's own may take any targets.

    Fields:
        lengths: None where every sequence has T steps.
        mask: which targets count; None for all.
        continues: whether the states of the batch before are carried into this one.
        counted: the last so many steps have losses that count and are read for the first time; None for all.
        advance: the next batch begins so many steps after this one; None for behind the last.
        resets: where a new sequence begins within a stream, from the initial states; None for nowhere.
    """

    inputs: Tensor
    targets: Any
    lengths: Tensor | None = None
    mask: Any = None
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


def as_tensor(array: np.ndarray, device: str) -> Tensor:
    """An array of any byte order, as torch can take it: files of measurements and sound have the other one, too."""
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False)).to(device)


def each(function: Callable[[Tensor], Tensor], named: Any) -> Any:
    """``function`` of a tensor, or of each in a mapping; of None it is None."""
    if isinstance(named, Mapping):
        return {name: each(function, one) for name, one in named.items()}
    return None if named is None else function(named)


def at_the_end(batch: Batch, most: int, by_step: bool = True) -> tuple[Batch, Tensor] | None:
    """The batch with the loss of each sequence's last step alone, for at most so many sequences of full length.

    Arguments:
        by_step: whether targets belong to steps, rather than to whole sequences.

    Returns:
        The batch, and which sequences of the other one it has; None where no sequence has a step, or the targets
        are not one a step, or one a sequence, so that nobody but their own loss knows what belongs together.
    """
    T, N = batch.inputs.shape[:2]
    if not (_fit(batch.targets, (T, N), by_step) and (batch.mask is None or _fit(batch.mask, (T, N), by_step))):
        return None
    rows = torch.arange(N, device=batch.inputs.device)
    if batch.lengths is not None:
        rows = rows[batch.lengths == batch.lengths.max()]
        T = int(batch.lengths.max())
    rows = rows[:most]
    if not T:
        return None

    def cut(one: Tensor) -> Tensor:
        return one[:T, rows] if by_step else one[rows]

    few = replace(
        batch,
        inputs=batch.inputs[:T, rows],
        targets=each(cut, batch.targets),
        lengths=None if batch.lengths is None else batch.lengths[rows],
        mask=each(cut, batch.mask),
        resets=None if batch.resets is None else batch.resets[:T, rows],
    )
    if batch.lengths is None:
        return replace(few, counted=1), rows
    if not by_step:
        return few, rows
    last = (torch.arange(T, device=rows.device) == T - 1)[:, None].expand(T, len(rows))
    return replace(few, mask=last if batch.mask is None else _both(last, few.mask)), rows


def _fit(named: Any, leading: tuple[int, int], by_step: bool) -> bool:
    """Whether targets, or a mask, are tensors with one entry for each step, or for each sequence."""
    if isinstance(named, Mapping):
        return all(one is None or _fit(one, leading, by_step) for one in named.values())
    wanted = leading if by_step else leading[1:]
    return isinstance(named, Tensor) and named.shape[: len(wanted)] == wanted


def _both(last: Tensor, mask: Any) -> Any:
    """Where a mask, or each in a mapping, is true as well; None is true everywhere."""
    if isinstance(mask, Mapping):
        return {name: _both(last, one) for name, one in mask.items()}
    return last if mask is None else last & mask


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
