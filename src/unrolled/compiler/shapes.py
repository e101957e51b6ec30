"""What an ATen operation makes: shapes by a few rules, number types and refusals by torch itself."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor


class MisfitError(ValueError):
    """Widths that do not go together."""


_BY_TORCH = {
    *("slice", "split", "split_with_sizes", "unsafe_split", "chunk", "unsafe_chunk", "select", "alias", "detach"),
    *("view", "_unsafe_view", "unsqueeze", "squeeze", "expand", "lift_fresh", "scalar_tensor"),
    *("zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"),
}


def result_of(func: Any, args: Any, kwargs: Any) -> Any:
    """What the operation makes, as tensors without data.

    Only views are asked of torch: its shape functions for the rest are Python, and import half of torch. Number
    types, and what torch refuses, are those of the same operation on one number for each tensor.
    """
    name = func.overloadpacket.__name__
    tensors = tensors_of(args, kwargs)
    if name in _BY_TORCH or all(t.dim() == 0 and t.device.type == "cpu" for t in tensors):
        return func(*args, **kwargs)
    if name == "native_layer_norm":
        a = args[0]
        return torch.empty_like(a), a.new_empty(a.shape[0], 1), a.new_empty(a.shape[0], 1)
    made = func(*map(_one, args), **{name: _one(a) for name, a in kwargs.items()})
    shape = _shape(name, args, kwargs, tensors)
    if isinstance(made, Tensor):
        return torch.empty(shape, dtype=made.dtype, device="meta")
    return tuple(torch.empty(shape, dtype=m.dtype, device="meta") for m in made)


def tensors_of(args: Any, kwargs: Any) -> list[Tensor]:
    """The tensors among an operation's arguments, in lists of them too."""
    found: list[Tensor] = []
    for a in (*args, *kwargs.values()):
        if isinstance(a, Tensor):
            found.append(a)
        elif isinstance(a, list | tuple):
            found += [t for t in a if isinstance(t, Tensor)]
    return found


def _one(a: Any) -> Any:
    """One number in place of a tensor."""
    if isinstance(a, Tensor):
        return torch.ones([1] * a.dim(), dtype=a.dtype)
    return [_one(t) for t in a] if isinstance(a, list | tuple) else a


def _shape(name: str, args: Any, kwargs: Any, tensors: list[Tensor]) -> tuple[int, ...]:
    if name in ("mm", "matmul", "addmm", "linear", "mv"):
        a, b = args[1:3] if name == "addmm" else args[:2]
        if a.dim() != 2 or b.dim() > 2 or a.shape[1] != b.shape[-1 if name == "linear" else 0]:
            raise MisfitError(f"shapes {_named(a)} and {tuple(b.shape)} cannot be multiplied")
        made = (a.shape[0], *(b.shape[:1] if name == "linear" else b.shape[1:]))
        added = [t for t in tensors if t is not a and t is not b]
        return broadcast(made, *(t.shape for t in added))
    if name in ("sum", "mean"):
        keep = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
        return (args[0].shape[0], 1) if keep else tuple(args[0].shape[:1])
    if name == "cat":
        dim = args[1] if len(args) > 1 else 0
        if any(t.dim() != 2 or t.shape[0] != args[0][0].shape[0] for t in args[0]) or dim % 2 != 1:
            raise NotImplementedError("step concatenates across the sequences of the batch")
        return args[0][0].shape[0], sum(t.shape[1] for t in args[0])
    return broadcast(*(t.shape for t in tensors))


def broadcast(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape of what is computed from tensors of these shapes; torch's own function imports half of torch."""
    made: list[int] = []
    for sizes in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        wide = {n for n in sizes if n != 1}
        if len(wide) > 1:
            raise MisfitError(f"shapes {', '.join(map(str, map(tuple, shapes)))} cannot be broadcast together")
        made.append(wide.pop() if wide else 1)
    return tuple(reversed(made))


def named(shape: Sequence[int], batch: int) -> str:
    """A shape with N for the batch."""
    return str(tuple("N" if n == batch else n for n in shape)).replace("'", "")


def _named(a: Tensor) -> str:
    return named(a.shape, a.shape[0])
