"""torch.optim's optimizers by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from unrolled.training.muon import Muon


def make_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter],
    lr: float,
    weight_decay: float,
    momentum: float | None = None,
    matrices: Mapping[nn.Parameter, int] | None = None,
) -> torch.optim.Optimizer:
    """Adam, AdamW, Muon, RMSprop or SGD, fused where torch has it.

    Arguments:
        momentum: Nesterov's, of SGD; None for 0.9, 0 for plain gradient descent.
        matrices: those of Muon; see there.
    """
    parameters = list(parameters)
    if name == "adam":
        return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay, fused=True)
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=True)
    if name == "muon":
        return Muon(parameters, lr, matrices or {}, weight_decay)
    if name == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=lr, weight_decay=weight_decay, alpha=0.95, foreach=True)
    if name == "sgd":
        momentum = 0.9 if momentum is None else momentum
        nesterov = momentum > 0
        return torch.optim.SGD(parameters, lr, momentum, weight_decay=weight_decay, nesterov=nesterov, fused=True)
    raise ValueError(f"make_optimizer: there is no optimizer {name!r}")
