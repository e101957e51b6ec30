"""Heads of every kind with targets that they can have, for the tests of heads."""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.models import (
    NADE,
    Bernoulli,
    Gaussian,
    GaussianMixture,
    NegativeBinomial,
    Quantiles,
    Regression,
    Softmax,
    StudentT,
)
from unrolled.models.heads import Head

H = 4
LEVELS = (0.05, 0.3, 0.5, 0.6, 0.97)

MAKE = {
    "softmax": lambda width: Softmax(H, width + 2),
    "regression": lambda width: Regression(H, width),
    "bernoulli": lambda width: Bernoulli(H, width),
    "nade": lambda width: NADE(H, width, 3).double(),
    "gaussian": lambda width: Gaussian(H, width),
    "student-t": lambda width: StudentT(H, width),
    "negative-binomial": lambda width: NegativeBinomial(H, width),
    "quantiles": lambda width: Quantiles(H, LEVELS, width),
    "mixture": lambda width: GaussianMixture(H, 3, width),
}
"""Each takes a width; for Softmax it sets the number of symbols."""

DENSITIES = ("gaussian", "student-t", "mixture", "bernoulli", "nade", "negative-binomial", "softmax")
"""Those whose loss is -log p."""


def outputs_and_targets(head: Head, *positions: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random outputs in double precision, and targets drawn from the distribution."""
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(*positions, head.output_size, generator=generator, dtype=torch.float64)
    shape = head.target.shape(positions)
    if isinstance(head, Softmax):
        return outputs, torch.randint(head.output_size, shape, generator=generator)
    if isinstance(head, Bernoulli):
        return outputs, torch.randint(2, shape, generator=generator).double()
    if isinstance(head, NegativeBinomial):
        return outputs, torch.randint(20, shape, generator=generator).double()
    return outputs, 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
