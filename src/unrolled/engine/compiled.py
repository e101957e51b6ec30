"""A loop program with its plans, made once and kept: forward with and without saving, and backward."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any

from unrolled.compiler.differentiate import Backward, differentiate
from unrolled.compiler.lower import Forward, Reverse, lower_backward, lower_forward
from unrolled.compiler.program import Program, parse
from unrolled.engine import native


class Compiled:
    """The plans of one loop program (as `hoist` and `merge` leave it)."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.states = program.of_role("state")
        self.sequences = program.of_role("sequence")
        self.constants = program.of_role("constant")

    @cached_property
    def backward(self) -> Backward:
        return differentiate(self.program)

    @cached_property
    def saving(self) -> Forward:
        """The forward plan that keeps what the backward step needs."""
        return lower_forward(self.program, self.backward.saved)

    @cached_property
    def plain(self) -> Forward:
        """The forward plan that keeps the outputs alone."""
        return lower_forward(self.program, keep_states=False)

    @cached_property
    def reverse(self) -> Reverse:
        return lower_backward(self.program, self.backward, self.saving)

    @cached_property
    def native_saving(self) -> Any:
        return native.encode(self.saving.plan)

    @cached_property
    def native_plain(self) -> Any:
        return native.encode(self.plain.plan)

    @cached_property
    def native_reverse(self) -> Any:
        return native.encode(self.reverse.plan)


@lru_cache(maxsize=256)
def compiled(text: str) -> Compiled:
    """The plans of the loop program that ``text`` describes."""
    return Compiled(parse(text))
