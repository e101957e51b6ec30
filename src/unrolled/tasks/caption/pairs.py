"""Pictures and their captions in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import EmptyPartError
from unrolled.models.heads.head import IGNORED
from unrolled.training.batches import Batch, as_tensor
from unrolled.training.epochs import Epochs

SHIFT = 1 / 16
"""The largest shift of a picture, as a share of its side."""


@dataclass(frozen=True)
class Written:
    """What a batch of captions belongs to.

    Shapes:
        symbols (T, N), -100 behind each caption's end; pictures (P, ...); of (N,), each caption's picture.
    """

    symbols: Tensor
    pictures: Tensor
    of: Tensor


class Pairs:
    """Captions of about one length, each with its picture, in batches of N; shuffled anew in each epoch.

    Shapes:
        inputs (T, N), the symbol before each, at first the end; lengths (N,); targets `Written`.

    Arguments:
        pictures: arrays of one shape. captions: the numbers of each caption, its end last; of: its picture's number.
        end: the symbol that ends captions.
        shifted: move pictures by up to a sixteenth of their side, their edges repeated.
    """

    def __init__(
        self,
        pictures: Sequence[np.ndarray],
        captions: Sequence[np.ndarray],
        of: np.ndarray,
        end: int,
        batch: int,
        seed: int = 1,
        shifted: bool = False,
        device: str = "cpu",
    ) -> None:
        if not len(captions):
            raise EmptyPartError("there are no captions, expected at least one")
        self._pictures, self._captions, self._of, self._end = pictures, captions, of, end
        self._seed, self._shifted, self._device = seed, shifted, device
        self._lengths = np.array([len(one) for one in captions])
        self._epochs = Epochs(self._lengths, len(captions), batch, seed)
        self.batch, self.updates_per_epoch = self._epochs.batch, self._epochs.updates

    def batch_at(self, update: int) -> Batch:
        """The batch of an update, counted from the start of the run."""
        chosen = self._epochs.batch_at(update)
        which, of = np.unique(self._of[chosen], return_inverse=True)
        pictures = [self._pictures[int(n)] for n in which]
        if self._shifted:
            random = np.random.Generator(np.random.Philox(key=[self._seed, update]))
            pictures = [_shifted(one, random) for one in pictures]
        symbols = stacked_symbols([self._captions[int(n)] for n in chosen])
        written = Written(*(t.to(self._device) for t in (symbols, as_pictures(pictures), torch.from_numpy(of))))
        lengths = torch.from_numpy(self._lengths[chosen]).to(self._device)
        return Batch(before(written.symbols, self._end), written, lengths)


def before(symbols: Tensor, end: int) -> Tensor:
    """The symbol before each (T, N): at first the end, and behind the end anything.

    >>> before(torch.tensor([[4, 2], [9, 3], [-100, 9]]), 9).tolist()
    [[9, 9], [4, 2], [9, 3]]
    """
    first = torch.full_like(symbols[:1], end)
    return torch.cat([first, symbols[:-1].clamp(min=0)])


def stacked_symbols(captions: Sequence[np.ndarray]) -> Tensor:
    """Captions side by side (T, N), -100 behind the end of each."""
    made = np.full((max(map(len, captions)), len(captions)), IGNORED)
    for n, one in enumerate(captions):
        made[: len(one), n] = one
    return torch.from_numpy(made)


def as_pictures(pictures: Sequence[np.ndarray]) -> Tensor:
    """Pictures of one shape (P, ...)."""
    return as_tensor(np.stack(pictures), "cpu")


def _shifted(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    side = len(picture)
    down, right = random.integers(-round(side * SHIFT), round(side * SHIFT) + 1, 2)
    places = np.arange(side)
    return picture[np.clip(places + down, 0, side - 1)][:, np.clip(places + right, 0, side - 1)]
