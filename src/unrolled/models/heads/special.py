"""Functions that the densities need, accurate where the plain formula cancels or overflows; all differentiable."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

HALF_LOG_2PI = math.log(2 * math.pi) / 2

_SERIES = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
"""B_2n / (2n (2n - 1)), the coefficients of Stirling's series."""


def softplus(x: Tensor) -> Tensor:
    """log(1 + e^x). torch's threshold of 20 leaves an error of 1e-9; from 40 on the error is below rounding."""
    return F.softplus(x, threshold=40.0)


def stirling_rest(x: Tensor) -> Tensor:
    """What Stirling's formula leaves of log Gamma, for x > 0.

    Equation::

        log Gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2)

    From 10 on it is the series in 1/x, whose first neglected term is 2e-18 there.

    >>> stirling_rest(torch.tensor([1.0, 1e9]))
    tensor([8.1061e-02, 8.3333e-11])
    """
    far = x >= 10
    y, near = torch.where(far, x, 10.0), torch.where(far, 1.0, x)
    square = 1 / (y * y)
    series = torch.zeros_like(y)
    for coefficient in reversed(_SERIES):
        series = series * square + coefficient
    plain = torch.lgamma(near) - ((near - 0.5) * near.log() - near + HALF_LOG_2PI)
    return torch.where(far, series / y, plain)


def log_gamma_half_step(x: Tensor) -> Tensor:
    """log Gamma(x + 1/2) - log Gamma(x) - log(x) / 2, for x > 0, without the cancellation for large x."""
    return x * torch.log1p(0.5 / x) - 0.5 + stirling_rest(x + 0.5) - stirling_rest(x)
