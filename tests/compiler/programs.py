"""Random small programs, and what autograd says of them."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from unrolled.compiler import evaluate
from unrolled.compiler.program import ELEMENTWISE, Input, Op, Program, View, check
from unrolled.compiler.tidy import tidy

SMOOTH = ("neg", "add", "sub", "mul", "sigmoid", "tanh", "exp", "softplus", "square", "abs", "minimum", "maximum")


@st.composite
def programs(draw) -> Program:
    """Two states of different widths, a sequence, a constant, two matrices and a vector, and random work."""
    W, V, D, C = (draw(st.integers(1, 5)) for _ in range(4))
    inputs = (Input("sequence", "x", D), Input("state", "h", W), Input("state", "m", V), Input("constant", "k", C))
    rows = 3 * max(W, V)
    parameters = tuple((f"w{n}", (rows, n)) for n in sorted({W, V, D, C})) + (("b", (2 * max(W, V),)),)
    ops: list[Op] = []
    widths = {i.name: i.width for i in inputs}

    def emit(kind, *args, width, view=None, start=0):
        ops.append(Op(f"v{len(ops)}", width, kind, args, view, start))
        widths[ops[-1].out] = width
        return ops[-1].out

    def to_width(value, width):
        n = widths[value]
        if n == width:
            return value
        if n == 1 and draw(st.booleans()):
            return emit("expand", value, width=width)
        if n > width and draw(st.booleans()):
            return emit("slice", value, width=width, start=draw(st.integers(0, n - width)))
        if width > rows or n not in {shape[1] for _, shape in parameters[:-1]}:
            value, n = emit("slice", value, width=1, start=n - 1), 1
            return emit("expand", value, width=width)
        first = draw(st.integers(0, rows // width - 1)) * width if width <= rows else 0
        return emit("linear", value, width=width, view=View(f"w{n}", first * n, (width, n), (n, 1)))

    for _ in range(draw(st.integers(2, 12))):
        value = draw(st.sampled_from(sorted(widths)))
        choice = draw(st.integers(0, 9))
        width = widths[value]
        if choice == 9 and width > 1 and draw(st.booleans()):
            emit("layernorm", value, 0.1, width=width)
        elif choice == 0 and width > 1:
            total = emit("rowsum", value, width=1)
            emit("mul", total, 1.0 / width, width=1)
        elif choice == 1 and width <= 12:
            other = draw(st.sampled_from(sorted(widths)))
            emit("cat", value, other, width=width + widths[other])
        elif choice == 2 and width <= 2 * max(W, V):
            row = emit("row", width=width, view=View("b", 0, (width,), (1,)))
            emit(draw(st.sampled_from(["add", "mul"])), value, row, width=width)
        elif choice in (3, 4):
            to_width(value, draw(st.sampled_from([W, V])))
        else:
            kind = draw(st.sampled_from(SMOOTH))
            args: list = [value]
            if kind == "exp":
                args = [emit("tanh", value, width=width)]
            if ELEMENTWISE[kind].arity == 2:
                number = draw(st.booleans())
                other = draw(st.sampled_from(sorted(widths)))
                args.append(0.5 if number else to_width(other, width))
            emit(kind, *args, width=width)
    values = sorted(widths)
    outs = []
    for width in (W, V):
        value = to_width(draw(st.sampled_from(values)), width)
        outs.append(emit("tanh", value, width=width))
    program = Program("Random", inputs, parameters, tuple(ops), tuple(outs))
    check(program)
    return program


def material(program: Program, seed: int, N: int = 3) -> tuple[dict, dict]:
    """Inputs and parameters, in double precision, that take gradients."""
    g = torch.Generator().manual_seed(seed)

    def make(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64).requires_grad_()

    given = {i.name: make(N, i.width) for i in program.inputs}
    return given, {name: make(*shape) for name, shape in program.parameters}


def gradients(program: Program, given: dict, parameters: dict, upstream: list) -> tuple[tuple, dict]:
    """New states, and the gradient of every input and parameter by name (None where there is none)."""
    _, new = evaluate.step(program, given, parameters)
    wanted = {**given, **parameters}
    grads = torch.autograd.grad(new, list(wanted.values()), upstream, allow_unused=True)
    return new, dict(zip(wanted, grads, strict=True))


__all__ = ["gradients", "material", "programs", "tidy"]
