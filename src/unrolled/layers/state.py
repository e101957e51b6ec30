"""States are tensors in nested tuples: one tuple a layer, one entry a state of its cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor


def map_state(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    """The same nesting with ``function`` applied to each tensor; None stays None."""
    if state is None:
        return None
    if isinstance(state, Tensor):
        return function(state)
    return tuple(map_state(function, part) for part in state)


def detach(state: Any) -> Any:
    """The state cut from its past: no gradient passes."""
    return map_state(Tensor.detach, state)


def select(state: Any, rows: Tensor) -> Any:
    """The states of some sequences of the batch, in the order of ``rows``."""
    return map_state(lambda s: s.index_select(0, rows), state)


def tensors(state: Any) -> Iterator[Tensor]:
    """The tensors of a state, in order."""
    if isinstance(state, Tensor):
        yield state
    elif state is not None:
        for part in state:
            yield from tensors(part)


def is_finite(state: Any) -> bool:
    """Whether every number of the state is finite."""
    return all(bool(torch.isfinite(s).all()) for s in tensors(state))
