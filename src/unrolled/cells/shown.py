"""Showing: for a while one thread sees other members of a module, and all other threads its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

_lock = threading.Lock()


class _Table(MutableMapping, dict):  # type: ignore[misc, metaclass]
    """A module's table of parameters, buffers or modules, of which threads may see versions of their own."""

    def __init__(self, own: dict[str, Any]) -> None:
        super().__init__()
        self.own = own
        self.versions: dict[int, list[dict[str, Any]]] = {}

    def _seen(self) -> dict[str, Any]:
        versions = self.versions.get(threading.get_ident())
        return versions[-1] if versions else self.own

    def __getitem__(self, name: str) -> Any:
        return self._seen()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._seen()[name] = value

    def __delitem__(self, name: str) -> None:
        del self._seen()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen())

    def __len__(self) -> int:
        return len(self._seen())

    def copy(self) -> dict[str, Any]:
        return dict(self._seen())

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return dict, (self.copy(),)


@contextmanager
def shown(places: Sequence[tuple[nn.Module, str, Mapping[str, Any]]]) -> Iterator[None]:
    """Inside, this thread sees other members: (module, which of its tables, members by name) each.

    What this thread writes to these tables is gone afterwards.
    """
    thread = threading.get_ident()
    entered: list[tuple[nn.Module, str, _Table]] = []
    try:
        for module, name, members in places:
            with _lock:
                table = module.__dict__[name]
                if not isinstance(table, _Table):
                    table = module.__dict__[name] = _Table(table)
                table.versions.setdefault(thread, []).append({**table.copy(), **members})
                entered.append((module, name, table))
        yield
    finally:
        for module, name, table in reversed(entered):
            with _lock:
                table.versions[thread].pop()
                if not table.versions[thread]:
                    del table.versions[thread]
                if not table.versions and module.__dict__[name] is table:
                    module.__dict__[name] = table.own
