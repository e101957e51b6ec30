"""The source text of one random cell while it is written, and the values that its equation has so far."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import unrolled
from random_cells.names import Names, normal
from random_cells.ranges import INPUT, Range, symmetric

OWN = frozenset(dir(unrolled.Cell(1, 1)))
"""Attributes that a cell has already."""
SIZE, SLOPE = 8.0, 30.0
"""No value gets larger, and none steeper; what would is made smaller."""


@dataclass(frozen=True)
class Value:
    """A (N, width) tensor of the equation: an atom of source text, its range, and whether it is an argument."""

    text: str
    width: int
    range: Range
    raw: bool = False


@dataclass(frozen=True)
class Part:
    """A parameter or a part of one: source text, shape, a bound of its numbers."""

    text: str
    shape: tuple[int, ...]
    bound: float


@dataclass
class Writer:
    """Lines of ``__init__`` and ``step``; every choice comes from ``rng``."""

    rng: random.Random
    widths: list[int]
    hostile: float
    extended: bool
    positive: str = ""
    retired: str = ""
    init: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    stored: list[Part] = field(default_factory=list)
    modules: list[tuple] = field(default_factory=list)
    matrices: list[tuple[str, int, int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names = Names(self.rng, self.hostile)
        self.attributes = Names(self.rng, self.hostile)

    # Choices

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def pick(self, *options):
        return self.rng.choice(options)

    def number(self, *more: float) -> str:
        """A number as text; the simple ones hit bounds and kinks exactly."""
        return repr(self.pick(0.5, 0.3, -0.5, 1.0, 2, 0.25, -0.7, 0.0, 1, *more))

    # Values

    def value(self, width: int | None = None) -> Value:
        """One of the values, of this width, rather one that nothing has read yet."""
        fits = [v for v in self.values if width is None or v.width == width]
        if not fits:
            return self.to_width(self.value(), width)
        unread = [v for v in fits if v.text not in self.read]
        if unread and self.chance(0.65):
            fits = unread
        elif self.chance(0.4):
            fits = fits[-4:]
        value = self.rng.choice(fits)
        self.read.add(value.text)
        return value

    def to_width(self, value: Value, width: int) -> Value:
        from random_cells.operations import to_width

        return to_width(self, value, width)

    def new(self, text: str, width: int, found: Range) -> Value:
        """A value from an expression: small enough, and often under a name."""
        factor = min(1.0, SIZE / max(found.size, 1e-9), SLOPE / max(found.slope, 1e-9))
        if factor < 1.0:
            factor = float(f"{factor * 0.95:.1g}")
            text, found = f"{factor} * ({text})", found.scaled(factor)
        inline = len(text) < 50 and self.chance(0.15)
        return self.keep(Value(f"({text})" if inline else self.assign(text), width, found))

    def keep(self, value: Value) -> Value:
        self.read.discard(value.text)
        self.values.append(value)
        return value

    def assign(self, text: str) -> str:
        """A local variable for an expression."""
        name, self.retired = self.retired or self.names.fresh(), ""
        self.lines.append(f"{name} = {text}")
        return name

    def retire(self) -> None:
        """Give a local variable's name free: the next assignment takes it, and nothing reads the old value."""
        old = [v for v in self.values if v.text.isidentifier()]
        if len(old) > 4:
            self.retired = self.rng.choice(old).text
            self.forget(self.retired)

    def forget(self, name: str) -> None:
        """Drop what reads the local variable ``name``."""
        self.values = [v for v in self.values if name not in _words(v.text)]
        self.matrices = [m for m in self.matrices if name not in _words(m[0])]

    # Parameters

    def parameter(self, *shape: int, bound: float = 1.0, buffer: str = "") -> Part:
        """A new parameter with numbers up to ``bound``, or a buffer made by the expression ``buffer``."""
        name = self.attributes.fresh(OWN)
        size = ", ".join(map(str, shape)) if shape else "()"
        if buffer:
            self.init.append(f'self.register_buffer("{normal(name)}", {buffer})')
            return Part(f"self.{name}", shape, bound)
        made = f"nn.Parameter(torch.empty({size}).uniform_(-{bound:.2g}, {bound:.2g}))"
        self.init.append(f"self.{name} = {made}")
        part = Part(f"self.{name}", shape, bound)
        self.stored.append(part)
        return part

    def start(self, arguments: list[tuple[str, int]]) -> None:
        """The arguments of ``step`` as the first values."""
        for name, width in arguments:
            self.keep(Value(name, width, symmetric(INPUT, 1.0), raw=True))


def _words(text: str) -> set[str]:
    return set("".join(c if c.isidentifier() or c.isdigit() else " " for c in text).split())
