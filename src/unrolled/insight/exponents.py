"""Lyapunov exponents: how fast small differences, and gradients, grow along a trajectory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.insight.dynamics import dynamics
from unrolled.insight.opening import plain


@dataclass(frozen=True)
class Lyapunov:
    """The largest exponents of a network that is driven by a sequence.

    Fields:
        exponents: largest first (k,), the mean over sequences.
        each: of each sequence (N, k).
        running: the estimate after 1, 2, ... of the steps that count (steps, k), the mean over sequences.
        steps: how many counted.
        skipped: steps at each end that did not.

    Units:
        1/steps, of the natural logarithm: at -0.1 a gradient halves in 6.9 steps.
    """

    exponents: np.ndarray
    each: np.ndarray
    running: np.ndarray
    steps: int
    skipped: int

    def as_json(self) -> dict[str, Any]:
        """Everything as numbers and lists; minus infinity is None."""
        return plain({name: getattr(self, name) for name in ("exponents", "each", "running", "steps", "skipped")})

    def __str__(self) -> str:
        largest = float(self.exponents[0])
        if abs(largest) < 1e-12 or not math.isfinite(largest):
            return f"largest exponent {largest:+.3f} per step"
        word = "double" if largest > 0 else "halve"
        return (
            f"largest exponent {largest:+.4f} per step: differences {word} in {math.log(2) / abs(largest):,.1f} steps"
        )


def lyapunov(
    model: nn.Module,
    x: Tensor,
    count: int = 4,
    *,
    layer: int | None = None,
    skip: int | None = None,
    state: Any = None,
) -> Lyapunov:
    """The largest Lyapunov exponents, along the states that the inputs ``x`` lead a network through.

    Equation::

        lambda_i = lim 1/T log sigma_i(J_T ... J_1)        Q_{t-1} R_t = J_t^T Q_t        lambda_i = mean log |R_t,ii|

    The product is followed backward in time, as the gradient is, with one QR decomposition a step; its singular
    values, and so the exponents, are those of the way forward. The largest one is the slope that the log norm of a
    gradient has in the long run.

    Shapes:
        x: symbols (T, N) or vectors (T, N, D), as the model takes them; one sequence also without its N.

    Arguments:
        model: a `Model`, `Stack`, `LSTM`, `GRU`, `Elman` or `Recurrent`, of any cells, in one direction.
        count: how many exponents; at most as many as there are numbers of state.
        layer: from 1; None for the states of all layers together.
        skip: steps at the beginning, until the states are where the inputs keep them, and at the end, until Q is
            turned; None for a tenth of them each.
        state: before the first step; one entry a layer, for a single layer its own.

    Cost:
        ``count`` forward and backward steps for each step of each sequence.

    Raises:
        ValueError: layers that run both ways, an argument that does not fit, or no steps left to count.

    Source:
        G. Benettin, L. Galgani, A. Giorgilli & J.-M. Strelcyn (1980); for recurrent networks R. Vogt, M. Puelma
        Touzel, E. Shlizerman & G. Lajoie, "On Lyapunov exponents for RNNs" (2022).

    >>> halving = unrolled.ElmanCell(1, 3)
    >>> halving.h.weight.data = torch.eye(3) / 2
    >>> found = lyapunov(unrolled.Recurrent(halving), torch.zeros(50, 1, 1), count=2)
    >>> found.exponents.round(4).tolist()
    [-0.6931, -0.6931]
    """
    who = "lyapunov"
    if type(count) is not int or count < 1:
        raise ValueError(f"{who}: count must be an integer of at least 1, got {count!r}")
    system = dynamics(who, model, x, state, layer)
    T, N, S = len(system.x), system.x.shape[1], system.size
    skip = T // 10 if skip is None else skip
    if type(skip) is not int or skip < 0 or T - 2 * skip < 1:
        raise ValueError(f"{who}: skip={skip!r} leaves none of the {T} steps to measure")
    k = min(count, S)
    generator = torch.Generator().manual_seed(0)
    q, _ = torch.linalg.qr(torch.randn(N, S, k, dtype=torch.float64, generator=generator))
    logs = torch.empty(T - 2 * skip, N, k, dtype=torch.float64)
    for t in range(T - 1, skip - 1, -1):
        q, r = torch.linalg.qr(system.pull(t, q.mT).mT)
        if (at := T - 1 - skip - t) >= 0:
            logs[at] = r.diagonal(dim1=1, dim2=2).abs().log()
    total = logs.cumsum(dim=0)
    running = (total / torch.arange(1, len(logs) + 1)[:, None, None]).mean(dim=1).numpy()
    each = (total[-1] / len(logs)).numpy()
    exponents = each.mean(axis=0)
    order = np.argsort(-exponents, kind="stable")
    return Lyapunov(exponents[order], each[:, order], running[:, order], len(logs), skip)
