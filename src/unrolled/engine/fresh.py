"""Memory for the engine: tensors as plain arrays, and fresh ones, full of NaN while a cell is verified."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from unrolled.engine import native

_LARGE = 128 << 10
"""Bytes from which on memory comes from the engine's pool: malloc would map such blocks one by one."""
_poisoning = 0


def empty(like: Tensor, *shape: int) -> Tensor:
    """Memory of the number type of ``like``; whoever asks for it writes it before anyone reads it."""
    if native.module is not None and math.prod(shape) * like.element_size() >= _LARGE:
        made = from_dlpack(native.module.empty(like.dtype == torch.float64, shape))
    else:
        made = like.new_empty(shape)
    return made.fill_(float("nan")) if _poisoning else made


def plain(t: Tensor) -> Tensor:
    """The same numbers, side by side in memory; torch may keep a sign apart, as in ``z.conj().imag``."""
    return t.contiguous().resolve_neg()


def is_plain(t: Tensor) -> bool:
    """Whether the numbers already lie so."""
    return t.is_contiguous() and not t.is_neg()


@contextmanager
def poisoned() -> Iterator[None]:
    """Inside, fresh memory holds NaN: what is read before it was written shows."""
    global _poisoning
    _poisoning += 1
    try:
        yield
    finally:
        _poisoning -= 1
