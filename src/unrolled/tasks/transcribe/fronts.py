"""Fronts: from samples of 16 bits to what the layers read."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Spectra:
    """Log-mel spectra of sound from -1 to 1, in units of the training part.

    Fields:
        mean, scale: of each band there.
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
        mean, scale = (torch.from_numpy(one).to(samples) for one in (self.mean, self.scale))
        return (self.mel(samples) - mean) / scale


@dataclass(frozen=True)
class Currents:
    """The current of each read, by its own median and spread; every sample is a frame."""

    rate: int
    unit: float = 1 / 4096
    width: int = 1

    def frames(self, samples: Tensor) -> Tensor:
        return samples

    def __call__(self, samples: Tensor) -> Tensor:
        return samples[..., None]

    def normed(self, current: np.ndarray) -> np.ndarray:
        """Samples of 16 bits for currents in any unit.

        Equation::

            z_t = (x_t - median(x)) / (1.4826 median|x - median(x)|)        cut at 7.99 either way

        >>> Currents(4000).normed(np.array([1.0, 2.0, 3.0, 4.0, 90.0])).tolist()
        [-5525, -2763, 0, 2763, 32727]
        """
        middle = np.median(current)
        spread = 1.4826 * np.median(np.abs(current - middle))
        z = (current - middle) / max(float(spread), 1e-6)
        return np.rint(np.clip(z, -7.99, 7.99) / self.unit).astype(np.int16)
