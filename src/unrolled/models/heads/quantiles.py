"""Quantiles: some levels of the distribution of a number, without a shape given beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from unrolled.cells.arguments import whole
from unrolled.models.heads.draws import tails
from unrolled.models.heads.head import Head, Target, positive
from unrolled.models.heads.special import softplus
from unrolled.models.philox import Numbers


class Quantiles(Head):
    """The quantiles of numbers at given levels; the loss is the pinball loss.

    Equation::

        (m, g_1, ..., g_{Q-1}) = W_hy h + b      gap_i = softplus(g_i) + floor > 0
        q_{i+1} = q_i + gap_i, with q = m at the middle level        so that the quantiles increase
        loss = sum_i max(level_i (target - q_i), (level_i - 1) (target - q_i))

    The distribution that `log_prob` and `sample` use interpolates linearly between the levels, so that the
    density is constant there. Outside, it falls off exponentially, at the rate that joins the density without a
    jump at the outermost level::

        d_i = (level_{i+1} - level_i) / gap_i                                     q_i <= target < q_{i+1}
        d_1 exp(-(q_1 - target) d_1 / level_1)                                    target < q_1
        d_{Q-1} exp(-(target - q_Q) d_{Q-1} / (1 - level_Q))                      target >= q_Q

    -log p differs from the loss, which trains the quantiles whatever the shape between them.

    Sampling takes one random number for each number drawn, through the inverse of this distribution function.
    A temperature T takes the quantile at Phi(sqrt(T) z), with z normal; 0 gives the median.

    Arguments:
        levels: two or more, increasing, in (0, 1).
        width: numbers for each position, independent of each other; the loss is their sum.
        floor: the smallest gap, in the unit of the targets, which keeps the density finite.

    Shapes:
        h (..., H); outputs (..., width * Q), for each number m and then g; targets (..., width).

    Raises:
        ValueError: levels, a width or a floor out of range.

    Source:
        the loss: R. Koenker and G. Bassett, "Regression quantiles", Econometrica 46 (1978).

    >>> head = Quantiles(3, (0.1, 0.5, 0.9))
    >>> q = head.describe(head(torch.randn(5, 2, 3)))["quantiles"]
    >>> q.shape, bool((q.diff() > 0).all())
    (torch.Size([5, 2, 1, 3]), True)
    """

    def __init__(self, hidden_size: int, levels: Sequence[float], width: int = 1, floor: float = 1e-4) -> None:
        name = type(self).__name__
        levels, width = _checked_levels(name, levels), whole(name, "width", width)
        super().__init__(hidden_size, width * len(levels), Target("floats", width))
        self.levels = levels
        self.floor = positive(name, "floor", floor)
        self._middle = min(range(len(self.levels)), key=lambda i: abs(self.levels[i] - 0.5))

    def describe(self, outputs: Tensor) -> dict[str, Tensor]:
        """``quantiles`` (..., width, Q)."""
        return {"quantiles": self._quantiles(outputs)[0]}

    def _quantiles(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """The quantiles (..., width, Q) and the gaps between them (..., width, Q - 1)."""
        each = outputs.unflatten(-1, (self.target.width, len(self.levels)))
        middle, gaps = each[..., :1], softplus(each[..., 1:]) + self.floor
        below = gaps[..., : self._middle].flip(-1).cumsum(-1).flip(-1)
        above = gaps[..., self._middle :].cumsum(-1)
        return torch.cat([middle - below, middle, middle + above], dim=-1), gaps

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        above = targets.unsqueeze(-1) - self._quantiles(outputs)[0]
        levels = outputs.new_tensor(self.levels)
        return torch.maximum(levels * above, (levels - 1) * above).sum()

    def _log_prob(self, outputs: Tensor, targets: Tensor) -> Tensor:
        q, gaps = self._quantiles(outputs)
        levels = outputs.new_tensor(self.levels)
        logs = levels.diff().log() - gaps.log()
        part = ((targets.unsqueeze(-1) >= q).sum(-1, keepdim=True) - 1).clamp(0, len(self.levels) - 2)
        below = (q[..., 0] - targets).relu() * logs[..., 0].exp() / levels[0]
        above = (targets - q[..., -1]).relu() * logs[..., -1].exp() / (1 - levels[-1])
        return (logs.gather(-1, part).squeeze(-1) - below - above).sum(-1)

    def _draw(self, outputs: Tensor, random: Numbers, temperature: float) -> Tensor:
        q, gaps = self._quantiles(outputs)
        levels = outputs.new_tensor(self.levels)
        beyond, upper = tails(random.uniforms(q.shape[:-1]), temperature)
        u, rest = torch.where(upper, 1 - beyond, beyond), torch.where(upper, beyond, 1 - beyond)
        slopes = gaps / levels.diff()
        part = ((u.unsqueeze(-1) >= levels).sum(-1, keepdim=True) - 1).clamp(0, len(self.levels) - 2)
        inside = (q.gather(-1, part) + (u.unsqueeze(-1) - levels[part]) * slopes.gather(-1, part)).squeeze(-1)
        below = q[..., 0] + levels[0] * slopes[..., 0] * (u / levels[0]).log()
        above = q[..., -1] - (1 - levels[-1]) * slopes[..., -1] * (rest / (1 - levels[-1])).log()
        return torch.where(u < levels[0], below, torch.where(u >= levels[-1], above, inside))

    def extra_repr(self) -> str:
        return f"levels={self.levels}, floor={self.floor:g}"


def _checked_levels(name: str, levels: Sequence[float]) -> tuple[float, ...]:
    try:
        made = tuple(float(level) for level in levels)
    except (TypeError, ValueError):
        made = ()
    if len(made) < 2 or not all(a < b for a, b in zip((0.0, *made), (*made, 1.0), strict=True)):
        raise ValueError(f"{name}: levels must be two or more increasing numbers in (0, 1), got {levels!r}")
    return made
