"""Names that a person may give to locals, parameters and states, and that a compiler may trip over."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterable

PLAIN = ("a", "b", "c", "f", "g", "h", "i", "n", "o", "r", "u", "z", "gate", "memory", "cand", "mix")

HOSTILE = (
    # short names that a compiler likes for its own arrays
    *(
        "dy",
        "dx",
        "dh",
        "d",
        "s",
        "p",
        "t",
        "w",
        "b0",
        "t0",
        "t1",
        "t2",
        "v0",
        "y",
        "e",
        "k",
        "q",
        "N",
        "T",
        "j",
        "m",
    ),
    *("derived0", "derived1", "derived2", "d_h", "new_h", "h0", "p0", "s0", "x0", "out", "grad", "flags"),
    # words of the program's text
    *("program", "sequence", "state", "constant", "parameter", "linear", "row", "number", "cat", "slice", "expand"),
    *("add", "sub", "mul", "div", "neg", "tanh", "sigmoid", "exp", "where", "copy", "rowsum", "layernorm", "fma"),
    *("carry", "next", "new", "old", "temp", "return_", "scratch", "array", "saved", "pieces", "left", "before"),
    # words that read as numbers
    *("inf", "nan", "infinity", "Infinity", "NaN", "e1", "_1", "__", "_"),
    # builtins and names of the layer
    *("type", "id", "len", "list", "input", "weight", "bias", "cell", "x1", "outputs", "initial", "lengths", "step_"),
    # other alphabets, letters that NFKC changes, letters that look like a prime or a digit
    *(
        "ħ",
        "σ",
        "Ω",
        "α",
        "β",
        "ñ",
        "ü",
        "h_t",
        "ĉ",
        "хх",
        "时",
        "ﬁ",
        "ſ",
        "µ",
        "ª",
        "xʹ",
        "hʹ",
        "ʻh",
        "ℎ",
        "𝐡",
        "x١",
    ),
)

TAKEN = {"torch", "F", "nn", "self", "unrolled", "abs"}
"""What the source itself uses."""


class Names:
    """Fresh names for one cell: hostile with probability ``share``."""

    def __init__(self, rng: random.Random, share: float) -> None:
        self._rng = rng
        self._share = share
        self._used: set[str] = set(TAKEN)

    def fresh(self, avoid: set[str] | frozenset[str] = frozenset()) -> str:
        """A name that was not used before."""
        for _ in range(20):
            name = self._rng.choice(HOSTILE if self._rng.random() < self._share else PLAIN)
            if normal(name) not in self._used and normal(name) not in avoid:
                break
        else:
            name = f"{name}{len(self._used)}"
        self._used.add(normal(name))
        return name

    def reserve(self, names: Iterable[str]) -> None:
        """Names that are taken."""
        self._used |= {normal(name) for name in names}


def normal(name: str) -> str:
    """The name that Python reads: source text is normalised."""
    return unicodedata.normalize("NFKC", name)
