"""Fresh memory for the engine's arrays, full of NaN while a cell is verified."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

_poisoning = 0


def empty(like: Tensor, *shape: int) -> Tensor:
    """Memory of the number type of ``like``; whoever asks for it writes it before anyone reads it."""
    made = like.new_empty(shape)
    return made.fill_(float("nan")) if _poisoning else made


@contextmanager
def poisoned() -> Iterator[None]:
    """Inside, fresh memory holds NaN: what is read before it was written shows."""
    global _poisoning
    _poisoning += 1
    try:
        yield
    finally:
        _poisoning -= 1
