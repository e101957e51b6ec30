"""States are tensors in nested tuples: one tuple a layer, one entry a state of its cell."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
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


def joined(states: Sequence[Any]) -> Any:
    """States of several batches as that of one, in their order: the other way of `select`."""
    parts = [list(tensors(state)) for state in states]
    return nested_as(nesting(states[0]), [torch.cat(own) for own in zip(*parts, strict=True)])


def tensors(state: Any) -> Iterator[Tensor]:
    """The tensors of a state, in order."""
    if isinstance(state, Tensor):
        yield state
    elif state is not None:
        for part in state:
            yield from tensors(part)


def nesting(state: Any) -> Any:
    """How the tensors of a state are nested: lists, with their numbers in the order of `tensors`.

    >>> nesting(((torch.zeros(2), torch.zeros(2)), (), None))
    [[0, 1], [], None]
    """
    numbers = itertools.count()

    def nested(part: Any) -> Any:
        if part is None or isinstance(part, Tensor):
            return None if part is None else next(numbers)
        return [nested(each) for each in part]

    return nested(state)


def nested_as(nesting: Any, values: Sequence[Tensor]) -> Any:
    """The state whose `nesting` this is, with these tensors; KeyError, IndexError or TypeError where it is none."""
    if nesting is None:
        return None
    if isinstance(nesting, list):
        return tuple(nested_as(part, values) for part in nesting)
    return values[nesting]


def is_finite(state: Any) -> bool:
    """Whether every number of the state is finite."""
    return all(bool(torch.isfinite(s).all()) for s in tensors(state))
