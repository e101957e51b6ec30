"""Bernoulli: keys that are down or up, independently of each other."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.cells.arguments import whole
from unrolled.models.heads.head import Head, Target
from unrolled.models.philox import Numbers


class Bernoulli(Head):
    """Independent keys, each down (1) or up (0): one step of a piano roll, for example.

    Equation::

        y = W_hy h + b      p(key_i = 1) = s(y_i)      log p = sum_i log s(y_i) or log s(-y_i)

    with s the logistic sigmoid. Sampling takes one random number a key: it is down where u < s(y_i / temperature);
    temperature 0 takes the more likely value, and up for y_i = 0.

    Shapes:
        h (..., H); outputs (..., width); targets (..., width) of 0 and 1 in any real type, or bool.

    Raises:
        ValueError: counted targets that are neither 0 nor 1.

    >>> head = Bernoulli(3, 88)
    >>> total, count = head.loss(torch.zeros(5, 2, 88), torch.zeros(5, 2, 88))
    >>> bool(abs(total / count - 88 * np.log(2)) < 1e-4), count
    (True, 10)
    """

    _takes_bool = True

    def __init__(self, hidden_size: int, width: int) -> None:
        width = whole(type(self).__name__, "width", width)
        super().__init__(hidden_size, width, Target("floats", width))

    def describe(self, outputs: Tensor) -> dict[str, Tensor]:
        """``probability`` (..., width) of 1."""
        return {"probability": outputs.sigmoid()}

    def _check_values(self, targets: Tensor) -> None:
        bad = (targets != 0) & (targets != 1)
        if bad.any():
            raise ValueError(f"{self._name}: a target is {targets[bad][0].item():g}, expected 0 or 1")

    def _log_prob(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.logsigmoid(torch.where(targets != 0, outputs, -outputs)).sum(-1)

    def _draw(self, outputs: Tensor, random: Numbers, temperature: float) -> Tensor:
        u = random.uniforms(outputs.shape)
        if temperature == 0:
            return (outputs > 0).double()
        return (u < (outputs / temperature).sigmoid()).double()
