"""Modes: training or evaluation, of each module, for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from torch import nn

Modes = Mapping[nn.Module, bool]


def modes(module: nn.Module) -> Modes:
    """Which of the modules in ``module`` are in training."""
    return {part: part.training for part in module.modules()}


@contextmanager
def in_modes(wanted: Modes) -> Iterator[None]:
    """Inside, the modules are in the modes ``wanted``."""
    before = {module: module.training for module in wanted}
    try:
        for module, training in wanted.items():
            module.training = training
        yield
    finally:
        for module, training in before.items():
            module.training = training


def evaluating(module: nn.Module) -> AbstractContextManager[None]:
    """Inside, all of ``module`` is in evaluation."""
    return in_modes(dict.fromkeys(module.modules(), False))
