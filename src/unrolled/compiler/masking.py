"""Masking: for a while one thread sees other tensors in place of a module's parameters and buffers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from unrolled.cells.shown import shown

_TABLES = ("_parameters", "_buffers")


@contextmanager
def masked(module: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, this thread sees ``tensors`` in place of the parameters and buffers of these names.

    The module itself is not changed: other threads may go on using it. What is tied is masked together, and a
    module that is reached by two names is masked once.
    """
    own = dict(module.named_parameters()) | dict(module.named_buffers())
    masks = {id(own[name]): tensor for name, tensor in tensors.items()}
    places = []
    for part in module.modules():
        for table in _TABLES:
            members = part.__dict__[table].items()
            places.append((part, table, {name: masks[id(t)] for name, t in members if id(t) in masks}))
    with shown(places):
        yield
