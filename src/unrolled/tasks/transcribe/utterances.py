"""Recordings in batches: joined, varied, and as spectra."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from unrolled.errors import EmptyPartError
from unrolled.models.heads.head import IGNORED
from unrolled.tasks.transcribe.fronts import Front
from unrolled.training.batches import Batch
from unrolled.training.epochs import Epochs
from unrolled.training.padded import stacked

SPEED, LOUDNESS = 0.2, 12.0
"""Speed varies by this share, loudness by so many decibels."""
NOISE = (15.0, 60.0)
"""Decibels of a recording above the noise that every second one gets."""
PAUSE = (0.05, 0.5)
"""Seconds between joined recordings, and at every second end of an utterance of them."""
SILENT = 32
"""One of so many utterances more is a pause without a text, where pauses are asked for."""
TRACT, BANDS = 0.2, 0.15
"""The largest share by which bands are stretched, and that is masked of them."""


class Utterances:
    """Utterances of one or several recordings, in batches of about N.

    The recordings are shuffled anew in each epoch, and joined so that every one is in one utterance; of similar
    lengths together, as in `training.Padded`.

    Shapes:
        inputs (T, N, width of the front); lengths (N,) frames; targets (S, N) labels, -100 behind the last one.

    Arguments:
        sounds: samples of each recording, 16 bits. labels: its symbols, from 1.
        between: the symbols between two joined texts.
        join: the most recordings in an utterance; how many it has is drawn once, from the seed.
        varied: vary speed and loudness, add noise, stretch and mask bands.
        pauses: have some utterances more in a batch, in which nothing is said, so that silence is not heard as the
            likeliest word.
    """

    def __init__(
        self,
        sounds: Sequence[np.ndarray],
        labels: Sequence[np.ndarray],
        front: Front,
        batch: int,
        seed: int = 1,
        join: int = 1,
        between: Sequence[int] | np.ndarray = (),
        varied: bool = False,
        pauses: bool = False,
        device: str = "cpu",
    ) -> None:
        if not len(sounds):
            raise EmptyPartError("there are no recordings, expected at least one")
        self._sounds, self._labels, self._front = sounds, labels, front
        self._seed, self._join, self._between = seed, join, np.asarray(between, dtype=np.int64)
        self._varied, self._pauses, self._device = varied, pauses, device
        self._ends = _groups(len(sounds), join, seed)
        self._samples = np.array([len(x) for x in sounds])
        self._utterances: list[np.ndarray] = []
        self._epochs = Epochs(self._joined, len(self._ends), batch, seed)
        self.batch, self.updates_per_epoch = self._epochs.batch, self._epochs.updates

    def batch_at(self, update: int) -> Batch:
        """The batch of an update, counted from the start of the run."""
        chosen = self._epochs.batch_at(update)
        random = np.random.Generator(np.random.Philox(key=[self._seed, 2 * update]))
        made = [self._made(self._utterances[k], random) for k in chosen]
        longest = max(len(sound) for sound, _ in made) / self._front.rate
        for _ in range(int(len(made) / SILENT + random.random()) if self._pauses else 0):
            pause = _silence(self._front.rate, (min(PAUSE[0], longest), longest), random)
            made.append((pause, self._between[:0]))
        samples = [sound for sound, _ in made]
        lengths = self._front.frames(torch.tensor([len(x) for x in samples]))
        inputs = self._front(stacked(samples))
        if self._varied:
            _vary_bands(inputs, random)
        targets, to = stacked_labels([labels for _, labels in made]), self._device
        return Batch(inputs.to(to), targets.to(to), lengths.to(to))

    def _joined(self, epoch: int) -> np.ndarray:
        """Join the recordings for an epoch: the samples of each utterance."""
        random = np.random.Generator(np.random.Philox(key=[self._seed, 2 * epoch + 1]))
        self._utterances = np.split(random.permutation(len(self._sounds)), self._ends[:-1])
        return np.array([self._samples[one].sum() for one in self._utterances])

    def _made(self, which: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The samples and the labels of one utterance."""
        sounds, labels = [], []
        rate = self._front.rate
        at_the_ends = (random.random(2) < 0.5) & (self._join > 1)
        if at_the_ends[0]:
            sounds.append(_silence(rate, PAUSE, random))
        for n, k in enumerate(which):
            sound = self._sounds[int(k)].astype(np.float32) * np.float32(self._front.unit)
            sounds.append(_varied(sound, random) if self._varied else sound)
            labels.append(self._labels[int(k)])
            if n + 1 < len(which) or at_the_ends[1]:
                sounds.append(_silence(rate, PAUSE, random))
            labels.append(self._between)
        sound = np.concatenate(sounds)
        if self._varied and random.random() < 0.5:
            level = np.sqrt(np.mean(sound**2)) * 10 ** (-random.uniform(*NOISE) / 20)
            sound = sound + level * random.standard_normal(len(sound), dtype=np.float32)
            sound = np.clip(sound, -1, 1)
        return sound.astype(np.float32), np.concatenate(labels[:-1])


def stacked_labels(labels: Sequence[np.ndarray]) -> torch.Tensor:
    """Labels side by side (S, N), -100 behind the last one of each.

    >>> stacked_labels([np.array([3, 1]), np.array([2])]).tolist()
    [[3, 2], [1, -100]]
    """
    made = np.full((max(map(len, labels)), len(labels)), IGNORED)
    for n, one in enumerate(labels):
        made[: len(one), n] = one
    return torch.from_numpy(made)


def _groups(count: int, join: int, seed: int) -> np.ndarray:
    """Where each utterance ends in a list of all recordings."""
    if join == 1:
        return np.arange(1, count + 1)
    sizes = np.random.Generator(np.random.Philox(key=[seed, 0])).integers(1, join + 1, count)
    ends = np.cumsum(sizes)
    return np.unique(np.minimum(ends[: np.searchsorted(ends, count) + 1], count))


def _varied(sound: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Faster or slower, and louder or softer."""
    speed, gain = random.uniform(1 - SPEED, 1 + SPEED), 10 ** (-random.uniform(0, LOUDNESS) / 20)
    places = np.arange(0, len(sound) - 1, speed)
    if not len(places):
        return sound
    return (gain * np.interp(places, np.arange(len(sound)), sound)).astype(np.float32)


def _silence(rate: int, seconds: tuple[float, float], random: np.random.Generator) -> np.ndarray:
    """A pause of some length between two, of nothing or of very soft noise."""
    size = round(rate * random.uniform(*seconds))
    level = 10 ** -random.uniform(2.5, 4.5) if random.random() < 0.5 else 0.0
    return (level * random.standard_normal(size)).astype(np.float32)


def _vary_bands(x: torch.Tensor, random: np.random.Generator) -> None:
    """Stretch the bands of each utterance (T, N, bands), as a shorter or longer vocal tract does, and mask some.

    Source:
        N. Jaitly & G. Hinton, "Vocal tract length perturbation improves speech recognition" (2013), here along the
        mel scale; D. S. Park et al., "SpecAugment" (2019), whose masks of times short words do not survive.
    """
    bands = x.shape[2]
    for n in range(x.shape[1]):
        places = np.clip(np.arange(bands) * random.uniform(1 - TRACT, 1 + TRACT), 0, bands - 1)
        low = np.minimum(places.astype(int), bands - 2)
        share = torch.from_numpy((places - low).astype(np.float32))
        x[:, n] = x[:, n, low] * (1 - share) + x[:, n, low + 1] * share
        width = int(random.integers(0, int(BANDS * bands) + 1))
        start = int(random.integers(0, bands - width + 1))
        x[:, n, start : start + width] = 0
