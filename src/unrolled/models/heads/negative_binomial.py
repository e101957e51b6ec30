"""NegativeBinomial: counts whose variance exceeds their mean."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unrolled.cells.arguments import whole
from unrolled.models.heads.draws import gamma_quantile, poisson_quantile, tails
from unrolled.models.heads.head import Head, Target
from unrolled.models.heads.special import softplus, stirling_rest
from unrolled.models.philox import Numbers

_LARGEST = 600.0
"""Of the outputs: e^600 is a number in double precision, and e^710 is not."""


class NegativeBinomial(Head):
    """Counts 0, 1, 2, ..., independent of each other: sales, calls, notes in a bar.

    Equation::

        (a, b) = W_hy h + b_y      mean = exp(a)      size = exp(b)
        log p = sum_i log Gamma(k + size) - log Gamma(size) - log k! + size log(size / (size + mean))
                      + k log(mean / (size + mean))

    The variance is mean + mean^2 / size; a large size gives the Poisson distribution. exp is the usual link for
    counts: it lets a bounded h reach large means, and the gradient by a, (k - mean) size / (size + mean), stays
    moderate. Outputs beyond +-600 are taken as +-600. The probability is computed in double precision by a
    saddle-point form, which does not cancel for large counts and sizes as the plain formula does.

    Sampling takes two random numbers a count: a Gamma quantile, then the Poisson quantile with that mean. A
    temperature T takes both quantiles at Phi(sqrt(T) z), with z normal; 0 gives the median of the Poisson
    distribution whose mean is the median of the Gamma distribution.

    Shapes:
        h (..., H); outputs (..., 2 * width), all a first; targets (..., width) of whole numbers from 0, in any
        real type. Draws have the type of the outputs, in which float32 is exact up to 2^24.

    Raises:
        ValueError: counted targets that are not whole numbers from 0.

    Source:
        C. Loader, "Fast and accurate computation of binomial probabilities" (2000), for the idea of the
        saddle-point form; here its two deviances are summed, so that their largest terms cancel exactly.

    >>> head = NegativeBinomial(3, 1)
    >>> head.log_prob(torch.zeros(1, 2), torch.zeros(1, 1)).exp()  # mean 1, size 1
    tensor([0.5000])
    """

    def __init__(self, hidden_size: int, width: int) -> None:
        width = whole(type(self).__name__, "width", width)
        super().__init__(hidden_size, 2 * width, Target("floats", width))

    def describe(self, outputs: Tensor) -> dict[str, Tensor]:
        """``mean`` and ``size``, (..., width) each."""
        a, b = _logarithms(outputs)
        return {"mean": a.exp(), "size": b.exp()}

    def _check_values(self, targets: Tensor) -> None:
        bad = ~((targets >= 0) & (targets < math.inf) & (targets == targets.floor()))
        if bad.any():
            raise ValueError(f"{self._name}: a target is {targets[bad][0].item():g}, expected a whole number from 0")

    def _log_prob(self, outputs: Tensor, targets: Tensor) -> Tensor:
        a, b = _logarithms(outputs.double())
        return _log_mass(targets.double(), a, b).sum(-1).to(outputs.dtype)

    def _draw(self, outputs: Tensor, random: Numbers, temperature: float) -> Tensor:
        a, b = _logarithms(outputs)
        u, v = random.uniforms((*a.shape, 2)).unbind(-1)
        gamma = gamma_quantile(b.exp(), *tails(u, temperature))
        return poisson_quantile(gamma * (a - b).exp(), *tails(v, temperature))


def _logarithms(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Those of the mean and of the size."""
    a, b = outputs.clamp(-_LARGEST, _LARGEST).chunk(2, dim=-1)
    return a, b


def _log_mass(k: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """log p(k) for log mean a and log size b.

    With S the rest of Stirling's formula, r the size and m the mean, for k > 0::

        log(r / (2 pi k (r + k))) / 2 + S(r + k) - S(r) - S(k) + r log((r + k) / (r + m))
            + k log(m (r + k) / (k (r + m)))

    Both ratios are near 1 where p is large, and their logarithms are taken from their distance to 1.
    """
    none = k == 0
    k = torch.where(none, 1.0, k)
    r, mean = b.exp(), a.exp()
    log_sum, log_count = torch.logaddexp(a, b), (r + k).log()
    first = _log_near_one((k - mean) / (r + mean), log_count - log_sum)
    second = _log_near_one(r / (r + mean) * ((mean - k) / k), a - k.log() + log_count - log_sum)
    peak = (b - (2 * math.pi * k).log() - log_count) / 2 + stirling_rest(r + k) - stirling_rest(r) - stirling_rest(k)
    return torch.where(none, -r * softplus(a - b), peak + r * first + k * second)


def _log_near_one(distance: Tensor, otherwise: Tensor) -> Tensor:
    """log(1 + distance), which is also ``otherwise``: that is more accurate below 1/2."""
    near = distance > -0.5
    return torch.where(near, torch.log1p(torch.where(near, distance, 0.0)), otherwise)
