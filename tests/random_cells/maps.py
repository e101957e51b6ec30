"""Linear maps in every spelling: modules, gates, and matrices of all kinds."""

from __future__ import annotations

from random_cells.parameters import matrix, row
from random_cells.ranges import symmetric
from random_cells.writer import OWN, Value, Writer


def linear(w: Writer) -> Value:
    """A linear map of a value to a width that is in use."""
    return linear_to(w, w.value(), w.rng.choice(w.widths))


def linear_to(w: Writer, v: Value, width: int) -> Value:
    kind = w.rng.random()
    if kind < 0.25:
        return module(w, v, width)
    if kind < 0.45:
        return gates(w, v, width)
    return product(w, v, width)


def _mapped(w: Writer, text: str, v: Value, width: int, bound: float, bias: float) -> Value:
    gain = bound * v.width
    return w.new(text, width, symmetric(gain * v.range.size + bias, gain * v.range.slope))


def module(w: Writer, v: Value, width: int) -> Value:
    """nn.Linear, new or one that was used before."""
    bound = v.width**-0.5
    known = [m for m in w.modules if m[0] == "linear" and m[2:4] == (width, v.width)]
    if known and w.chance(0.4):
        _, name, *_, bias = w.rng.choice(known)
        return _mapped(w, f"self.{name}({v.text})", v, width, bound, bias * bound)
    name, bias = w.attributes.fresh(OWN), w.chance(0.5)
    w.init.append(f"self.{name} = nn.Linear({v.width}, {width}{'' if bias else ', bias=False'})")
    if known and w.chance(0.3):
        w.init.append(f"self.{name}.weight = self.{known[0][1]}.weight")
    w.modules.append(("linear", name, width, v.width, bias))
    return _mapped(w, f"self.{name}({v.text})", v, width, bound, bias * bound)


def gates(w: Writer, v: Value, width: int) -> Value:
    """`Gates`: one of them, or all in one and then cut."""
    bound = v.width**-0.5
    known = [m for m in w.modules if m[0] == "gates" and m[2:4] == (width, v.width)]
    if known and w.chance(0.7):
        _, name, _, _, labels = w.rng.choice(known)
    else:
        labels = w.rng.sample(("r", "z", "n", "i", "dy", "t0", "ħ", "row"), w.rng.randint(1, 3))
        name = new_gates(w, v.width, width, labels)
    if w.chance(0.8) or len(labels) * width > 24:
        return _mapped(w, f"self.{name}.{w.rng.choice(labels)}({v.text})", v, width, bound, bound)
    whole = _mapped(w, f"self.{name}({v.text})", v, width * len(labels), bound, bound)
    made = w.rng.choice(labels)
    at = labels.index(made) * width
    if w.chance(0.5):
        return w.new(f"{whole.text}.chunk({len(labels)}, 1)[{labels.index(made)}]", width, whole.range)
    return w.new(f"{whole.text}[:, {at}:{at + width}]", width, whole.range)


def new_gates(w: Writer, size: int, width: int, labels: list[str]) -> str:
    """The name of new `Gates`, with numbers up to 1 / sqrt(size)."""
    name, bound = w.attributes.fresh(OWN), size**-0.5
    bias = w.pick("", ", bias=False")
    w.init.append(f"self.{name} = unrolled.Gates({' '.join(labels)!r}, {size}, {width}{bias})")
    w.init += [f"for weight in self.{name}.parameters():", f"    nn.init.uniform_(weight, -{bound:.2g}, {bound:.2g})"]
    w.modules.append(("gates", name, width, size, labels))
    return name


def product(w: Writer, v: Value, width: int) -> Value:
    """``x @ W``, F.linear and their kin."""
    a = v.text
    if w.chance(0.5):
        p = matrix(w, width, v.width)
        if w.chance(0.4):
            b = row(w, width)
            if b.shape == (width,):
                return _mapped(w, f"F.linear({a}, {p.text}, {b.text})", v, width, p.bound, b.bound)
        return _mapped(w, f"F.linear({a}, {p.text})", v, width, p.bound, 0.0)
    p = matrix(w, v.width, width)
    if w.chance(0.2):
        b = row(w, width)
        return _mapped(w, f"torch.addmm({b.text}, {a}, {p.text})", v, width, p.bound, b.bound)
    text = w.pick(
        f"{a} @ {p.text}",
        f"torch.mm({a}, {p.text})",
        f"torch.matmul({a}, {p.text})",
        f"{a}.mm({p.text})",
        f"{a}.matmul({p.text})",
    )
    return _mapped(w, text, v, width, p.bound, 0.0)
