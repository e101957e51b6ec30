"""How many threads run a plan: by what it computes between two points where threads wait for one another."""

from __future__ import annotations

from unrolled import threads
from unrolled.compiler.plan import Plan

BY_ROWS = 8
"""Sequences from which on each thread takes its own, and none waits for another from step to step."""
BETWEEN = 0.5e6
"""Operations that each thread must have between two steps, where threads share the units and wait at each of them."""

_FEW = 4
"""Fewer rows than this do not take less time: the matrix comes from memory, whatever the rows."""
_ELEMENTWISE = 10
"""Operations that an element-wise instruction counts for at each unit."""


def operations(plan: Plan) -> tuple[float, float]:
    """Floating-point operations a step and row: in the steps, and before and after them."""
    steps = 0.0
    for phase in plan.phases:
        for i in phase.instructions:
            steps += 2 * _size(plan, i.extra) if i.kind == "gemm" else _ELEMENTWISE * i.width
    around = sum(2.0 * _size(plan, p.pack) for p in (*plan.before, *plan.after) if p.pack >= 0)
    around += sum(2.0 * left * right for (_, left), (_, right) in (o.sides for o in plan.outers))
    return steps, around


def split(most: int, work: tuple[float, float], barriers: int, T: int, N: int, whole: bool) -> tuple[int, bool]:
    """The number of threads for a call, and whether each takes rows of its own.

    Few rows are shared unit by unit where the matrices are large, since then each thread reads a part of them at
    every step; where a step is too short for that, the threads still take a row or more each.

    Arguments:
        whole: whether units cannot be shared; the others as in `chosen`.

    >>> small, large = (130e3, 130e3), (4e6, 4e6)
    >>> [split(2, work, 1, T=500, N=4, whole=False) for work in (small, large)]
    [(2, True), (2, False)]
    """
    if N < BY_ROWS and not whole:
        threads = chosen(most, work, barriers, T, N, by_rows=False)
        if threads > 1:
            return threads, False
        most = min(most, max(N, 1))  # with more, some would have none
    return chosen(most, work, barriers, T, N, by_rows=True), True


def chosen(most: int, work: tuple[float, float], barriers: int, T: int, N: int, by_rows: bool) -> int:
    """The number of threads for a call, ``most`` at most.

    Arguments:
        work: what `operations` gives.
        barriers: of a step, where threads share the units.
        by_rows: whether each thread takes rows of its own instead.

    >>> from unrolled.engine.team import chosen
    >>> chosen(8, (130e3, 130e3), 1, T=50, N=1, by_rows=False)
    1
    """
    most = threads.limited(most)
    if most == 1:
        return 1
    steps, around = work
    count = threads.suited(most, T * ((N if by_rows else max(N, _FEW)) * steps + N * around))
    if count > 1 and not by_rows:
        count = max(1, min(count, int(max(N, _FEW) * steps / barriers / BETWEEN)))
    return count


def _size(plan: Plan, pack: int) -> int:
    units, depth = plan.packs[pack].shape
    return units * depth
