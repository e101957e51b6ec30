"""Exact draws from uniform numbers in double precision, by inverse distribution functions.

A uniform number u in [0, 1) has 53 bits. 0 stands for the interval [0, 2^-53) and is taken as its middle, so
that no quantile is infinite. Numbers above 1/2 are kept as 1 - u, which is exact, so that the upper tail is
as fine as the lower one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LEAST = 2.0**-54
_TINY = 1e-300
_LARGE = 1e5


def open_uniforms(u: Tensor) -> Tensor:
    """The same numbers without 0."""
    return u.clamp(min=_LEAST)


def normals(u: Tensor) -> Tensor:
    """Standard normal numbers: the inverse of the normal distribution function.

    >>> normals(torch.tensor([0.5, 0.975], dtype=torch.float64))
    tensor([0.0000, 1.9600], dtype=torch.float64)
    """
    return torch.special.ndtri(open_uniforms(u))


def tails(u: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The probability beyond each draw, on its own side, and whether that is the upper side.

    At a temperature T the draw is the quantile at Phi(sqrt(T) z), where z is normal: for a Gaussian, T
    multiplies the variance; at 0 every draw is the median.
    """
    u = open_uniforms(u)
    upper = u > 0.5
    beyond = torch.where(upper, 1 - u, u)
    if temperature != 1:
        z = math.sqrt(temperature) * torch.special.ndtri(beyond)
        beyond = torch.special.ndtr(z).clamp(min=_TINY)
    return beyond, upper


def gamma_quantile(shape: Tensor, beyond: Tensor, upper: Tensor) -> Tensor:
    """Quantiles of the Gamma distribution with this shape and scale 1.

    Up to a shape of 10^5 by Newton's method for the logarithm of the tail, within bounds. The distribution
    function is torch.special.gammainc, or gammaincc in the upper half; their relative error is below 1e-8. They
    lose their tails for larger shapes, where the expansion about the normal distribution has an error below 1e-8
    standard deviations.

    Shapes:
        all (...), of the same shape, in double precision.

    Source:
        bounds: g^r / Gamma(r + 1) >= P(r, g) below; B. Laurent and P. Massart, "Adaptive estimation of a quadratic
        functional by model selection" (2000), lemma 1, above. Expansion: E. A. Cornish and R. A. Fisher, "Moments
        and cumulants in the specification of distributions" (1938).

    >>> beyond, upper = tails(torch.tensor([0.75], dtype=torch.float64), 1.0)
    >>> gamma_quantile(torch.ones(1, dtype=torch.float64), beyond, upper)  # log 4
    tensor([1.3863], dtype=torch.float64)
    """
    z, root = _signed(beyond, upper), shape.sqrt()
    square = z * z
    found = shape + z * root + (square - 1) / 3 + z * (square - 7) / (36 * root)
    found = found - ((3 * square + 7) * square - 16) / (810 * shape)
    small = shape <= _LARGE
    found[small] = _gamma_by_newton(shape[small], beyond[small], upper[small])
    return found


def _gamma_by_newton(r: Tensor, beyond: Tensor, upper: Tensor) -> Tensor:
    """`gamma_quantile` for shapes up to 10^5, all (M,). Each ends after its own number of steps."""
    t = -torch.where(upper, beyond, 0.5).log()
    lower = ((torch.where(upper, 0.5, beyond).log() + torch.lgamma(r + 1)) / r).clamp(min=math.log(_TINY))
    higher = torch.maximum((r + (2 * r * t).sqrt() + t).log(), lower)
    cube = 1 - 1 / (9 * r) + _signed(beyond, upper) / (3 * r.sqrt())  # Wilson and Hilferty's approximation
    x = torch.where(cube > 0, r.log() + 3 * cube.clamp(min=_TINY).log(), lower).clamp(lower, higher)
    found, going = x.exp(), torch.arange(len(r))
    for _ in range(64):
        g = x.exp()
        tail = _gamma_tail(r, g, upper)
        short = (tail < beyond) ^ upper
        lower, higher = torch.where(short, x, lower), torch.where(short, higher, x)
        slope = (r * x - g - torch.lgamma(r)).exp() / tail
        step = torch.where(upper, -1.0, 1.0) * (beyond / tail).log() / slope
        following = torch.where((x + step > lower) & (x + step < higher), x + step, (lower + higher) / 2)
        found[going] = following.exp()
        keep = (following - x).abs() > 1e-15 * x.abs().clamp(min=1)
        if not keep.any():
            break
        x = following
        x, r, beyond, upper, lower, higher, going = (v[keep] for v in (x, r, beyond, upper, lower, higher, going))
    return found


def _gamma_tail(r: Tensor, g: Tensor, upper: Tensor) -> Tensor:
    """P(G > g) where ``upper``, and P(G < g) elsewhere."""
    tail = torch.empty_like(g)
    tail[upper] = torch.special.gammaincc(r[upper], g[upper])
    tail[~upper] = torch.special.gammainc(r[~upper], g[~upper])
    return tail


def poisson_quantile(mean: Tensor, beyond: Tensor, upper: Tensor) -> Tensor:
    """Quantiles of the Poisson distribution: the first k with P(K <= k) > u.

    Up to a mean of 10^5 by bisection; P(K <= k) is torch.special.gammaincc(k + 1, mean). Above, by an expansion
    about the normal distribution. See `gamma_quantile` for the errors.

    Shapes:
        all (...), of the same shape, in double precision.

    Source:
        bounds: Chernoff's and Bernstein's inequalities for a Poisson sum. Expansion: M. B. Giles, "Algorithm 955:
        Approximation of the inverse Poisson cumulative distribution function" (2016).

    >>> beyond, upper = tails(torch.tensor([0.5], dtype=torch.float64), 1.0)
    >>> poisson_quantile(torch.full((1,), 2.0, dtype=torch.float64), beyond, upper)
    tensor([2.], dtype=torch.float64)
    """
    z, root = _signed(beyond, upper), mean.clamp(min=1).sqrt()
    square = z * z
    found = mean + z * root + (2 + square) / 6 - z * (2 + square) / (72 * root)
    found = (found + ((3 * square + 7) * square - 16) / (810 * root * root)).floor().clamp(min=0)
    small = mean <= _LARGE
    found[small] = _poisson_by_bisection(mean[small], beyond[small], upper[small])
    return found


def _poisson_by_bisection(mean: Tensor, beyond: Tensor, upper: Tensor) -> Tensor:
    """`poisson_quantile` for means up to 10^5, all (M,)."""
    t_low, t_high = -torch.where(upper, 0.5, beyond).log(), -torch.where(upper, beyond, 0.5).log()
    lower = (mean - (2 * mean * t_low).sqrt()).floor().sub(1).clamp(min=-1)  # P(K <= lower) <= u
    higher = (mean + (2 * mean * t_high).sqrt() + t_high).ceil() + 1
    while (higher - lower > 1).any():
        middle = ((lower + higher) / 2).floor()
        tail = _gamma_tail(middle + 1, mean, ~upper)  # P(K <= middle) or, where u is above 1/2, P(K > middle)
        low = torch.where(upper, tail >= beyond, tail <= beyond) | (middle == lower)
        lower, higher = torch.where(low, middle, lower), torch.where(low, higher, middle)
    return higher


def _signed(beyond: Tensor, upper: Tensor) -> Tensor:
    """The normal number of a tail."""
    z = torch.special.ndtri(beyond)
    return torch.where(upper, -z, z)
