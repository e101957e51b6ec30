"""The scan as operators of torch: ``unrolled::scan`` and its gradient, known to autograd and torch.compile.

The program's text is an argument, so that nothing but tensors and text has to be known to run, to give
shapes, or to differentiate. The second derivative runs the program step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unrolled.engine import reference, scan
from unrolled.engine.compiled import compiled
from unrolled.engine.recording import Record
from unrolled.engine.scan import Given, Needs

_INPUTS = (
    "str program, Tensor[] sequences, Tensor[] states, Tensor[] resets, Tensor[] constants, "
    "Tensor[] parameters, Tensor? flags, bool reverse"
)
torch.library.define("unrolled::scan", f"({_INPUTS}, bool save) -> Tensor[]")
torch.library.define(
    "unrolled::scan_backward",
    f"({_INPUTS}, Tensor[] results, Tensor[] upstream, bool[] needs) -> Tensor[]",
)


@torch.library.impl("unrolled::scan", "CPU")
def _scan(
    program: str, sequences: Any, states: Any, resets: Any, constants: Any, parameters: Any, flags: Any,
    reverse: bool, save: bool,
) -> list[Tensor]:  # fmt: skip
    given = Given(sequences, states, resets, constants, parameters, flags, reverse)
    _check(program, given)
    if not given.shape[1]:
        return _scan_shapes(program, sequences, states, resets, constants, parameters, flags, reverse, save)
    return scan.forward(program, given, save)


def _check(program: str, given: Given) -> None:
    """Refuse tensors that do not fit the program: a graph that was recorded may be given any."""
    made, (T, N) = compiled(program), given.shape
    if not T:
        raise ValueError("unrolled::scan: the sequences are empty")
    like = given.sequences[0]
    wanted: list[tuple[Tensor, tuple[int, ...]]]
    wanted = [(t, (T, N, i.width)) for t, i in zip(given.sequences, made.sequences, strict=True)]
    wanted += [(t, (N, s.width)) for t, s in zip(given.states, made.states, strict=True)]
    wanted += [(t, (N, s.width)) for t, s in zip(given.resets, made.states, strict=False)]
    wanted += [(t, (N, i.width)) for t, i in zip(given.constants, made.constants, strict=True)]
    wanted += [(t, shape) for t, (_, shape) in zip(given.parameters, made.program.parameters, strict=True)]
    for t, shape in wanted:
        if t.shape != shape or t.dtype != like.dtype:
            raise ValueError(
                f"unrolled::scan: a tensor has shape {tuple(t.shape)} and {t.dtype}, "
                f"expected {shape} and {like.dtype}"
            )
    if given.flags is not None and (given.flags.shape != (T, N) or given.flags.dtype != torch.uint8):
        raise ValueError(f"unrolled::scan: the flags have shape {tuple(given.flags.shape)}, expected {(T, N)} uint8")


@torch.library.register_fake("unrolled::scan")
def _scan_shapes(
    program: str, sequences: Any, states: Any, resets: Any, constants: Any, parameters: Any, flags: Any,
    reverse: bool, save: bool,
) -> list[Tensor]:  # fmt: skip
    made = compiled(program)
    x = sequences[0]
    T, N = x.shape[0], x.shape[1]
    widths = [s.width for s in made.states]
    shapes: list[tuple] = [(T, N, widths[0]), *((N, w) for w in widths)]
    if save:
        shapes += [(T, N, w) for w in widths[1:]]
        if made.saving.saved_width:
            shapes.append((T, N, made.saving.saved_width))
        if flags is not None:
            shapes.append((T, N, widths[0]))
    return [x.new_empty(shape) for shape in shapes]


@torch.library.impl("unrolled::scan_backward", "CPU")
def _scan_backward(
    program: str, sequences: Any, states: Any, resets: Any, constants: Any, parameters: Any, flags: Any,
    reverse: bool, results: Any, upstream: Any, needs: Any,
) -> list[Tensor]:  # fmt: skip
    given = Given(sequences, states, resets, constants, parameters, flags, reverse)
    if not given.shape[1]:
        shapes = _scan_backward_shapes(
            program, sequences, states, resets, constants, parameters, flags, reverse, results, upstream, needs
        )
        return [d.zero_() for d in shapes]
    wanted = Needs(needs[: len(sequences)], needs[len(sequences) :])
    made = scan.backward(program, given, results, upstream, wanted)
    return [d if d.nbytes == d.untyped_storage().nbytes() else d.clone() for d in made]  # none a part of another


@torch.library.register_fake("unrolled::scan_backward")
def _scan_backward_shapes(
    program: str, sequences: Any, states: Any, resets: Any, constants: Any, parameters: Any, flags: Any,
    reverse: bool, results: Any, upstream: Any, needs: Any,
) -> list[Tensor]:  # fmt: skip
    count = len(sequences)
    made = [torch.empty_like(x, memory_format=torch.contiguous_format) if n else x.new_empty(0)
            for x, n in zip(sequences, needs[:count], strict=True)]  # fmt: skip
    made += [torch.empty_like(s, memory_format=torch.contiguous_format) for s in (*states, *resets, *constants)]
    made += [torch.empty_like(p, memory_format=torch.contiguous_format) if n else sequences[0].new_empty(0)
             for p, n in zip(parameters, map(all, zip(needs[count:], compiled(program).reached, strict=True)),
                             strict=True)]  # fmt: skip
    return made


def _keep_for_backward(ctx: Any, inputs: tuple, output: list[Tensor]) -> None:
    program, sequences, states, resets, constants, parameters, flags, reverse, save = inputs
    ctx.program, ctx.reverse, ctx.save = program, reverse, save
    ctx.counts = [len(part) for part in (sequences, states, resets, constants, parameters)]
    ctx.has_flags = flags is not None
    kept = [*sequences, *states, *resets, *constants, *parameters, *([flags] if flags is not None else [])]
    results = list(output)
    ctx.shapes = [r.shape for r in results[: 1 + len(states)]]
    count = len(states)
    ctx.save_for_backward(*kept, results[0], *results[1 + count :])
    ctx.set_materialize_grads(False)


def _unpack(ctx: Any) -> tuple[list[list[Tensor]], Tensor | None, list[Tensor]]:
    saved = ctx.saved_tensors
    parts = _parts(saved, ctx.counts)
    rest = list(saved[sum(ctx.counts) :])
    flags = rest.pop(0) if ctx.has_flags else None
    return parts, flags, rest


def _results(kept: list[Tensor], states: int) -> list[Tensor]:
    """The results of the forward scan from those that were kept: in place of the final states stands the output."""
    return [kept[0], *[kept[0]] * states, *kept[1:]]


def _with_zeros(ctx: Any, upstream: Any, like: Tensor) -> list[Tensor]:
    """The gradients of outputs and final states, with zeros for those that did not come."""
    zero = like.new_zeros(1)
    return [zero.expand(shape) if d is None else d for d, shape in zip(upstream, ctx.shapes, strict=False)]


def _pass_back(ctx: Any, upstream: list[Tensor | None]) -> tuple:
    if not ctx.save:
        raise RuntimeError(
            "unrolled::scan: the graph was recorded without gradients, so it has none; record it again with "
            "gradients enabled"
        )
    (sequences, states, resets, constants, parameters), flags, kept = _unpack(ctx)
    results = _results(kept, len(states))
    given = _with_zeros(ctx, upstream, kept[0])
    wanted = ctx.needs_input_grad
    needs = [*_flat(wanted[1], len(sequences)), *_flat(wanted[5], len(parameters))]
    made = torch.ops.unrolled.scan_backward(
        ctx.program, sequences, states, resets, constants, parameters, flags, ctx.reverse, results, given, needs
    )
    groups = []
    for part in (sequences, states, resets, constants, parameters):
        groups.append([d if d.numel() or not t.numel() else None for d, t in zip(made, part, strict=False)])
        made = made[len(part) :]
    return None, *groups, None, None, None


def _flat(wanted: Any, count: int) -> list[bool]:
    return list(wanted) if isinstance(wanted, list | tuple) else [bool(wanted)] * count


torch.library.register_autograd("unrolled::scan", _pass_back, setup_context=_keep_for_backward)


def _keep_for_double(ctx: Any, inputs: tuple, output: list[Tensor]) -> None:
    program, sequences, states, resets, constants, parameters, flags, reverse, results, upstream, needs = inputs
    ctx.program, ctx.reverse, ctx.needs = program, reverse, needs
    ctx.counts = [len(part) for part in (sequences, states, resets, constants, parameters, upstream)]
    ctx.result_count = len(results)
    ctx.has_flags = flags is not None
    kept = [*sequences, *states, *resets, *constants, *parameters, *upstream]
    ctx.save_for_backward(*kept, *([flags] if flags is not None else []))
    ctx.set_materialize_grads(False)


def _pass_back_twice(ctx: Any, d_gradients: list[Tensor | None]) -> tuple:
    """The derivative of the gradients: the step-by-step scan, differentiated twice, or once more often."""
    parts, flags, _ = _unpack(ctx)
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        leaves = [[_leaf(t, again) for t in part] for part in parts]
        x, h, resets, constants, parameters, upstream = leaves
        flat = [t for part in leaves[:-1] for t in part]
        given = Given(x, h, resets, constants, parameters, flags, ctx.reverse)
        outputs = reference.scan(compiled(ctx.program), given)
        first = torch.autograd.grad(outputs, flat, upstream, create_graph=True, allow_unused=True)
        chosen = [(g, d) for g, d in zip(first, d_gradients, strict=True)
                  if g is not None and g.requires_grad and d is not None and d.numel()]  # fmt: skip
        everything = [*flat, *upstream]
        second: Any = [None] * len(everything)
        if chosen:
            gradients, outer = zip(*chosen, strict=True)
            second = torch.autograd.grad(gradients, everything, outer, allow_unused=True, create_graph=again)
    made, groups = list(second), []
    for part in leaves:
        groups.append(made[: len(part)])
        made = made[len(part) :]
    *groups, up = groups
    return None, *groups, None, None, [None] * ctx.result_count, up, None


torch.library.register_autograd("unrolled::scan_backward", _pass_back_twice, setup_context=_keep_for_double)


def _leaf(t: Tensor, again: bool) -> Tensor:
    """``t`` as a place where a gradient ends; with ``again`` that gradient can be differentiated itself.

    A view, since one of the tensors may be computed from another, whose gradient would be counted twice.
    """
    return t.view_as(t) if again and t.requires_grad else t.detach().requires_grad_()


def batched(upstream: Sequence[Tensor | None]) -> bool:
    """Whether many gradients come at once, as from ``torch.autograd.grad(is_grads_batched=True)``."""
    return any(d is not None and torch._C._functorch.is_legacy_batchedtensor(d) for d in upstream)


def _batched_gradients(
    program: str, given: Given, upstream: Sequence[Tensor | None], wanted: Sequence[bool]
) -> list[Tensor | None]:
    """The gradients for many upstream gradients at once (``is_grads_batched``), by the step-by-step scan."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        parts = (given.sequences, given.states, given.resets, given.constants, given.parameters)
        leaves = [[_leaf(t, again) for t in part] for part in parts]
        outputs = reference.scan(compiled(program), Given(*leaves, given.flags, given.reverse))  # type: ignore[call-arg,arg-type]
        came = [(y, d) for y, d in zip(outputs, upstream, strict=True) if d is not None]
        chosen = [t for t, w in zip((t for part in leaves for t in part), wanted, strict=True) if w]
        of, given_to = zip(*came, strict=True)
        found = iter(torch.autograd.grad(of, chosen, given_to, allow_unused=True, create_graph=again))
    return [next(found) if w else None for w in wanted]


class _Direct(torch.autograd.Function):
    """The same as the operators, without their dispatch, which takes longer than a small scan."""

    @staticmethod
    def forward(
        ctx: Any, program: str, counts: tuple[int, ...], flags: Any, reverse: bool, record: Any, *tensors: Tensor
    ) -> Any:
        ctx.program, ctx.counts, ctx.reverse, ctx.has_flags = program, counts, reverse, flags is not None
        ctx.record = record
        parts = _parts(tensors, counts)
        results = scan.forward(program, Given(*parts, flags, reverse), True)  # type: ignore[call-arg,arg-type]
        states = counts[1]
        ctx.shapes = [r.shape for r in results[: 1 + states]]
        ctx.save_for_backward(*tensors, *([flags] if ctx.has_flags else []), results[0], *results[1 + states :])
        ctx.set_materialize_grads(False)
        return tuple(results[: 1 + states])

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> Any:
        parts, flags, kept = _unpack(ctx)
        wanted = ctx.needs_input_grad[5:]
        if batched(upstream):
            inputs = Given(*parts, flags, ctx.reverse)  # type: ignore[call-arg,arg-type]
            return *[None] * 5, *_batched_gradients(ctx.program, inputs, upstream, wanted)
        results = _results(kept, ctx.counts[1])
        first, others = ctx.counts[0], sum(ctx.counts[:4])
        needs = [*wanted[:first], *wanted[others:]]
        if torch.is_grad_enabled():  # to be differentiated again
            given = _with_zeros(ctx, upstream, kept[0])
            made = torch.ops.unrolled.scan_backward(ctx.program, *parts, flags, ctx.reverse, results, given, needs)
        else:
            inputs = Given(*parts, flags, ctx.reverse)  # type: ignore[call-arg,arg-type]
            needed = Needs(needs[:first], needs[first:])
            made = scan.backward(ctx.program, inputs, results, upstream, needed, ctx.record)
        found = [d if w and (d.numel() or not t.numel()) else None
                 for d, w, t in zip(made, wanted, (t for part in parts for t in part), strict=True)]  # fmt: skip
        return None, None, None, None, None, *found


def _parts(tensors: Any, counts: Any) -> list[list[Tensor]]:
    parts, rest = [], list(tensors)
    for count in counts:
        parts.append(rest[:count])
        rest = rest[count:]
    return parts


def _plain(tensors: list[Tensor]) -> bool:
    """Whether nothing but autograd looks at these tensors: no recording, no transformation, no subclass.

    Empty batches go by the operators too, which have a rule for them.
    """
    watched = torch._C._len_torch_dispatch_stack() or torch._C._get_tracing_state() is not None
    return not watched and all(type(t) in (Tensor, torch.nn.Parameter) for t in tensors) and tensors[0].shape[1] > 0


def run(
    program: str,
    sequences: list[Tensor],
    states: list[Tensor],
    resets: list[Tensor],
    constants: list[Tensor],
    parameters: list[Tensor],
    flags: Tensor | None,
    reverse: bool,
    record: Record | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The outputs and the final states, saving what a gradient needs where one may come."""
    parts = (sequences, states, resets, constants, parameters)
    tensors = [t for part in parts for t in part]
    save = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    if torch.compiler.is_compiling() or not _plain(tensors):
        results = torch.ops.unrolled.scan(program, *parts, flags, reverse, save)
    elif save:
        results = _Direct.apply(program, tuple(map(len, parts)), flags, reverse, record, *tensors)
    else:
        results = scan.forward(program, Given(*parts, flags, reverse), False)
    return results[0], tuple(results[1 : 1 + len(states)])
