"""The scan of a program in plain torch: what the engine computes, step by step, with gradients of any order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from unrolled.compiler import evaluate
from unrolled.engine.compiled import Compiled
from unrolled.engine.flags import FROM_INITIAL, FROM_RESET, INSIDE, LAST
from unrolled.engine.scan import Given


def scan(program: Compiled, given: Given) -> list[Tensor]:
    """The outputs (T, N, width) and the final states."""
    T, _ = given.shape
    parameters = {
        name: p.contiguous() for (name, _), p in zip(program.program.parameters, given.parameters, strict=True)
    }
    fixed = dict(zip((i.name for i in program.constants), given.constants, strict=True))
    state = tuple(given.states)
    final = list(given.states)
    outputs: list[Tensor] = [given.sequences[0]] * T
    for t in reversed(range(T)) if given.reverse else range(T):
        flags = None if given.flags is None else given.flags[t][:, None]
        if flags is not None:
            state = _choose(flags & FROM_INITIAL, given.states, state)
            if given.resets:
                state = _choose(flags & FROM_RESET, given.resets, state)
        values = {i.name: x[t] for i, x in zip(program.sequences, given.sequences, strict=True)}
        values |= fixed | dict(zip((s.name for s in program.states), state, strict=True))
        _, state = evaluate.step(program.program, values, parameters)
        if flags is None:
            outputs[t] = state[0]
            continue
        final = list(_choose(flags & LAST, state, tuple(final)))
        state = _choose(flags & INSIDE, state, tuple(torch.zeros_like(s) for s in state))
        outputs[t] = state[0]
    return [torch.stack(outputs), *(state if given.flags is None else final)]


def _choose(rows: Tensor, yes: Sequence[Tensor], no: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(torch.where(rows != 0, a, b) for a, b in zip(yes, no, strict=True))
