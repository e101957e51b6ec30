"""Matrices and rows of random cells: whole, shared, sliced, turned, masked, or computed from others."""

from __future__ import annotations

from random_cells.writer import Part, Writer


def matrix(w: Writer, out: int, into: int, depth: int = 2) -> Part:
    """An (out, into) matrix as source text; ``bound`` is that of its numbers."""
    known = [m for m in w.matrices if m[1:3] == (out, into)]
    if known and w.chance(0.5):
        return Part(known[0][0], (out, into), known[0][3])
    bound = min(1.0, 1.2 / into**0.5)
    shared = [p for p in w.stored if len(p.shape) == 2 and p.shape[0] >= out and p.shape[1] >= into]
    turned = [p for p in w.stored if len(p.shape) == 2 and p.shape[0] >= into and p.shape[1] >= out]
    choice = w.rng.random()
    if choice < 0.2 and shared:
        return _part(w, w.rng.choice(shared), out, into)
    if choice < 0.35 and turned:
        return _turned(w, _part(w, w.rng.choice(turned), into, out))
    if choice < 0.5:
        return w.parameter(out, into, bound=bound)
    if choice < 0.6:
        big = w.parameter(out + w.pick(0, 1, 3), into + w.pick(0, 0, 2), bound=bound)
        return _part(w, big, out, into)
    if choice < 0.7:
        big = w.parameter(into + w.pick(0, 0, 2), out + w.pick(0, 0, 1), bound=bound)
        return _turned(w, _part(w, big, into, out))
    if depth:
        made = w.rng.choice(_DERIVED)(w, out, into, depth - 1)
        if w.chance(0.3):
            name = w.assign(made.text)
            w.matrices.append((name, out, into, made.bound))
            return Part(name, made.shape, made.bound)
        return made
    return w.parameter(out, into, bound=bound)


def _part(w: Writer, p: Part, out: int, into: int) -> Part:
    rows, columns = p.shape
    if (rows, columns) == (out, into):
        return Part(p.text, (out, into), p.bound)
    r, c = w.rng.randint(0, rows - out), w.rng.randint(0, columns - into)
    if columns == into:
        options = [f"{p.text}[{r}:{r + out}]", f"{p.text}.narrow(0, {r}, {out})", f"{p.text}[{r}:{r + out}, :]"]
        if rows == 2 * out:
            options.append(f"{p.text}.chunk(2, 0)[{min(r, 1)}]")
    elif rows == out:
        options = [f"{p.text}[:, {c}:{c + into}]", f"{p.text}.narrow(1, {c}, {into})"]
    else:
        options = [f"{p.text}[{r}:{r + out}, {c}:{c + into}]"]
    return Part(w.rng.choice(options), (out, into), p.bound)


def _turned(w: Writer, p: Part) -> Part:
    how = w.pick("{}.T", "{}.t()", "{}.transpose(0, 1)", "{}.mT", "torch.t({})")
    return Part(how.format(p.text), p.shape[::-1], p.bound)


def _scaled(w: Writer, out: int, into: int, depth: int) -> Part:
    inner, k = matrix(w, out, into, depth), w.pick(0.5, 0.3, -1.0)
    return Part(f"({k} * {inner.text})", (out, into), abs(k) * inner.bound)


def _scaled_turned(w: Writer, out: int, into: int, depth: int) -> Part:
    inner, k = matrix(w, into, out, depth), w.pick(0.5, 0.3, -1.0)
    text = w.pick(f"({k} * {inner.text}.T)", f"({k} * {inner.text}).T", f"torch.tanh({inner.text}).t()")
    return Part(text, (out, into), inner.bound)


def _sum(w: Writer, out: int, into: int, depth: int) -> Part:
    a, b = matrix(w, out, into, depth), matrix(w, out, into, 0)
    return Part(f"({a.text} {w.pick('+', '-')} {b.text})", (out, into), a.bound + b.bound)


def _product(w: Writer, out: int, into: int, depth: int) -> Part:
    k = w.rng.randint(1, 3)
    a, b = matrix(w, out, k, depth), matrix(w, k, into, 0)
    text = f"({a.text} @ {b.text})"
    if w.chance(0.5):
        text = f"({b.text}.T @ {a.text}.T).T"
    return Part(text, (out, into), k * a.bound * b.bound)


def _cat(w: Writer, out: int, into: int, depth: int) -> Part:
    if out > 1 and w.chance(0.5):
        k = w.rng.randint(1, out - 1)
        a, b = matrix(w, k, into, depth), matrix(w, out - k, into, 0)
        return Part(f"torch.cat([{a.text}, {b.text}])", (out, into), max(a.bound, b.bound))
    if into > 1:
        k = w.rng.randint(1, into - 1)
        a, b = matrix(w, k, out, depth), matrix(w, into - k, out, 0)
        return Part(f"torch.cat([{a.text}, {b.text}], 0).T", (out, into), max(a.bound, b.bound))
    return _scaled(w, out, into, depth)


def _masked(w: Writer, out: int, into: int, depth: int) -> Part:
    inner = matrix(w, out, into, depth)
    mask = w.parameter(out, into, buffer=f"(torch.rand({out}, {into}) < 0.6).to(torch.get_default_dtype())")
    return Part(w.pick(f"({inner.text} * {mask.text})", f"({mask.text} * {inner.text})"), (out, into), inner.bound)


def _squashed(w: Writer, out: int, into: int, depth: int) -> Part:
    inner = matrix(w, out, into, depth)
    how = w.pick(
        "torch.tanh({})", "{}.tanh()", "torch.sin({})", "{}.clamp(-1, 1)", "{}.relu()", "(-{})", "{}.flip(0)"
    )
    return Part(how.format(inner.text), (out, into), inner.bound)


def _antisymmetric(w: Writer, out: int, into: int, depth: int) -> Part:
    if out != into:
        return _squashed(w, out, into, depth)
    inner = matrix(w, out, out, 0)
    a = f"({inner.text} - {inner.text}.T)"
    if w.chance(0.3):
        return Part(f"torch.matrix_exp({a})", (out, out), 1.0)
    return Part(a, (out, out), 2 * inner.bound)


def _triangle(w: Writer, out: int, into: int, depth: int) -> Part:
    inner = matrix(w, out, into, depth)
    return Part(f"{inner.text}.{w.pick('tril', 'triu')}()", (out, into), inner.bound)


def _by_rows(w: Writer, out: int, into: int, depth: int) -> Part:
    inner, scale = matrix(w, out, into, depth), w.parameter(out)
    return Part(f"({scale.text}[:, None] * {inner.text})", (out, into), inner.bound)


def _outer(w: Writer, out: int, into: int, depth: int) -> Part:
    a, b = w.parameter(out), w.parameter(into, bound=0.5)
    text = w.pick(f"torch.outer({a.text}, {b.text})", f"({a.text}[:, None] * {b.text})")
    return Part(text, (out, into), 0.5)


def _expanded(w: Writer, out: int, into: int, depth: int) -> Part:
    b = w.parameter(into, bound=0.5)
    return Part(f"{b.text}.expand({out}, {into})", (out, into), 0.5)


def _folded(w: Writer, out: int, into: int, depth: int) -> Part:
    if w.chance(0.5):
        p = w.parameter(out * into, bound=0.5)
        return Part(f"{p.text}.view({out}, {into})", (out, into), 0.5)
    p = w.parameter(2, out, into, bound=0.5)
    return Part(f"{p.text}[{w.pick(0, 1)}]", (out, into), 0.5)


def _softmax(w: Writer, out: int, into: int, depth: int) -> Part:
    inner = matrix(w, out, into, depth)
    return Part(f"torch.softmax({inner.text}, {w.pick(0, 1)})", (out, into), 1.0)


def _diagonal(w: Writer, out: int, into: int, depth: int) -> Part:
    if out != into:
        return _outer(w, out, into, depth)
    return Part(f"torch.diag({w.parameter(out).text})", (out, out), 1.0)


_DERIVED = (
    *(_scaled, _scaled_turned, _scaled_turned, _sum, _product, _cat, _masked, _squashed, _antisymmetric),
    *(_antisymmetric, _triangle, _by_rows, _outer, _expanded, _folded, _softmax, _diagonal),
)


def row(w: Writer, width: int) -> Part:
    """A parameter for each unit, or one for all: (width,), (1, width), (1,), ()."""
    choice = w.rng.randint(0, 13)
    shared = [p for p in w.stored if len(p.shape) == 2 and p.shape[1] == width]
    if choice == 0:
        return w.parameter()
    if choice == 1:
        return w.parameter(1, width)
    if choice == 2:
        return w.parameter(1)
    if choice == 3 and shared:
        p = w.rng.choice(shared)
        return Part(f"{p.text}[{w.rng.randrange(p.shape[0])}]", (width,), p.bound)
    if choice == 4:
        p, k = w.parameter(width, 3), w.rng.randrange(3)
        return Part(f"{p.text}[:, {k}]", (width,), 1.0)
    if choice == 5:
        p, k = w.parameter(width + 2), w.rng.randint(0, 2)
        return Part(f"{p.text}[{k}:{k + width}]", (width,), 1.0)
    if choice == 6:
        p = w.parameter(2 * width)
        return Part(f"{p.text}[::2]", (width,), 1.0)
    if choice == 7:
        p = w.parameter(width)
        how = w.pick(
            "torch.tanh({})", "(0.5 * {})", "({} * {})", "torch.softmax({}, 0)", "{}.sigmoid()", "{}.flip(0)"
        )
        return Part(how.format(p.text, p.text), (width,), 1.0)
    if choice == 8:
        p = w.parameter(1)
        return Part(f"{p.text}.expand({width})", (width,), 1.0)
    if choice == 9:
        p = matrix(w, width, 3)
        return Part(f"{p.text}.{w.pick('mean', 'sum')}(1)", (width,), 3 * p.bound)
    if choice == 10:
        p = w.parameter(width)
        return Part(w.pick(f"{p.text}[None]", f"{p.text}.view(1, -1)", f"{p.text}.unsqueeze(0)"), (1, width), 1.0)
    if choice == 11:
        return w.parameter(width, buffer=f"torch.randint(-1, 2, ({width},)).to(torch.get_default_dtype())")
    if choice == 12 and w.stored:
        fits = [p for p in w.stored if p.shape == (width,)]
        if fits:
            return w.rng.choice(fits)
    return w.parameter(width)
