"""Backpropagation through time over one window: full, truncated, and with a window that slides."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unrolled.layers.state import detach
from unrolled.models.model import Model
from unrolled.training.streams import Window


def window_loss(model: Model, window: Window, state: Any) -> tuple[Tensor, int, Any]:
    """The losses of one window and the states at which the next one begins.

    Equation::

        h_t = stack(x_t, h_{t-1}) over the window, from the given states, which carry no gradient;
        loss = sum over the last ``counted`` steps

    So the gradient of each loss reaches back to the window's first step and stops there. With a window
    longer than the update step (R. Williams & J. Peng 1990: BPTT(h; h')), the window is recomputed with
    today's weights from the states that were stored at its start.

    Returns:
        The sum of the losses (nats), their number, and the states ``window.advance`` steps on, detached.
    """
    state = None if state is None else detach(state)
    x = model.encoder(window.inputs)
    if window.advance == len(x):
        h, state = model.unroll(x, state)
        following = state
    elif window.advance == 0:
        h, following = model.unroll(x, state)[0], state
    else:
        before, following = model.unroll(x[: window.advance], state)
        after, _ = model.unroll(x[window.advance :], following)
        h = torch.cat([before, after])
    scores = model.read(h[-window.counted :])
    total, count = model.head.loss(scores, window.targets[-window.counted :])
    return total, count, None if following is None else detach(following)
