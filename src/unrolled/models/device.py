"""Where a model is."""

from __future__ import annotations

import torch
from torch import nn


def device_of(model: nn.Module) -> torch.device:
    """The device of a model's weights, which its inputs are to be brought to.

    Raises:
        ValueError: it is torch's meta device, which has shapes and no numbers.

    >>> device_of(unrolled.LSTM(4, 3))
    device(type='cpu')
    """
    device = next(model.parameters()).device
    if device.type == "meta":
        raise ValueError(
            f"{type(model).__name__}: its weights are on the meta device, which holds no numbers; load it again, "
            "or move its weights to a real device"
        )
    return device
