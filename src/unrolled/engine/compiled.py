"""A loop program with its plans, made once and kept: forward with and without saving, and backward."""

from __future__ import annotations

from functools import cached_property, lru_cache

from unrolled.compiler.differentiate import Backward, differentiate
from unrolled.compiler.hoist import projections
from unrolled.compiler.lower import Forward, Reverse, keep_gradients, lower_backward, lower_forward
from unrolled.compiler.program import Program, View, parse
from unrolled.engine import native
from unrolled.engine.binding import Site


class Compiled:
    """The plans of one loop program (as `hoist` and `merge` leave it)."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.states = program.of_role("state")
        self.sequences = program.of_role("sequence")
        self.constants = program.of_role("constant")
        self.parameters = [name for name, _ in program.parameters]

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
        return lower_forward(self.program, keep="output")

    @cached_property
    def passing(self) -> Forward:
        """The forward plan of a stream, which keeps no step but the last."""
        return lower_forward(self.program, keep="nothing")

    @cached_property
    def reverse(self) -> Reverse:
        return lower_backward(self.program, self.backward, self.saving)

    @cached_property
    def saving_site(self) -> Site:
        return Site(self.saving.plan, self.parameters)

    @cached_property
    def plain_site(self) -> Site:
        return Site(self.plain.plan, self.parameters)

    @cached_property
    def passing_site(self) -> Site:
        return Site(self.passing.plan, self.parameters)

    @cached_property
    def reverse_site(self) -> Site:
        return Site(self.reverse.plan, self.parameters, [view for view, _ in self.reverse.sums])

    @cached_property
    def recording_site(self) -> Site:
        """As `reverse_site`, of a backward scan that keeps the gradients of the states of every step."""
        plan = keep_gradients(self.reverse).plan
        return Site(plan, self.parameters, [view for view, _ in self.reverse.sums])

    @cached_property
    def covered(self) -> list[bool]:
        """For each parameter, whether the parts whose gradients are found are all of it, each once."""
        return [_cover(size, [v for v in self._reached if v.parameter == name]) for name, size in self._sizes()]

    @cached_property
    def reached(self) -> list[bool]:
        """For each parameter, whether any gradient comes back to it: one that only feeds a comparison has none."""
        names = {view.parameter for view in self._reached}
        return [name in names for name in self.parameters]

    @cached_property
    def _reached(self) -> list[View]:
        """The parts of parameters to which a gradient comes back."""
        returning = dict(self.backward.inputs)
        views = [view for view, *_ in self.backward.weights] + [view for view, _ in self.backward.rows]
        return views + [op.view for op in projections(self.program) if op.out in returning and op.view is not None]

    def _sizes(self) -> list[tuple[str, int]]:
        made = []
        for name, shape in self.program.parameters:
            size = 1
            for n in shape:
                size *= n
            made.append((name, size))
        return made


def _cover(size: int, views: list[View]) -> bool:
    """Whether dense parts cover ``size`` elements without overlap."""
    end = 0
    for view in sorted(views, key=lambda v: v.offset):
        dense = view.strides[-1] == 1 and (len(view.shape) == 1 or view.strides[0] == view.shape[1])
        if view.offset != end or not dense:
            return False
        count = view.shape[0] * (view.shape[1] if len(view.shape) == 2 else 1)
        end += count
    return end == size


def compiled(text: str) -> Compiled:
    """The plans of the loop program that ``text`` describes, for the engine's path in use."""
    return _compiled(text, native.path())


@lru_cache(maxsize=256)
def _compiled(text: str, path: str) -> Compiled:
    return Compiled(parse(text))
