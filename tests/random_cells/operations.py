"""What a random equation may do next: every operation that docs/engine.md lists, in every spelling."""

from __future__ import annotations

import math
from collections.abc import Callable

from random_cells.idioms import gated
from random_cells.maps import linear, linear_to
from random_cells.parameters import row
from random_cells.ranges import Range, symmetric
from random_cells.writer import OWN, Value, Writer

Operation = Callable[[Writer], object]


def _sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def _softplus(beta: float, threshold: float) -> Callable[[float], float]:
    return lambda a: a if a * beta > threshold else math.log1p(math.exp(a * beta)) / beta


def _clamp(low: float, high: float) -> Callable[[float], float]:
    return lambda a: min(max(a, low), high)


def _elu(alpha: float) -> Callable[[float], float]:
    return lambda a: a if a > 0 else alpha * math.expm1(a)


INF = math.inf
UNARY: list[tuple[tuple[str, ...], float, float, Callable[[float], float]]] = [
    (("torch.sigmoid({})", "{}.sigmoid()", "F.sigmoid({})"), -INF, INF, _sigmoid),
    (("torch.tanh({})", "{}.tanh()", "F.tanh({})"), -INF, INF, math.tanh),
    (("torch.relu({})", "{}.relu()", "F.relu({})", "{}.clamp_min(0)"), -INF, INF, lambda a: max(a, 0.0)),
    (("F.relu6({})",), -INF, INF, _clamp(0.0, 6.0)),
    (("F.hardtanh({})",), -INF, INF, _clamp(-1.0, 1.0)),
    (("F.hardtanh({}, -0.5, 0.5)", "F.hardtanh({}, min_val=-0.5, max_val=0.5)"), -INF, INF, _clamp(-0.5, 0.5)),
    (("torch.exp({})", "{}.exp()"), -8.0, 2.5, math.exp),
    (("torch.log({})", "{}.log()"), 0.05, 50.0, math.log),
    (("F.softplus({})", "F.softplus({}, 1)"), -INF, INF, _softplus(1, 20)),
    (("F.softplus({}, 2.0)", "F.softplus({}, beta=2)"), -INF, INF, _softplus(2, 20)),
    (("F.softplus({}, 0.5, 0.5)", "F.softplus({}, beta=0.5, threshold=0.5)"), -INF, INF, _softplus(0.5, 0.5)),
    (("F.softplus({}, threshold=1)", "F.softplus({}, 1.0, 1.0)"), -INF, INF, _softplus(1, 1)),
    (("torch.sqrt({})", "{}.sqrt()", "{} ** 0.5", "{}.pow(0.5)"), 0.05, 50.0, math.sqrt),
    (("torch.rsqrt({})", "{}.rsqrt()", "{} ** -0.5", "1 / {}.sqrt()"), 0.05, 50.0, lambda a: a**-0.5),
    (("torch.abs({})", "{}.abs()", "abs({})"), -INF, INF, abs),
    (
        ("torch.square({})", "{}.square()", "{} ** 2", "{}.pow(2)", "torch.pow({}, 2)", "{0} * {0}"),
        -4.0,
        4.0,
        lambda a: a * a,
    ),
    (("{} ** 3", "torch.pow({}, 3)", "{}.pow(3.0)"), -2.0, 2.0, lambda a: a**3),
    (("{} ** 4", "{}.pow(4)"), -1.6, 1.6, lambda a: a**4),
    (
        ("1 / {}", "{}.reciprocal()", "torch.reciprocal({})", "{} ** -1", "torch.div(1, {})"),
        0.2,
        50.0,
        lambda a: 1 / a,
    ),
    (("{} ** 1.5", "{}.pow(1.5)"), 0.05, 4.0, lambda a: a**1.5),
    (("{} ** -2", "{}.pow(-2)"), 0.3, 50.0, lambda a: a**-2),
    (("{} ** 5", "torch.pow({}, 5)"), -1.4, 1.4, lambda a: a**5),
    (("{} ** 1", "{}.pow(1)"), -INF, INF, lambda a: a),
    (("{} ** 0", "torch.pow({}, 0)"), -INF, INF, lambda a: 1.0),
    (("2 ** {}", "torch.pow(2.0, {})"), -8.0, 3.0, lambda a: 2.0**a),
    (("F.silu({})", "{0} * torch.sigmoid({0})"), -INF, INF, lambda a: a * _sigmoid(a)),
    (("F.elu({})",), -INF, INF, _elu(1.0)),
    (("F.elu({}, 0.5)", "F.elu({}, alpha=0.5)"), -INF, INF, _elu(0.5)),
    (("F.leaky_relu({})", "F.leaky_relu({}, 0.01)"), -INF, INF, lambda a: max(a, 0.01 * a)),
    (("F.leaky_relu({}, 0.3)", "F.leaky_relu({}, negative_slope=0.3)"), -INF, INF, lambda a: max(a, 0.3 * a)),
    (
        ("{}.clamp(-1, 1)", "torch.clamp({}, -1.0, 1.0)", "{}.clip(-1, 1)", "{}.clamp(min=-1, max=1)"),
        -INF,
        INF,
        _clamp(-1, 1),
    ),
    (("{}.clamp(0, 1)", "torch.clip({}, 0.0, 1.0)", "{}.clamp(min=0).clamp(max=1)"), -INF, INF, _clamp(0, 1)),
    (("{}.clamp(max=0.5)", "torch.clamp_max({}, 0.5)", "torch.clamp({}, max=0.5)"), -INF, INF, _clamp(-INF, 0.5)),
    (("{}.clamp(-0.5)", "torch.clamp_min({}, -0.5)", "torch.clamp({}, min=-0.5)"), -INF, INF, _clamp(-0.5, INF)),
    (("-{}", "torch.neg({})", "{}.neg()", "0 - {}", "torch.mul({}, -1)"), -INF, INF, lambda a: -a),
    (("1 - {}", "torch.sub(1, {})", "1.0 - {}"), -INF, INF, lambda a: 1 - a),
    (("2 * {} - 1", "{} * 2.0 - 1"), -INF, INF, lambda a: 2 * a - 1),
    (
        ("{} / 2", "{} * 0.5", "0.5 * {}", "torch.div({}, 2)", "{}.mul(0.5)", "{}.div(2.0)"),
        -INF,
        INF,
        lambda a: a / 2,
    ),
    (("{} + 0.5", "0.5 + {}", "torch.add({}, 0.5)", "{}.add(0.5)", "{} - -0.5"), -INF, INF, lambda a: a + 0.5),
    (
        ("{}.clone()", "{}.contiguous()", "+{}", "{}.view_as({})", "{}.to({}.dtype)", "{}.expand_as({})"),
        -INF,
        INF,
        lambda a: a,
    ),
]
"""Spellings, the numbers for which it is tame, and the function itself, by which ranges are found."""

EXTENDED: list[tuple[tuple[str, ...], float, float, Callable[[float], float]]] = [
    (("F.logsigmoid({})",), -INF, INF, lambda a: -math.log1p(math.exp(-a))),
    (("F.selu({})",), -INF, INF, lambda a: 1.0507 * _elu(1.67326)(a)),
    (("F.gelu({})", "F.mish({})", "F.softsign({})", "F.tanhshrink({})"), -INF, INF, lambda a: a),
    (("torch.sin({})", "torch.erf({})", "torch.cos({})", "torch.atan({})"), -INF, INF, math.sin),
    (("torch.expm1({})",), -8.0, 2.5, math.expm1),
    (("torch.zeros_like({})", "{}.new_zeros({}.shape)", "torch.full_like({}, 0.0)"), -INF, INF, lambda a: 0.0),
    (("torch.ones_like({})", "torch.full_like({}, 1.0)"), -INF, INF, lambda a: 1.0),
    (("{0}.masked_fill({0} > 0.5, 0.5)",), -INF, INF, _clamp(-INF, 0.5)),
    (("F.threshold({}, 0.1, 0.0)", "F.hardshrink({})", "F.softshrink({})"), -INF, INF, lambda a: a),
    (("{}.unsqueeze(1).squeeze(1)", "{0}.reshape({0}.shape)", "{0}.view({0}.shape[0], -1)"), -INF, INF, lambda a: a),
    (("{}.max(1, keepdim=True)[0] * {}", "{}.amax(1, keepdim=True) * {}"), -2.0, 2.0, lambda a: 2 * a),
]
"""What the documentation does not promise: it must be right or refused. Only `extended` cells have it."""


def into(w: Writer, v: Value, low: float, high: float) -> Value:
    """A value with numbers between ``low`` and ``high`` made of ``v``, which may be it."""
    r = v.range
    if low <= r.low and r.high <= high:
        return v
    if low >= 0:
        f = w.pick("torch.sigmoid({}) + 0.3", "{}.abs() + 0.5", "F.softplus({}) + 0.3", "{} ** 2 + 0.5")
        made = w.new(f.format(v.text), v.width, _positive(f, r))
        return (
            made
            if made.range.low >= low and made.range.high <= high
            else w.new(f"torch.sigmoid({v.text}) * 0.5 + 0.5", v.width, r.through(lambda a: 0.5 * _sigmoid(a) + 0.5))
        )
    limit = min(-low, high)
    if w.chance(0.5) or r.size > 10 * limit:
        return w.new(f"{limit} * torch.tanh({v.text})", v.width, r.through(lambda a: limit * math.tanh(a)))
    factor = float(f"{0.95 * limit / r.size:.1g}")
    return w.new(f"{v.text} * {factor}", v.width, r.scaled(factor))


def _positive(f: str, r: Range) -> Range:
    by = {
        "tor": lambda a: _sigmoid(a) + 0.3,
        "{}.": lambda a: abs(a) + 0.5,
        "F.s": lambda a: _softplus(1, 20)(a) + 0.3,
    }
    return r.through(by.get(f[:3], lambda a: a * a + 0.5))


def unary(w: Writer) -> Value:
    table = EXTENDED if w.extended and w.chance(0.5) else UNARY
    spellings, low, high, f = w.rng.choice(table)
    v = into(w, w.value(), low, high)
    spelling = w.rng.choice(spellings)
    return w.new(spelling.format(v.text, v.text), v.width, v.range.through(f))


def other(w: Writer, width: int) -> tuple[str, Range]:
    """A second argument: a value, a row of a parameter, a number, or a column for all units."""
    choice = w.rng.random()
    if choice < 0.6:
        v = w.value(width)
        return v.text, v.range
    if choice < 0.8:
        p = row(w, width)
        return p.text, symmetric(p.bound)
    if choice < 0.9:
        v = w.value(1)
        return v.text, v.range
    number = w.number()
    return number, Range(float(number), float(number))


def binary(w: Writer) -> Value:
    v = w.value()
    a, r = v.text, v.range
    kind = w.pick("add", "add", "sub", "sub", "mul", "mul", "mul", "div", "lerp", "addcmul", "where")
    if kind == "div":
        u = into(w, w.value(v.width), 0.2, 50.0)
        text = w.pick(f"{a} / {u.text}", f"torch.div({a}, {u.text})", f"{a}.div({u.text})")
        return w.new(text, v.width, r / u.range)
    b, q = other(w, v.width)
    if kind == "add":
        spellings = (f"{a} + {b}", f"{b} + {a}", f"torch.add({a}, {b})", f"{a}.add({b})")
        if w.chance(0.2):
            return w.new(f"torch.add({a}, {b}, alpha=0.5)", v.width, r + q.scaled(0.5))
        return w.new(w.rng.choice(spellings), v.width, r + q)
    if kind == "sub":
        if w.chance(0.3):
            return w.new(f"{b} - {a}", v.width, q - r)
        return w.new(w.pick(f"{a} - {b}", f"torch.sub({a}, {b})", f"{a}.sub({b})"), v.width, r - q)
    if kind == "lerp":
        z = w.value(v.width)
        z = w.new(f"torch.sigmoid({z.text})", z.width, z.range.through(_sigmoid))
        u = w.value(v.width)
        spellings = (
            f"{z.text} * {a} + (1 - {z.text}) * {u.text}",
            f"torch.lerp({u.text}, {a}, {z.text})",
            f"{u.text}.lerp({a}, {z.text})",
            f"{a} + {z.text} * ({u.text} - {a})",
        )
        return w.new(w.rng.choice(spellings), v.width, z.range * r + (Range(1, 1) - z.range) * u.range)
    if kind == "addcmul":
        u = w.value(v.width)
        c = w.value(v.width)
        if w.chance(0.5):
            return w.new(f"torch.addcmul({a}, {u.text}, {c.text})", v.width, r + u.range * c.range)
        return w.new(
            f"torch.addcmul({a}, {u.text}, {c.text}, value=0.5)", v.width, r + (u.range * c.range).scaled(0.5)
        )
    if kind == "where":
        return where(w)
    if w.chance(0.3):
        v = w.new(w.pick(f"torch.sigmoid({a})", f"{a}.sigmoid()"), v.width, r.through(_sigmoid))
    a, r = v.text, v.range
    return w.new(w.pick(f"{a} * {b}", f"{b} * {a}", f"torch.mul({a}, {b})", f"{a}.mul({b})"), v.width, r * q)


def extreme(w: Writer) -> Value:
    """minimum and maximum, also of equals."""
    a = w.value()
    if w.chance(0.15):
        b, q = a.text, a.range
    elif w.chance(0.8):
        u = w.value(a.width)
        b, q = u.text, u.range
    else:
        k = w.number()
        u = w.new(f"{a.text} * {k}", a.width, a.range.scaled(float(k)))
        b, q = u.text, u.range
    kind = w.pick("minimum", "maximum")
    text = w.pick(f"torch.{kind}({a.text}, {b})", f"{a.text}.{kind}({b})", f"torch.{kind[:3]}({a.text}, {b})")
    return w.new(text, a.width, a.range.joined(q))


def condition(w: Writer, width: int) -> str:
    """A comparison of values, rows and numbers, as source text."""
    a = w.value(width).text
    b = other(w, width)[0] if w.chance(0.7) else w.number()
    sign, name = w.pick((">", "gt"), (">=", "ge"), ("<", "lt"), ("<=", "le"), ("==", "eq"))
    if w.extended and w.chance(0.2):
        sign, name = "!=", "ne"
    made = w.pick(f"({a} {sign} {b})", f"torch.{name}({a}, {b})", f"{a}.{name}({b})")
    if w.extended and w.chance(0.3):
        made = w.pick(
            f"(~{made})", f"({made} & ({a} > 0))", f"torch.logical_or({made}, {a} < 0)", f"({made} + ({a} > 0))"
        )
    return w.assign(made) if w.chance(0.3) else made


def where(w: Writer) -> Value:
    a = w.value()
    mask = condition(w, a.width if w.chance(0.9) else 1)
    u = w.value(a.width) if w.chance(0.6) else None
    if u is None:
        number = w.number()
        b, q = number, Range(float(number), float(number))
    else:
        b, q = u.text, u.range
    pair = (a.text, b) if w.chance(0.5) else (b, a.text)
    return w.new(f"torch.where({mask}, {pair[0]}, {pair[1]})", a.width, a.range.joined(q))


def spike(w: Writer) -> Value:
    """A comparison as a number, or a sign: no gradient comes through it."""
    a = w.value()
    mask = condition(w, a.width)
    if w.chance(0.4):
        return w.new(w.pick(f"torch.sign({a.text})", f"{a.text}.sign()", f"{a.text}.sgn()"), a.width, symmetric(1.0))
    if w.chance(0.5):
        return w.new(w.pick(f"{mask}.to({a.text}.dtype)", f"{mask}.type_as({a.text})"), a.width, Range(0, 1))
    return w.new(w.pick(f"{mask} * {a.text}", f"{a.text} * {mask}"), a.width, a.range.joined(Range(0, 0)))


def over_units(w: Writer) -> Value:
    """sum, mean, softmax, log_softmax and layer norm over the hidden axis."""
    v = w.value()
    a, r, n = v.text, v.range, v.width
    kind = w.pick("sum", "mean", "softmax", "softmax", "log_softmax", "layer_norm", "layer_norm")
    dim = w.pick("1", "-1", "dim=1", "dim=-1")
    if kind in ("sum", "mean"):
        spellings = (
            f"{a}.{kind}({dim}, keepdim=True)",
            f"torch.{kind}({a}, {dim}, keepdim=True)",
            f"{a}.{kind}({dim})[:, None]",
        )
        return w.new(w.rng.choice(spellings), 1, r.scaled(n if kind == "sum" else 1))
    if kind == "layer_norm":
        return layer_norm(w, v)
    text = w.pick(f"torch.{kind}({a}, {dim})", f"F.{kind}({a}, {dim})", f"{a}.{kind}({dim})")
    if kind == "softmax":
        return w.new(text, n, Range(0, 1, min(r.slope, 2 * r.slope)))
    return w.new(text, n, Range(-(r.high - r.low) - math.log(n), 0.0, 2 * r.slope))


def layer_norm(w: Writer, v: Value) -> Value:
    a, r, n = v.text, v.range, v.width
    eps = w.pick(1e-5, 1e-2, 0.1, 0.1, 1.0)
    size, slope = min(n**0.5, 2 * r.size / eps**0.5), 2 * r.slope / eps**0.5
    given = "" if eps == 1e-5 else f", eps={eps}"
    if w.chance(0.3):
        name = w.attributes.fresh(OWN)
        w.init.append(f"self.{name} = nn.LayerNorm({n}{given})")
        return w.new(f"self.{name}({a})", n, symmetric(size, slope))
    if w.chance(0.5):
        gain = w.parameter(n)
        shift = w.parameter(n).text if w.chance(0.5) else ""
        given = f", {gain.text}" + (f", {shift}" if shift else "") + given
        return w.new(f"F.layer_norm({a}, ({n},){given})", n, symmetric(size + 1.0, slope))
    return w.new(f"F.layer_norm({a}, ({n},){given})", n, symmetric(size, slope))


def pieces(w: Writer) -> Value:
    """chunk, split, slices and cat of one another."""
    v = w.value()
    if v.width == 1 or w.chance(0.45):
        return join(w)
    n, k = v.width, w.rng.randint(1, v.width - 1)
    dim = w.pick("1", "-1", "dim=1")
    kind = w.pick("chunk", "split", "slice", "slice", "column")
    if kind == "slice":
        start = w.rng.randint(0, n - k)
        spellings = [
            f"{v.text}[:, {start}:{start + k}]",
            f"{v.text}.narrow(1, {start}, {k})",
            f"{v.text}[..., {start}:{start + k}]",
        ]
        if start + k == n:
            spellings += [f"{v.text}[:, {start}:]", f"{v.text}[:, -{k}:]"]
        return w.new(w.rng.choice(spellings), k, v.range)
    if kind == "column":
        return w.new(
            w.pick(f"{v.text}[:, {k}:{k + 1}]", f"{v.text}[:, {k}].unsqueeze(1)", f"{v.text}[:, {k}][:, None]"),
            1,
            v.range,
        )
    if kind == "chunk":
        parts = w.pick(2, 3)
        size = -(-n // parts)
        sizes = [min(size, n - at) for at in range(0, n, size)]
        text = w.pick(f"{v.text}.chunk({parts}, {dim})", f"torch.chunk({v.text}, {parts}, {dim})")
    elif w.chance(0.5):
        sizes = [k, n - k]
        text = w.pick(f"{v.text}.split([{k}, {n - k}], {dim})", f"torch.split({v.text}, [{k}, {n - k}], {dim})")
    else:
        sizes = [min(k, n - at) for at in range(0, n, k)]
        text = w.pick(f"{v.text}.split({k}, {dim})", f"torch.split({v.text}, {k}, {dim})")
    names = [w.names.fresh() for _ in sizes]
    w.lines.append(f"{', '.join(names)}{',' if len(names) == 1 else ''} = {text}")
    made = [w.keep(Value(name, size, v.range)) for name, size in zip(names, sizes, strict=True)]
    if w.chance(0.4):
        w.rng.shuffle(made)
        return w.new(f"torch.cat([{', '.join(m.text for m in made)}], 1)", n, v.range)
    return w.rng.choice(made)


def join(w: Writer) -> Value:
    parts = [w.value() for _ in range(w.pick(1, 2, 2, 2, 3))]
    while len(parts) > 1 and sum(p.width for p in parts) > 20:
        parts.pop()
    found = parts[0].range
    for p in parts[1:]:
        found = found.joined(p.range)
    inside = ", ".join(p.text for p in parts)
    comma = "," if len(parts) == 1 else ""
    text = w.pick(
        f"torch.cat([{inside}], 1)", f"torch.cat(({inside}{comma}), dim=-1)", f"torch.cat([{inside}], dim=1)"
    )
    return w.new(text, sum(p.width for p in parts), found)


def to_width(w: Writer, v: Value, width: int) -> Value:
    """``v`` as a value of another width: by a linear map, a slice, cat, or as one column for all units."""
    n = v.width
    choice = w.rng.random()
    if choice < 0.55:
        return linear_to(w, v, width)
    if n > width and choice < 0.85:
        start = w.rng.randint(0, n - width)
        return w.new(f"{v.text}[:, {start}:{start + width}]", width, v.range)
    if n == 1 and choice < 0.8:
        return w.new(
            w.pick(f"{v.text}.expand(-1, {width})", f"{v.text}.expand({v.text}.shape[0], {width})")
            if w.extended
            else f"{v.text}.expand(-1, {width})",
            width,
            v.range,
        )
    if n < width and 2 * n >= width:
        return w.new(f"torch.cat([{v.text}, {v.text}[:, :{width - n}]], 1)", width, v.range)
    return linear_to(w, v, width)


def whole_row(w: Writer) -> Value:
    """A parameter as a value for all sequences."""
    v = w.value()
    p = w.parameter(v.width)
    return w.new(
        w.pick(f"{p.text}.expand_as({v.text})", f"{p.text} + 0 * {v.text}", f"{p.text}.tanh().expand_as({v.text})"),
        v.width,
        symmetric(p.bound),
    )


def away_from_zero(w: Writer) -> Value | None:
    """Singular at zero, where x never is, but what stands in its padding may be."""
    xs = [v for v in w.values if v.raw and v.text == w.positive]
    if not xs:
        return None
    a, n = xs[0].text, xs[0].width
    spellings = (
        f"1 / {a}",
        f"torch.log({a}.abs())",
        f"{a} / {a}.abs()",
        f"{a} / ({a} * {a}).sum(1, keepdim=True).sqrt()",
        f"{a}.abs().sqrt()",
        f"{a}.abs().rsqrt()",
    )
    return w.new(w.rng.choice(spellings), n, symmetric(2.0, 4.0))


OPERATIONS: tuple[tuple[Operation, int], ...] = (
    (unary, 7),
    (binary, 7),
    (linear, 6),
    (gated, 2),
    (pieces, 4),
    (extreme, 1),
    (where, 1),
    (spike, 2),
    (over_units, 2),
    (whole_row, 1),
    (away_from_zero, 1),
)
