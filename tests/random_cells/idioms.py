"""Blocks that published cells are made of: gates of two inputs, in every way to write them."""

from __future__ import annotations

from random_cells.maps import new_gates
from random_cells.parameters import row
from random_cells.ranges import Range
from random_cells.writer import OWN, Value, Writer


def gated(w: Writer) -> Value:
    """Two to four gates of the same two values, and sometimes a new memory from them."""
    a, b, width, count = w.value(), w.value(), w.rng.choice(w.widths), w.pick(2, 2, 3, 4)
    if count * width > 30:
        count = 2
    slope = a.width**0.5 * a.range.slope + b.width**0.5 * b.range.slope
    sums = w.pick(_by_gates, _by_gates, _by_rows, _cut)(w, a, b, width, count)
    made = []
    for k, text in enumerate(sums):
        kind = w.pick("sigmoid", "sigmoid", "tanh") if k < count - 1 else "tanh"
        spelling = w.pick(f"torch.{kind}({text})", f"({text}).{kind}()", f"F.{kind}({text})")
        bounds = Range(0, 1, slope / 4) if kind == "sigmoid" else Range(-1, 1, slope)
        made.append(w.new(spelling, width, bounds))
    if w.chance(0.5):
        z, n, c = made[0], made[-1], w.value(width)
        if w.chance(0.5):
            return w.new(
                f"{z.text} * {c.text} + {made[-2].text} * {n.text}",
                width,
                z.range * c.range + made[-2].range * n.range,
            )
        return w.new(
            f"(1 - {z.text}) * {c.text} + {z.text} * {n.text}",
            width,
            (Range(1, 1) - z.range) * c.range + z.range * n.range,
        )
    return made[0]


def _by_gates(w: Writer, a: Value, b: Value, width: int, count: int) -> list[str]:
    """Gates of ``a`` plus gates of ``b``, one by one."""
    labels = w.rng.sample(("r", "z", "n", "i", "f", "g", "o", "dy"), count)
    x, h = (new_gates(w, v.width, width, labels) for v in (a, b))
    sums = [f"self.{x}.{g}({a.text}) + self.{h}.{g}({b.text})" for g in labels]
    if w.chance(0.3):
        sums[0] = f"{sums[0]} + {row(w, width).text}"
    return sums


def _by_rows(w: Writer, a: Value, b: Value, width: int, count: int) -> list[str]:
    """Rows of one matrix for each of the two, which may be used in any order, or twice."""
    W, V = (w.parameter(count * width, v.width, bound=v.width**-0.5).text for v in (a, b))
    places = [w.rng.randrange(count) if w.chance(0.2) else k for k in range(count)]
    rows = [f"[{k * width}:{(k + 1) * width}]" for k in places]
    return [f"F.linear({a.text}, {W}{r}) + {b.text} @ {V}{r}.T" for r in rows]


def _cut(w: Writer, a: Value, b: Value, width: int, count: int) -> list[str]:
    """One map to all gates, and its result cut."""
    name = w.attributes.fresh(OWN)
    if w.chance(0.5):
        w.init.append(f"self.{name} = nn.Linear({a.width + b.width}, {count * width})")
        whole = f"self.{name}(torch.cat([{a.text}, {b.text}], 1))"
    else:
        bias = w.pick("", ", bias=False")
        V = w.parameter(b.width, count * width, bound=b.width**-0.5)
        w.init.append(f"self.{name} = nn.Linear({a.width}, {count * width}{bias})")
        whole = f"(self.{name}({a.text}) + {b.text} @ {V.text})"
    names = [w.names.fresh() for _ in range(count)]
    w.lines.append(f"{', '.join(names)} = {whole}.{w.pick(f'chunk({count}, 1)', f'split({width}, dim=1)')}")
    return names
