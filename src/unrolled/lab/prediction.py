"""Predicting what comes next in one long sequence: what Elman's experiments share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.lab.experiment import Setting
from unrolled.lab.predictor import Predictor, update

SETTINGS = (Setting("elman"), Setting("lstm"), Setting("gru"))

Loss = Callable[[Tensor, Tensor], Tensor]


def side_by_side(x: Tensor, count: int) -> Tensor:
    """One sequence (T, ...) as ``count`` streams (T // count, count, ...), each going on where it left off.

    >>> side_by_side(torch.arange(7), 2).tolist()
    [[0, 3], [1, 4], [2, 5]]
    """
    steps = len(x) // count
    return x[: steps * count].reshape(count, steps, *x.shape[1:]).transpose(0, 1)


def train(
    net: Predictor,
    inputs: Tensor,
    targets: Tensor,
    passes: int,
    window: int,
    rate: float,
    loss: Loss = F.binary_cross_entropy_with_logits,
    done: Callable[[dict[str, float]], bool] = lambda record: False,
    every: int = 1,
) -> list[dict[str, float]]:
    """Read the streams again and again, one update a window, states carried on from window to window.

    The learning rate of Adam falls linearly to zero over all passes. Elman's own procedure cut the gradient after
    one step; ours reaches back to the window's first.

    Shapes:
        inputs (T, N, D); targets (T, N, ...) as ``loss`` takes them.

    Arguments:
        passes: at most.
        window: steps between two updates.
        done: told of each ``every`` passes; it may add to the record, and true ends the training.

    Returns:
        One record each ``every`` passes: ``sequences``, the passes so far, and the mean ``loss`` since the last.
    """
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    curve: list[dict[str, float]] = []
    losses = []
    for k in range(1, passes + 1):
        state = None
        optimizer.param_groups[0]["lr"] = rate * (1 - (k - 1) / passes)
        for x, target in zip(inputs.split(window), targets.split(window), strict=True):
            y, _, state = net(x, state)
            state = tuple(s.detach() for s in state)
            losses.append(update(net, optimizer, loss(y, target)))
        if k % every == 0 or k == passes:
            curve.append({"sequences": k, "loss": float(np.mean(losses))})
            losses = []
            if done(curve[-1]):
                break
    return curve


@torch.no_grad()
def read(net: Predictor, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """What the trained network says, (T, N, outputs) before any squashing, and its hidden states (T, N, H)."""
    y, h, _ = net(inputs)
    return y, h


def root_mean_square(errors: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """The root of the mean square over these dimensions."""
    return errors.square().mean(dim).sqrt()
