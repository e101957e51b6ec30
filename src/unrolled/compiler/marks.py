"""Marks: what stands for each thing that an equation reads, so that a change of it is noticed."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

Undo = Callable[[], object]
_KEPT_BYTES = 1 << 16  # arrays up to this size are compared byte by byte, larger ones by a hash


class Mark(NamedTuple):
    """``read(owner)`` gave ``value``; ``undo`` puts it back."""

    read: Callable[[Any], Any]
    owner: Any
    value: Any
    label: str
    undo: Undo | None


class Marks:
    """A list of marks, and whether they still hold.

    Some are compared by identity, some by value, parameters and buffers by shape and number type; and some
    containers must keep their length.
    """

    def __init__(self) -> None:
        self.same: list[Mark] = []
        self.equal: list[Mark] = []
        self._learned: list[tuple[Mapping[str, Any], str, torch.Size, torch.dtype, str, Undo]] = []
        self.signature: list[Any] = []
        self._sized: list[Any] = []
        self._sizes: list[int] = []
        self._labels: list[tuple[str, Undo | None]] = []

    def __len__(self) -> int:
        return len(self.signature) + len(self._sized)

    def add(self, read: Callable, owner: Any, value: Any, label: str, undo: Undo | None = None) -> None:
        """A value that must stay the same object, or a number equal to it."""
        self.same.append(Mark(read, owner, value, label, undo))
        self.signature.append((label, token(value)))

    def add_equal(self, read: Callable, owner: Any, label: str, undo: Undo | None = None, sign: Any = None) -> None:
        """A value that must stay equal; ``sign`` stands for it in the signature."""
        value = read(owner)
        self.equal.append(Mark(read, owner, value, label, undo))
        self.signature.append((label, value if sign is None else sign))

    def add_learned(self, place: dict[str, Any], name: str, t: Tensor, label: str) -> None:
        """A parameter or buffer, whose numbers may change."""
        self._learned.append((place, name, t.shape, t.dtype, label, partial(place.__setitem__, name, t)))
        self.signature.append((label, t.shape, t.dtype))

    def add_size(self, container: Any, label: str, undo: Undo | None = None) -> None:
        """A container whose entries are marked one by one, and which must get no others."""
        self._sized.append(container)
        self._sizes.append(len(container))
        self._labels.append((label, undo))

    def hold(self) -> bool:
        """Whether nothing has changed. It is asked at every call of a layer."""
        try:
            for read, owner, value, _, _ in self.same:
                if read(owner) is not value:
                    return False
            for read, owner, value, _, _ in self.equal:
                if read(owner) != value:
                    return False
            for place, name, shape, dtype, _, _ in self._learned:
                t = place[name]
                if t.shape != shape or t.dtype is not dtype:
                    return False
        except (AttributeError, KeyError, ValueError):  # an attribute, a parameter or a variable is gone
            return False
        return [*map(len, self._sized)] == self._sizes

    def changed(self) -> dict[str, Undo | None]:
        """What has changed, by label."""
        found: dict[str, Undo | None] = {}
        for marks, differs in ((self.same, _is_other), (self.equal, _differs)):
            found |= {m.label: m.undo for m in marks if differs(m)}
        for place, name, shape, dtype, label, back in self._learned:
            t = place.get(name)
            if not isinstance(t, Tensor) or t.shape != shape or t.dtype is not dtype:
                found[label] = back
        for container, size, (label, undo) in zip(self._sized, self._sizes, self._labels, strict=True):
            if len(container) != size:
                found.setdefault(label, undo)
        return found

    def forget(self, labels: Iterable[str]) -> None:
        """Drop the marks of these labels: they change at every step."""
        dropped = set(labels)
        self.same = [m for m in self.same if m.label not in dropped]
        self.equal = [m for m in self.equal if m.label not in dropped]
        kept = [k for k, (label, _) in enumerate(self._labels) if label not in dropped]
        self._sized = [self._sized[k] for k in kept]
        self._sizes = [self._sizes[k] for k in kept]
        self._labels = [self._labels[k] for k in kept]
        self.signature = [s for s in self.signature if s[0] not in dropped]

    def settle(self) -> None:
        """Let go of what only `Undo` needs."""
        self.same = [m._replace(undo=None) for m in self.same]
        self.equal = [m._replace(undo=None) for m in self.equal]
        self._labels = [(label, None) for label, _ in self._labels]


def _is_other(mark: Mark) -> bool:
    value = _read(mark)
    return value is not mark.value and token(value) != token(mark.value)


def _differs(mark: Mark) -> bool:
    return _read(mark) != mark.value


def _read(mark: Mark) -> Any:
    try:
        return mark.read(mark.owner)
    except (AttributeError, ValueError):
        return _GONE


_GONE = object()
ATOMS = (int, float, complex, str, bytes, np.generic, torch.dtype, torch.device, torch.Size, range, slice)


def token(value: Any) -> Any:
    """Equal for numbers and texts that an equation cannot tell apart, and for containers of one type."""
    if isinstance(value, ATOMS):
        return type(value), repr(value)  # apart from ==, it tells 0.0 from -0.0 and 1 from True
    if isinstance(value, list | tuple | set | frozenset | dict | np.ndarray):
        return type(value)  # their contents have marks of their own
    return id(value)


# What is read of things that change in place


def identities(items: Iterable[Any]) -> list[int]:
    return [*map(id, items)]


def content(a: np.ndarray) -> tuple:
    """Shape, number type and numbers of an array."""
    data = a.tobytes()
    return a.shape, a.dtype.str, data if len(data) <= _KEPT_BYTES else hashlib.blake2b(data).digest()


def tensor_content(t: Tensor) -> tuple:
    """As `content`, of a tensor that is no parameter."""
    try:
        return content(t.detach().numpy())
    except (TypeError, RuntimeError, ValueError):  # elsewhere than on the CPU, or of a type that numpy does not have
        return tuple(t.shape), t.dtype, t._version


def is_generator(value: Any) -> bool:
    """Whether it is a source of random numbers."""
    return isinstance(value, random.Random | torch.Generator | np.random.Generator | np.random.RandomState)


def generator_state(g: Any) -> Any:
    """Where a random number generator stands."""
    return _frozen(_state(g))


def generator_undo(g: Any) -> Undo:
    """What puts a random number generator back to where it stands now."""
    state = _state(g)
    if isinstance(g, random.Random):
        return partial(g.setstate, state)
    if isinstance(g, np.random.Generator):
        return partial(setattr, g.bit_generator, "state", state)
    return partial(g.set_state, state)


def _state(g: Any) -> Any:
    if isinstance(g, random.Random):
        return g.getstate()
    if isinstance(g, np.random.Generator):
        return g.bit_generator.state
    return g.get_state() if isinstance(g, torch.Generator) else g.get_state(legacy=False)


def _frozen(state: Any) -> Any:
    if isinstance(state, dict):
        return tuple((key, _frozen(v)) for key, v in state.items())
    if isinstance(state, np.ndarray | Tensor):
        return np.asarray(state).tobytes()
    return state
