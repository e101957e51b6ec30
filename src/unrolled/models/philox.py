"""Counted random numbers: number k of a seed is the same on every path and in every language.

Philox 4x64 with 10 rounds (J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), as in
numpy: the key is (seed, sequence), block b is the cipher of the counter (b + 1, 0, 0, 0), and number k is
word k mod 4 of block k // 4. Its upper 53 bits, over 2^53, are uniform in [0, 1). One sequence is sequence 0;
the rows of a batch take sequences 0, 1, 2, ...
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

_MASK = 2**64 - 1


class Numbers(Protocol):
    """What gives uniform numbers: `Philox`, or `Rows`."""

    def uniforms(self, shape: Sequence[int]) -> Tensor:
        """Uniform numbers in [0, 1) of that shape, in double precision, on the CPU."""


class Philox:
    """The uniform numbers of one seed, in order, from any place on.

    >>> a, b = Philox(seed=1), Philox(seed=1, position=2)
    >>> [a.uniform() for _ in range(3)][2] == b.uniform()
    True
    """

    def __init__(self, seed: int, position: int = 0, sequence: int = 0) -> None:
        self._bits = np.random.Philox(key=np.array([seed & _MASK, sequence], dtype=np.uint64))
        self._bits.advance(position // 4)
        self.position = position - position % 4
        for _ in range(position % 4):
            self.uniform()

    def uniform(self) -> float:
        """The next number in [0, 1)."""
        self.position += 1
        return (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def uniforms(self, shape: Sequence[int]) -> Tensor:
        """The next numbers, row after row: the same that repeated calls of `uniform` give."""
        count = math.prod(shape)
        self.position += count
        raw = np.asarray(self._bits.random_raw(count), dtype=np.uint64)
        return torch.from_numpy((raw >> np.uint64(11)) * 2.0**-53).reshape(tuple(shape))


class Rows:
    """Uniform numbers for N rows, each with its own sequence, so that a row does not depend on N.

    ``first`` is the sequence of the first row, so that many rows may be made some at a time.

    >>> few, many = Rows(1, 2), Rows(1, 5)
    >>> torch.equal(few.uniforms((2, 3)), many.uniforms((5, 3))[:2])
    True
    """

    def __init__(self, seed: int, count: int, first: int = 0) -> None:
        self._rows = [Philox(seed, sequence=first + k) for k in range(count)]

    def uniforms(self, shape: Sequence[int]) -> Tensor:
        """The next numbers of every row; ``shape`` begins with N."""
        if not shape or shape[0] != len(self._rows):
            raise ValueError(f"Rows: shape is {tuple(shape)}, expected (N, ...) with N = {len(self._rows)}")
        made = torch.empty(tuple(shape), dtype=torch.float64)
        for row, numbers in zip(made, self._rows, strict=True):
            row.copy_(numbers.uniforms(shape[1:]))
        return made
