"""Optimizers by name: torch's, and Muon."""

from __future__ import annotations

import torch
from torch import nn

from unrolled.training.muon import Muon, matrices


def make_optimizer(
    name: str, model: nn.Module, lr: float, weight_decay: float, momentum: float | None = None
) -> torch.optim.Optimizer:
    """Adam, AdamW, Muon, RMSprop or SGD of a model's parameters, fused where torch has it.

    Arguments:
        momentum: Nesterov's, of SGD; None for 0.9, 0 for plain gradient descent.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if name == "adam":
        return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay, fused=True)
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=True)
    if name == "muon":
        return Muon(parameters, lr, matrices(model), weight_decay)
    if name == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=lr, weight_decay=weight_decay, alpha=0.95, foreach=True)
    if name == "sgd":
        momentum = 0.9 if momentum is None else momentum
        nesterov = momentum > 0
        return torch.optim.SGD(parameters, lr, momentum, weight_decay=weight_decay, nesterov=nesterov, fused=True)
    raise ValueError(f"make_optimizer: there is no optimizer {name!r}")
