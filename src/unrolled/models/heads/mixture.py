"""GaussianMixture: numbers with several peaks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unrolled.cells.arguments import whole
from unrolled.models.heads.draws import normals
from unrolled.models.heads.gaussian import normal_log_prob
from unrolled.models.heads.head import Head, Target, positive
from unrolled.models.heads.softmax import draw_symbols
from unrolled.models.heads.special import softplus
from unrolled.models.philox import Numbers


class GaussianMixture(Head):
    """Vectors from one of K Gaussians, each with its own mean and its own scale for each number.

    Equation::

        (y_k, mean_k, a_k for k = 1 .. K) = W_hy h + b      w = softmax(y)      scale_k = softplus(a_k) + floor
        p(target) = sum_k w_k prod_i N(target_i; mean_ki, scale_ki^2)

    The floor is explained in `Gaussian`. The means start apart, at K quantiles of the standard normal
    distribution: components that start equal have equal gradients, and stay equal.

    Sampling takes 1 + width random numbers a position: the component by the rule of `Chooser`, then normal
    numbers. Temperature divides y and multiplies the variances; 0 gives the mean of the heaviest component.

    Shapes:
        h (..., H); outputs (..., K * (1 + 2 * width)): all y, all means, all a; targets (..., width).

    Raises:
        ValueError: a number of components, a width or a floor out of range.

    Source:
        C. Bishop, "Mixture density networks" (1994); with a recurrent network: A. Graves, "Generating sequences
        with recurrent neural networks" (2013).

    >>> head = GaussianMixture(3, components=4, width=2)
    >>> {name: tuple(p.shape) for name, p in head.describe(head(torch.zeros(5, 3))).items()}
    {'weight': (5, 4), 'mean': (5, 4, 2), 'scale': (5, 4, 2)}
    """

    def __init__(self, hidden_size: int, components: int, width: int, floor: float = 1e-4) -> None:
        name = type(self).__name__
        components, width = whole(name, "components", components), whole(name, "width", width)
        super().__init__(hidden_size, components * (1 + 2 * width), Target("floats", width))
        self.components = components
        self.floor = positive(name, "floor", floor)
        apart = torch.special.ndtri((torch.arange(components) + 0.5) / components)
        with torch.no_grad():
            self.map.bias[components : components * (1 + width)] = apart.repeat_interleave(width)

    def describe(self, outputs: Tensor) -> dict[str, Tensor]:
        """``weight`` (..., K), ``mean`` and ``scale`` (..., K, width)."""
        y, mean, scale = self._parts(outputs)
        return {"weight": torch.softmax(y, dim=-1), "mean": mean, "scale": scale}

    def _parts(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        K, width = self.components, self.target.width
        y, mean, a = outputs.split((K, K * width, K * width), dim=-1)
        return y, mean.unflatten(-1, (K, width)), softplus(a.unflatten(-1, (K, width))) + self.floor

    def _log_prob(self, outputs: Tensor, targets: Tensor) -> Tensor:
        y, mean, scale = self._parts(outputs)
        each = normal_log_prob(targets.unsqueeze(-2), mean, scale).sum(-1)
        return torch.logsumexp(torch.log_softmax(y, dim=-1) + each, dim=-1)

    def _draw(self, outputs: Tensor, random: Numbers, temperature: float) -> Tensor:
        y, mean, scale = self._parts(outputs)
        u = random.uniforms((*y.shape[:-1], 1 + self.target.width))
        k = draw_symbols(y, u[..., 0], temperature)[..., None, None].expand(*y.shape[:-1], 1, self.target.width)
        mean, scale = mean.gather(-2, k).squeeze(-2), scale.gather(-2, k).squeeze(-2)
        return mean + math.sqrt(temperature) * scale * normals(u[..., 1:])

    def extra_repr(self) -> str:
        return f"components={self.components}, floor={self.floor:g}"
