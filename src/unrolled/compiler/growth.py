"""How large the values of a program can become, whatever moderate numbers it is given."""

from __future__ import annotations

import math
from collections.abc import Callable

from unrolled.compiler.program import Op, Program

MODERATE = 1e6
"""The size up to which numbers count as moderate."""
_FINITE = 1e36
"""Below the largest number of single precision, by more than rounding can add."""


def stays_finite(program: Program) -> bool:
    """Whether no value and no derivative overflows or has a pole, if no input and no parameter exceeds `MODERATE`.

    A derivative is the upstream gradient times values and parameters, so it is finite where these are.
    """
    largest = dict.fromkeys((i.name for i in program.inputs), MODERATE)
    widths = program.widths
    for op in program.ops:
        bound = BOUNDS.get(op.kind)
        if bound is None:
            return False
        sizes = [largest[a] if isinstance(a, str) else abs(a) for a in op.args]
        size = bound(op, widths[op.values[0]] if op.values else 1, *sizes)
        if not size < _FINITE:  # nor is NaN
            return False
        largest[op.out] = size
    return True


_Bound = Callable[..., float]


def _same(op: Op, width: int, a: float) -> float:
    return a


def _one(op: Op, width: int, *sizes: float) -> float:
    return 1.0


def _largest(op: Op, width: int, *sizes: float) -> float:
    return max(sizes)


def _sum(op: Op, width: int, a: float, b: float) -> float:
    return a + b


BOUNDS: dict[str, _Bound] = {
    **dict.fromkeys(("copy", "neg", "abs", "relu", "slice", "expand", "rowmax", "number"), _same),
    **dict.fromkeys(("sigmoid", "tanh", "sign", "gt", "ge", "eq"), _one),
    **dict.fromkeys(("minimum", "maximum", "cat"), _largest),
    **dict.fromkeys(("add", "sub"), _sum),
    "mul": lambda op, width, a, b: a * b,
    "where": lambda op, width, condition, b, c: max(b, c),
    "softplus": lambda op, width, a: a + math.log(2),
    "row": lambda op, width: MODERATE,
    "linear": lambda op, width, a: width * MODERATE * a,
    "rowsum": lambda op, width, a: width * a,
}
"""The size of an operation's value, from the width of its first argument and the sizes of all. Operations that are
not here have poles, or grow faster than any power."""
