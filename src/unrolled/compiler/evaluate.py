"""Running a program with torch: one step, on whole batches, with gradients. What the engine is held to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.compiler.program import ELEMENTWISE, NORMS, Op, Program


def run(ops: Iterable[Op], values: dict[str, Tensor], parameters: Mapping[str, Tensor], like: Tensor) -> None:
    """Compute ``ops`` into ``values``, for any dimensions before the width; ``like`` has the number type.

    What is the same for all sequences has no dimension for them, and is repeated where it meets others.
    """

    def argument(a: str | float) -> Tensor:
        return values[a] if isinstance(a, str) else like.new_tensor(a)

    for op in ops:
        if op.kind in ELEMENTWISE:
            made = ELEMENTWISE[op.kind].torch(*map(argument, op.args))
        elif op.kind == "linear":
            assert op.view is not None
            made = torch.matmul(values[op.values[0]], op.view.of(parameters[op.view.parameter]).t())
        elif op.kind == "row":
            assert op.view is not None
            made = op.view.of(parameters[op.view.parameter])
        elif op.kind == "number":
            made = argument(op.args[0]).expand(op.width)
        elif op.kind == "slice":
            made = values[op.values[0]][..., op.start : op.start + op.width]
        elif op.kind == "cat":
            parts = [values[a] for a in op.values]
            lead = torch.broadcast_shapes(*(p.shape[:-1] for p in parts))
            made = torch.cat([p.expand(*lead, p.shape[-1]) for p in parts], dim=-1)
        elif op.kind == "rowsum":
            made = values[op.values[0]].sum(-1, keepdim=True)
        elif op.kind == "rowmax":
            made = values[op.values[0]].detach().amax(-1, keepdim=True)
        elif op.kind in NORMS:
            made = _NORMS[op.kind](*(values[a] if isinstance(a, str) else a for a in op.args))
        else:
            made = values[op.values[0]].expand(*values[op.values[0]].shape[:-1], op.width)
        values[op.out] = made


def _centred(a: Tensor) -> Tensor:
    a = a - a[..., :1]  # so that equal numbers become zeros to the last bit
    return a - a.mean(-1, keepdim=True)


_NORMS: dict[str, Callable[..., Tensor]] = {
    "layernorm": lambda a, eps: F.layer_norm(a, a.shape[-1:], eps=eps),
    "normscale": lambda a, eps: (_centred(a).square().mean(-1, keepdim=True) + eps).rsqrt(),
    "normalize": lambda a, s: _centred(a) * s,
    "dnormalize": lambda d, y, s: s * (_centred(d) - y * (d * y).mean(-1, keepdim=True)),
}


def step(
    program: Program, given: dict[str, Tensor], parameters: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
    """One step: every value by name, and the new states. ``given`` has all inputs by name."""
    values = dict(given)
    contiguous = {name: p.contiguous() for name, p in parameters.items()}
    like = next(iter(given.values()))
    run(program.ops, values, contiguous, like)
    return values, tuple(values[name].expand(*like.shape[:-1], -1) for name in program.outputs)
