"""NADE: keys that are down or up together, such as the notes of a chord."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.arguments import whole
from unrolled.models.heads.bernoulli import Bernoulli
from unrolled.models.heads.head import Head, Target
from unrolled.models.heads.softmax import draw_symbols
from unrolled.models.philox import Numbers

_POSITIONS = 4096
"""So many positions are worked on at once."""
_NEVER = -1e100


class NADE(Bernoulli):
    """Keys, each down (1) or up (0), where each depends on those below it.

    Equation::

        (b, c) = W_hy h + b_y      a_i = c + sum_{j<i} v_j W_j      p(v_i = 1 | v_{<i}) = s(b_i + V_i s(a_i))
        log p(v) = sum_i log p(v_i | v_{<i})

    with s the logistic sigmoid. The sum is exact. As a_i changes only behind a key that is down, it is computed once
    for each of those and once before them, not once for each of the ``width`` keys.

    Sampling goes from key to key that is down: of the keys above the last one, which is the next, or is there none?
    Its probability is a product of the conditional ones, p(v_i = 1) times p(v_j = 0) for those between. The choice is
    that of `Chooser`, so that a temperature below 1 favours the likely notes rather than silence; 0 takes the most
    likely next key each time. A draw takes ``width`` random numbers a position.

    Shapes:
        h (..., H); outputs (..., width + units): b, then c; targets (..., width) of 0 and 1, of any real type or
        bool. W and V (width, units).

    Arguments:
        width: the number of keys.
        units: of a.

    Cost:
        (1 + keys down) * (width + 2 * units) floats a position, for the gradient.

    Raises:
        ValueError: counted targets that are neither 0 nor 1.

    Source:
        H. Larochelle & I. Murray, "The neural autoregressive distribution estimator" (2011), equations 6 and 7;
        behind a recurrent network: N. Boulanger-Lewandowski, Y. Bengio & P. Vincent, "Modeling temporal dependencies
        in high-dimensional sequences" (2012), section 5.

    >>> head = NADE(3, 88, units=16)
    >>> total, count = head.loss(head(torch.zeros(5, 2, 3)), torch.zeros(5, 2, 88))
    >>> count
    10
    """

    def __init__(self, hidden_size: int, width: int, units: int) -> None:
        name = type(self).__name__
        width, units = whole(name, "width", width), whole(name, "units", units)
        Head.__init__(self, hidden_size, width + units, Target("floats", width))
        self.units = units
        self.W = nn.Parameter(nn.init.xavier_uniform_(torch.empty(width, units)))
        self.V = nn.Parameter(nn.init.xavier_uniform_(torch.empty(width, units)))

    def describe(self, outputs: Tensor) -> dict[str, Tensor]:
        """``bias`` (..., width) of the keys and ``context`` (..., units), b and c of the equation."""
        b, c = self._parts(outputs)
        return {"bias": b, "context": c}

    def conditionals(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The logits of p(v_i = 1 | v_{<i}) (..., width), given the targets below each key."""
        b, c = (part.reshape(-1, part.shape[-1]) for part in self._parts(outputs))
        down = (targets != 0).reshape(b.shape)
        if not len(b):
            return b.reshape(targets.shape)
        stretches = zip(b.split(_POSITIONS), c.split(_POSITIONS), down.split(_POSITIONS), strict=True)
        return torch.cat([self._logits(*stretch) for stretch in stretches]).reshape(targets.shape)

    def _parts(self, outputs: Tensor) -> tuple[Tensor, ...]:
        return outputs.split((self.target.width, self.units), dim=-1)

    def _logits(self, b: Tensor, c: Tensor, down: Tensor) -> Tensor:
        """The logits for P positions: b (P, width), c (P, units), keys (P, width)."""
        before = down.cumsum(1) - down.long()  # (P, width), how many are down below each key
        counts = down.sum(1)
        stretch = torch.arange(int(counts.max()) + 1, device=c.device)  # between keys that are down
        passed = down[:, None] & (before[:, None] < stretch[:, None])
        passed = passed[stretch <= counts[:, None]]  # (R, width), the keys down below each stretch of each position
        a = torch.repeat_interleave(c, counts + 1, dim=0) + passed.to(c.dtype) @ self.W.to(c.dtype)
        first = (counts + 1).cumsum(0) - counts - 1
        return b + (a.sigmoid() @ self.V.to(c.dtype).T).gather(0, first[:, None] + before)

    def _log_prob(self, outputs: Tensor, targets: Tensor) -> Tensor:
        y = self.conditionals(outputs, targets)
        return F.logsigmoid(torch.where(targets != 0, y, -y)).sum(-1)

    def _draw(self, outputs: Tensor, random: Numbers, temperature: float) -> Tensor:
        K = self.target.width
        u = random.uniforms((*outputs.shape[:-1], K)).reshape(-1, K)
        b, a = (part.reshape(-1, part.shape[-1]).clone() for part in self._parts(outputs))
        W, V = self.W.detach().cpu().double(), self.V.detach().cpu().double()
        drawn, lowest, open_ = torch.zeros_like(b), torch.zeros(len(b), dtype=torch.long), torch.arange(len(b))
        for k in range(K):
            y = b[open_] + a[open_].sigmoid() @ V.T
            above = torch.arange(K) >= lowest[open_, None]
            up = torch.where(above, F.logsigmoid(-y), 0.0).cumsum(1)
            next_ = torch.where(above, F.logsigmoid(y) + F.pad(up, (1, -1)), _NEVER)
            chosen = draw_symbols(torch.cat([next_, up[:, -1:]], 1), u[open_, k], temperature)
            open_, chosen = open_[chosen < K], chosen[chosen < K]
            drawn[open_, chosen] = 1
            a[open_] += W[chosen]
            lowest[open_] = chosen + 1
            if not len(open_):
                break
        return drawn.reshape(*outputs.shape[:-1], K)

    def extra_repr(self) -> str:
        return f"units={self.units}"
