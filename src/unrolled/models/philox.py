"""Counted random numbers: number k of a seed is the same on every path and in every language.

Philox 4x64 with 10 rounds (J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), as in
numpy: the key is (seed, 0), block b is the cipher of the counter (b + 1, 0, 0, 0), and number k is word
k mod 4 of block k // 4. Its upper 53 bits, over 2^53, are uniform in [0, 1).
"""

from __future__ import annotations

import numpy as np

_MASK = 2**64 - 1


class Philox:
    """The uniform numbers of one seed, in order, from any place on.

    >>> a, b = Philox(seed=1), Philox(seed=1, position=2)
    >>> [a.uniform() for _ in range(3)][2] == b.uniform()
    True
    """

    def __init__(self, seed: int, position: int = 0) -> None:
        self._bits = np.random.Philox(key=np.array([seed & _MASK, 0], dtype=np.uint64))
        self._bits.advance(position // 4)
        self.position = position - position % 4
        for _ in range(position % 4):
            self.uniform()

    def uniform(self) -> float:
        """The next number in [0, 1)."""
        self.position += 1
        return (int(self._bits.random_raw()) >> 11) * 2.0**-53
