"""Fronts: from samples of 16 bits to what the layers read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from unrolled.tasks.transcribe.features import LogMel


class Front(Protocol):
    """What stands before the layers, without weights.

    Attributes:
        unit: what a sample of 1 stands for. rate: samples a second. width: numbers of a frame.
    """

    @property
    def unit(self) -> float: ...
    @property
    def rate(self) -> int: ...
    @property
    def width(self) -> int: ...

    def frames(self, samples: Tensor) -> Tensor:
        """How many frames so many samples have."""
        ...

    def __call__(self, samples: Tensor) -> Tensor:
        """The frames (T, N, width) of samples (S, N) in their units."""
        ...

    def shown(self, frames: Tensor) -> Tensor:
        """What of frames (..., width) people are to see."""
        ...


PRIOR = 20
"""Frames that the mean of the training part counts for, in the mean of a recording so far."""

Past = tuple[int, Tensor]
"""How many frames were heard, and their sum (N, bands)."""


@dataclass(frozen=True)
class Spectra:
    """Log-mel spectra of sound from -1 to 1, less the mean of the recording so far.

    Equation::

        z_t = (mel_t - mean) / scale        y_t = z_t - (z_1 + ... + z_t) / (PRIOR + t)

    What a voice, a room and a microphone do to all frames alike is taken away, and a stream has the frames of the
    whole recording.

    Fields:
        mean, scale: of each band in the training part.
    """

    mel: LogMel
    mean: np.ndarray
    scale: np.ndarray
    unit: float = 1 / 32768

    @property
    def rate(self) -> int:
        return self.mel.rate

    @property
    def width(self) -> int:
        return self.mel.bands

    def frames(self, samples: Tensor) -> Tensor:
        return self.mel.frames(samples)

    def __call__(self, samples: Tensor) -> Tensor:
        return self.after(samples, None)[0]

    def shown(self, frames: Tensor) -> Tensor:
        return frames

    def after(self, samples: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """The frames (T, N, width) of samples (S, N) that go on behind what was heard, and what was heard then."""
        mean, scale = (torch.from_numpy(one).to(samples) for one in (self.mean, self.scale))
        z = (self.mel(samples) - mean) / scale
        count, sums = (0, torch.zeros(z.shape[1:], dtype=torch.double)) if past is None else past
        so_far = sums + z.double().cumsum(0)
        t = torch.arange(count + 1, count + len(z) + 1, dtype=torch.double)
        return z - (so_far / (PRIOR + t)[:, None, None]).to(z), (count + len(z), so_far[-1])


WAVES = 5
"""Waves that are seen of a current, each of half the length of the one before; the first is as long as 8 spreads."""


@dataclass(frozen=True)
class Currents:
    """The current of each read, in units of its own, and waves of it; every sample is a frame.

    Equation::

        y_t = [z_t ; sin(2 pi 2^k z_t / 8) for k = 0 .. WAVES - 1 ; cos of the same]

    Levels of current that belong to different bases lie close together, and a network is slow to learn a function
    of one number that changes as fast; of its waves it is not.

    Source:
        M. Tancik et al., "Fourier features let networks learn high frequency functions in low dimensional domains"
        (2020).
    """

    rate: int
    unit: float = 1 / 4096
    width: int = 1 + 2 * WAVES

    def frames(self, samples: Tensor) -> Tensor:
        return samples

    def __call__(self, samples: Tensor) -> Tensor:
        z = samples[..., None]
        phase = z * (math.tau / 8 * 2.0 ** torch.arange(WAVES, device=z.device))
        return torch.cat([z, phase.sin(), phase.cos()], -1)

    def shown(self, frames: Tensor) -> Tensor:
        """The current itself (..., 1)."""
        return frames[..., :1]

    def normed(self, current: np.ndarray) -> np.ndarray:
        """Samples of 16 bits for currents in any unit.

        Equation::

            v_t = (x_t - median(x)) / (1.4826 median|x - median(x)|)        cut at 7.99 either way
            z_t = (v_t - mean(v)) / deviation(v)                            cut as well

        The first finds the unit, and takes away what is no current of bases. The second is steadier: over simulated
        reads of 1,000 bases of one genome, the median varies by 1.9 pA and the spread by 6.6 %, the mean by 1.2 pA
        and the deviation by 2.4 %.

        >>> Currents(4000).normed(np.array([1.0, 2.0, 3.0, 4.0, 90.0])).tolist()
        [-3227, -2414, -1601, -788, 8029]
        """
        middle = np.median(current)
        spread = 1.4826 * np.median(np.abs(current - middle))
        v = np.clip((current - middle) / max(float(spread), 1e-6), -7.99, 7.99)
        z = (v - v.mean()) / max(float(v.std()), 1e-6)
        return np.rint(np.clip(z, -7.99, 7.99) / self.unit).astype(np.int16)
