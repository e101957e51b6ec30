"""Masking: for a while one thread sees other tensors in place of a module's parameters and buffers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

_TABLES = ("_parameters", "_buffers")
_lock = threading.RLock()


class _Masked(dict):
    """A module's table of tensors, which shows others to one thread, and to all others its own."""

    def __init__(self, own: Mapping[str, Any], masks: Mapping[int, Tensor]) -> None:
        super().__init__(own)
        self._masks, self._thread = masks, threading.get_ident()

    def _seen(self, value: Any) -> Any:
        return self._masks.get(id(value), value) if threading.get_ident() == self._thread else value

    def __getitem__(self, name: str) -> Any:
        return self._seen(super().__getitem__(name))

    def get(self, name: str, default: Any = None) -> Any:
        return self._seen(super().get(name, default))

    def values(self) -> Any:
        return {name: self._seen(value) for name, value in super().items()}.values()

    def items(self) -> Any:
        return {name: self._seen(value) for name, value in super().items()}.items()


@contextmanager
def masked(module: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, this thread sees ``tensors`` in place of the parameters and buffers of these names.

    The module itself is not changed: other threads may go on using it. What is tied is masked together, and a
    module that is reached by two names is masked once.
    """
    own = dict(module.named_parameters()) | dict(module.named_buffers())
    masks = {id(own[name]): tensor for name, tensor in tensors.items()}
    with _lock:
        places = [(part, name, part.__dict__[name]) for part in module.modules() for name in _TABLES]
        try:
            for part, name, table in places:
                part.__dict__[name] = _Masked(dict(table.items()), masks)
            yield
        finally:
            for part, name, table in places:
                part.__dict__[name] = table
