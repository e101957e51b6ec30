"""The compiled engine, where it could be built; which of its paths is in use."""

from __future__ import annotations

import os
from typing import Any

from unrolled.compiler.plan import INSTRUCTIONS, MODES, Instruction, Operand, Plan, Product
from unrolled.errors import UsageError

try:
    from unrolled.engine import _native as module  # type: ignore[attr-defined]
except ImportError as error:  # built without a C++ compiler
    module: Any = None  # type: ignore[no-redef]
    missing: str | None = str(error)
else:
    missing = None

_WHERE = {"array": 1, "scratch": 2, "number": 3}
_path = ""


def available() -> bool:
    """Whether the engine was built."""
    return module is not None


def paths() -> list[str]:
    """The instruction sets that this build has and this processor runs, best first."""
    return module.paths() if module is not None else []


def choose(name: str = "") -> str:
    """Use one path by its name; without one, that of ``UNROLLED_CPU``, or the best. Returns its name.

    Raises:
        ValueError: there is no such path, or the processor cannot run it; a UsageError, where it is in the
            environment.
    """
    global _path
    forced = "" if name else os.environ.get("UNROLLED_CPU", "")
    try:
        _path = module.choose(name or forced)
    except ValueError as error:
        if not forced:
            raise
        raise UsageError(f"UNROLLED_CPU: {str(error).removeprefix('engine: ')}") from error
    return _path


def path() -> str:
    """The path in use; empty where there is no engine."""
    return _path


def threads() -> str:
    """Whose threads the engine runs on."""
    return module.threads() if module is not None else ""


def encode(plan: Plan) -> Any:
    """The plan as the engine's own object."""
    instructions: list[int] = []
    phases: list[int] = []
    count = 0
    for phase in plan.phases:
        for i in phase.instructions:
            instructions += _numbers(i)
        phases += [count, count + len(phase.instructions), phase.width, int(phase.barrier)]
        count += len(phase.instructions)
    packs = [n for view in plan.packs for n in (*view.shape, *view.strides)]
    modes = [MODES.index(a.mode) for a in plan.arrays]
    outers = [n for o in plan.outers for side, width in o.sides for n in (side.place, side.column, width)]
    surround = (_products(plan.before), _products(plan.after), outers)
    return module.Plan(instructions, phases, packs, modes, list(plan.numbers), plan.scratch, plan.whole, *surround)


def _products(products: tuple[Product, ...]) -> list[int]:
    made = []
    for p in products:
        made += [p.left.place, p.out.place, p.pack, int(p.add), p.left.column, p.out.column, p.width]
    return made


def _numbers(i: Instruction) -> list[int]:
    operands: list[Operand | None] = [i.out, *i.args, *[None] * (3 - len(i.args)), i.sum]
    made = [INSTRUCTIONS.index(i.kind), i.width, i.extra]
    for o in operands:
        made += [0, 0, 0] if o is None else [_WHERE[o.kind], o.place, o.column]
    return made


if module is not None:
    choose()
