"""What tracing gives: a program, and the tensors that are computed from parameters before it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_map

from unrolled.compiler.program import Program

Widths = tuple[int | tuple[int, ...], ...]
"""Of each constant of a cell: the width of (N, width), or the shape (K, A) of a grid (N, K, A)."""


class UnsupportedError(Exception):
    """The compiler cannot take this cell: which operation, and where it stands."""

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(f"{reason}{f' ({where})' if where else ''}")


@dataclass(frozen=True)
class Derived:
    """A tensor computed from parameters alone, such as a masked matrix: made before the scan, by torch.

    Parts of it are known by their places in a contiguous tensor, whatever layout ``function`` gives; ``is_view``
    says that it shares the memory of an argument, and is only a step on the way to others.
    """

    name: str
    function: Callable[..., Any]
    args: tuple
    kwargs: dict[str, Any]
    is_view: bool


@dataclass(frozen=True)
class Traced:
    """A cell's program, and what has to be computed from its parameters first."""

    program: Program
    derived: tuple[Derived, ...] = ()
    lines: Mapping[str, str] = field(default_factory=dict)
    """Where the equation makes each value that it names."""

    def named(self, named: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of ``program.parameters`` by name, from the cell's own."""
        known: dict[str, Any] = {name: p.contiguous() for name, p in named.items()} if self.derived else dict(named)
        for node in self.derived:
            args, kwargs = tree_map(lambda a: known[a.name] if isinstance(a, Ref) else a, (node.args, node.kwargs))
            made = node.function(*args, **kwargs)
            known[node.name] = made if node.is_view else made.contiguous()
        return {name: known[name] for name, _ in self.program.parameters}


@dataclass(frozen=True)
class Ref:
    """A parameter, or a derived tensor, as an argument."""

    name: str


class Pick:
    """One of the results of a function that has several."""

    def __init__(self, function: Callable[..., Any], index: int) -> None:
        self._function, self._index = function, index

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)[self._index]
