"""A random cell from a seed: its source text, and the class that the text defines."""

from __future__ import annotations

import linecache
import random
from dataclasses import dataclass

import torch

import unrolled
from random_cells.names import PLAIN, Names, normal
from random_cells.operations import OPERATIONS, into
from random_cells.ranges import INPUT
from random_cells.writer import SLOPE, Value, Writer

GAIN = 1.5
"""What a step may make of a difference between two states, so that several steps do not make much more of it."""
HEAD = "import torch\nimport unrolled\nfrom torch import nn\nfrom torch.nn import functional as F\n"


@dataclass(frozen=True)
class Source:
    """A cell as text. ``extended`` cells have operations that the documentation does not promise."""

    seed: int
    text: str
    extended: bool
    constants: tuple[int, ...]
    positive: bool

    def build(self) -> unrolled.Cell:
        """The cell in double precision, with parameters that depend on the seed alone."""
        name = f"<random cell {self.seed}>"
        linecache.cache[name] = (len(self.text), None, self.text.splitlines(keepends=True), name)
        made: dict = {"__name__": "random_cell"}
        before = torch.get_default_dtype()
        try:
            torch.set_default_dtype(torch.float64)
            with torch.random.fork_rng():
                torch.manual_seed(self.seed)
                exec(compile(self.text, name, "exec"), made)
                return made["RandomCell"]()
        finally:
            torch.set_default_dtype(before)

    def forget(self) -> None:
        linecache.cache.pop(f"<random cell {self.seed}>", None)


def random_cell(seed: int) -> Source:
    """The cell of that seed."""
    rng = random.Random(f"cell {seed}")
    H = rng.choice((1, 2, 3, 4, 4, 5, 7, 8, 9))
    widths = [H]
    hostile = rng.choice((0.0, 0.3, 0.9))
    extended = rng.random() < 0.15
    D = rng.choice((1, 2, 3, 4, H, H))
    states = [rng.choice((H, H, H, 1, 2, 3, 6)) for _ in range(rng.choice((1, 1, 2, 2, 3)))]
    constants = [rng.choice((H, H, 1, 2)) for _ in range(rng.choice((0, 0, 0, 1, 2)))]
    widths += states + constants
    w = Writer(rng, widths, hostile, extended)
    labels = Names(rng, hostile)
    inputs = [labels.fresh({"x"} if k else {"x", *_BARRED}) for k in range(len(states) + len(constants))]
    named, fixed = inputs[: len(states)], inputs[len(states) :]
    same = rng.random() < 0.7  # the arguments of step have the names of the states
    arguments = [w.names.fresh({normal(i) for i in inputs}) if rng.random() < 0.2 else "x"]
    arguments += [w.names.fresh(set(arguments)) if not same else i for i in inputs]
    w.names.reserve(arguments)
    if rng.random() < 0.12:
        w.positive = arguments[0]
    w.start(list(zip(arguments, [D, *states, *constants], strict=True)))
    for _ in range(rng.choice((1, 2, 3, 4, 5, 6, 8, 8, 12, 12, 16, 24, 60)) if rng.random() < 0.95 else 90):
        operation = rng.choices([o for o, _ in OPERATIONS], [n for _, n in OPERATIONS])[0]
        if w.chance(0.08):
            w.retire()
        operation(w)
    returned = [_state(w, width, k == 0) for k, width in enumerate(states)]
    text = _text(w, rng, H, D, named, states, fixed, arguments, returned)
    return Source(seed, text, extended, tuple(constants), bool(w.positive))


_BARRED: set[str] = set()


def _state(w: Writer, width: int, output: bool) -> str:
    """A new state of that width, in bounds: an expression of any form, rather of something late."""
    fits = [v for v in w.values if v.width == width and v.range.size <= INPUT and v.range.slope <= GAIN]
    if fits and w.chance(0.4):
        v = w.rng.choice(fits[-4:] if w.chance(0.7) else fits)
        return w.pick(v.text, v.text, f"{v.text}.clone()")
    v = _calm(w, _gathered(w, width))
    choice = w.rng.random()
    if choice < 0.4:
        return f"torch.tanh({v.text})"
    if choice < 0.5:
        return f"torch.sigmoid({v.text})"
    if choice < 0.6:
        return f"{v.text}.clamp(-1, 1)"
    if choice < 0.8 and v.range.size > 0:
        factor = min(1.0, 0.9 * INPUT / v.range.size)
        return v.text if factor == 1.0 else f"{factor:.1g} * {v.text}"
    return into(w, v, -1.0, 1.0).text


def _gathered(w: Writer, width: int) -> Value:
    """One value, or some that nothing else reads in one, so that little of the equation is for nothing."""
    v = w.value(width)
    for _ in range(w.pick(0, 1, 2, 4)):
        unread = [u for u in w.values if u.text not in w.read and u.width in (1, width)]
        if not unread:
            break
        u = w.rng.choice(unread)
        w.read.add(u.text)
        if w.chance(0.3):
            v = w.new(f"{v.text} * {u.text}", width, v.range * u.range)
        else:
            v = w.new(f"{v.text} {w.pick('+', '-')} {u.text}", width, v.range + u.range)
    return v


def _calm(w: Writer, v: Value) -> Value:
    """``v``, made less steep if it is too steep for a state."""
    if v.range.slope <= GAIN:
        return v
    factor = float(f"{0.95 * GAIN / v.range.slope:.1g}")
    return w.new(f"{factor} * {v.text}", v.width, v.range.scaled(factor))


def _text(w: Writer, rng: random.Random, H: int, D: int, named, states, fixed, arguments, returned) -> str:
    learned: list[str] = []
    if rng.random() < 0.25:
        k = rng.randrange(len(states))
        start = w.parameter(*rng.choice(((states[k],), (1, states[k]), ())))
        learned = [
            "def initial_state(self, batch, like=None):",
            "    states = list(super().initial_state(batch, like))",
            f"    states[{k}] = states[{k}] + {start.text}",
            "    return tuple(states)",
        ]
    if rng.random() < 0.15:
        w.parameter(3)  # one that nothing uses
    shapes = ", ".join(f"{name!r}: ({width},)" for name, width in zip(named, states, strict=True))
    end = returned[0] if len(returned) == 1 and rng.random() < 0.7 else f"({', '.join(returned)},)"
    if len(returned) > 1 and rng.random() < 0.2:
        end = f"[{', '.join(returned)}]"
    body = [
        f"state = ({', '.join(map(repr, named))},)",
        *([f"constants = ({', '.join(map(repr, fixed))},)"] if fixed else []),
        "",
        "def __init__(self):",
        f"    super().__init__({D}, {H})",
        *[f"    {line}" for line in w.init],
        "",
        "def state_shapes(self):",
        f"    return {{{shapes}}}",
        "",
        *learned,
        "",
        f"def step(self, {', '.join(arguments)}):",
        *[f"    {line}" for line in w.lines],
        f"    return {end}",
    ]
    indented = "\n".join(f"    {line}" if line else "" for line in body)
    return f"{HEAD}\n\nclass RandomCell(unrolled.Cell):\n{indented}\n"


__all__ = ["PLAIN", "SLOPE", "Source", "random_cell"]
