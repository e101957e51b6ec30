"""Log-mel spectra: how loud each band of pitch is, every 10 ms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

WINDOW, HOP = 0.025, 0.010
"""Seconds of a frame, and from one frame to the next."""
_LOWEST = 20.0
"""Hz, below which no band begins."""
_FLOOR = 1e-6
"""Added to the energy, so that silence has a logarithm."""
_AT_ONCE = 10_000
"""Frames whose spectra, which are much larger than what becomes of them, are in memory."""


@dataclass(frozen=True)
class LogMel:
    """The spectrum of each frame in bands that are as wide as the ear's.

    Equation::

        X_t = |FFT(hann * x[t hop : t hop + window])|^2        y_tk = log(10^-6 + sum_f M_kf X_tf)

    where band k is a triangle between frequencies that are evenly apart in mel = 2595 log10(1 + f / 700).
    A frame sees only samples before its end, so that a stream has the frames of the whole recording.

    Arguments:
        rate: samples a second. bands: how many, from 20 Hz to half the rate.

    Units:
        samples from -1 to 1; y natural logarithms of energies.

    Source:
        S. B. Davis & P. Mermelstein, "Comparison of parametric representations for monosyllabic word recognition"
        (1980), without the cosine transform; the mel scale is that of the HTK Book (2006), equation 5.13.

    >>> LogMel(8000, 40)(torch.zeros(1600, 2)).shape
    torch.Size([18, 2, 40])
    """

    rate: int
    bands: int

    @property
    def window(self) -> int:
        """Samples of a frame."""
        return round(WINDOW * self.rate)

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return round(HOP * self.rate)

    def frames(self, samples: Tensor) -> Tensor:
        """How many frames so many samples have; one that is shorter than a frame is filled up with silence.

        >>> LogMel(8000, 40).frames(torch.tensor([0, 1, 200, 279, 280])).tolist()
        [0, 1, 1, 1, 2]
        """
        whole = (samples - self.window).clamp(min=0) // self.hop + 1
        return whole * (samples > 0)

    def __call__(self, x: Tensor) -> Tensor:
        """The frames (T, N, bands) of samples (S, N)."""
        short = self.window - len(x)
        if short > 0:
            x = torch.nn.functional.pad(x, (0, 0, 0, short))
        pieces = x.unfold(0, self.window, self.hop)  # (T, N, window)
        size = 1 << math.ceil(math.log2(self.window))
        hann = torch.hann_window(self.window, periodic=False, dtype=x.dtype)
        triangles = self._triangles(size).to(x.dtype)
        made = []
        for some in pieces.split(max(1, _AT_ONCE // max(1, x.shape[1]))):
            energy = torch.fft.rfft(some * hann, n=size).abs().square()
            made.append((energy @ triangles + _FLOOR).log())
        return torch.cat(made)

    def _triangles(self, size: int) -> Tensor:
        """M of the equation, (size / 2 + 1, bands)."""
        mel = np.linspace(_mel(_LOWEST), _mel(self.rate / 2), self.bands + 2)
        edges = 700 * (10 ** (mel / 2595) - 1)
        f = np.arange(size // 2 + 1)[:, None] * self.rate / size
        low, middle, high = edges[:-2], edges[1:-1], edges[2:]
        rising, falling = (f - low) / (middle - low), (high - f) / (high - middle)
        return torch.from_numpy(np.maximum(0, np.minimum(rising, falling)))


def _mel(f: float) -> float:
    return 2595 * math.log10(1 + f / 700)
