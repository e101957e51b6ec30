"""The vocabulary: symbols and their numbers."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import regex

from unrolled.errors import RunError, UsageError
from unrolled.tasks.symbols.units import UNITS
from unrolled.wording import singular

UNKNOWN = 0
"""The number of the unknown symbol, where a vocabulary has one."""

BOUNDARIES = "UAX 29"
"""Unicode's default word boundaries (Unicode Standard Annex 29), which `regex` implements."""

_LONGEST = 64
_WORD = regex.compile(rf" ?\S(?:\B.){{0,{_LONGEST - 1}}}|\s", regex.V1 | regex.WORD | regex.DOTALL)
"""What stands between two word boundaries, with the blank before it, or one white space; together, the text."""
_COMBINING = regex.compile(r"[\p{Word_Break=Extend}\p{Word_Break=Format}\p{Word_Break=ZWJ}]", regex.V1)


class Vocabulary:
    """Symbols by number. Characters and words have number 0 for what is unknown; bytes know everything.

    Arguments:
        units: ``characters``, ``bytes`` or ``words``.
        symbols: by number; the unknown symbol is the empty string.
        counts: how often each stands in the training part.

    >>> v = Vocabulary("characters", ["", "e", "h", "l", "o"], [0, 1, 1, 2, 1])
    >>> v.encode("hello").tolist(), v.decode([2, 1, 3, 3, 4])
    ([2, 1, 3, 3, 4], 'hello')
    """

    def __init__(self, units: str, symbols: list[str], counts: Iterable[int]) -> None:
        self.units = units
        self.symbols = symbols
        self.counts = np.asarray(list(counts), dtype=np.int64)
        self.numbers = {symbol: number for number, symbol in enumerate(symbols) if symbol}

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def has_unknown(self) -> bool:
        """Whether number 0 stands for what is unknown."""
        return self.units != "bytes"

    @property
    def unknown(self) -> tuple[int, ...]:
        """The numbers that must never be written."""
        return (UNKNOWN,) if self.has_unknown else ()

    def encode(self, text: str) -> np.ndarray:
        """The numbers of the symbols of a text; what is unknown becomes 0."""
        if self.units == "bytes":
            return np.frombuffer(to_bytes(text), dtype=np.uint8).astype(np.int64)
        return np.array([self.numbers.get(s, UNKNOWN) for s in split(text, self.units)], dtype=np.int64)

    def encode_known(self, text: str, what: str) -> np.ndarray:
        """As `encode`; UsageError that names the unknown symbols if there are any."""
        numbers = self.encode(text)
        if self.has_unknown and (numbers == UNKNOWN).any():
            odd = dict.fromkeys(s for s in split(text, self.units) if s not in self.numbers)
            names = ", ".join(repr(s) for s in odd)
            unit, are = (self.units, "they are") if len(odd) > 1 else (singular(self.units), "it is")
            raise UsageError(f"{what}: the model does not know the {unit} {names}: {are} not in its vocabulary")
        return numbers

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of these symbols."""
        return "".join(self.decode_stream(numbers))

    def decode_stream(self, numbers: Iterable[int]) -> Iterator[str]:
        """The text piece by piece, in whole characters; bytes that are not UTF-8 become U+FFFD."""
        return as_text(self.as_bytes(numbers))

    def as_bytes(self, numbers: Iterable[int]) -> Iterator[bytes]:
        """The symbols as bytes, one by one: UTF-8, unless the units are bytes."""
        for number in numbers:
            yield bytes([number]) if self.units == "bytes" else to_bytes(self.symbols[number])

    def as_json(self) -> dict[str, Any]:
        """For ``vocabulary.json``."""
        symbols = [] if self.units == "bytes" else self.symbols
        content = {"units": self.units, "symbols": symbols, "counts": self.counts.tolist()}
        return content | ({"boundaries": BOUNDARIES} if self.units == "words" else {})

    @classmethod
    def from_json(cls, content: Any, where: str) -> Vocabulary:
        """From ``vocabulary.json``; RunError if it does not hold together."""
        try:
            units, symbols, counts = content["units"], content["symbols"], content["counts"]
            if not all(isinstance(symbol, str) for symbol in symbols) or units not in UNITS:
                raise ValueError("a symbol is not text, or the units are unknown")
            vocabulary = cls(units, byte_symbols() if units == "bytes" else symbols, counts)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{where} is damaged: {error!r}") from error
        if units == "words" and content.get("boundaries") != BOUNDARIES:
            raise RunError(
                f"{where} splits words in a way that this version of unrolled does not know, expected {BOUNDARIES!r}"
            )
        if len(vocabulary.counts) != len(vocabulary):
            raise RunError(f"{where} is damaged: it has {len(vocabulary)} symbols, {len(vocabulary.counts)} counts")
        return vocabulary


def to_bytes(text: str) -> bytes:
    """A text in UTF-8; what stands for a byte that is not UTF-8, such as in a command's arguments, is that byte."""
    return text.encode("utf-8", "surrogateescape")


def as_text(pieces: Iterable[bytes]) -> Iterator[str]:
    """UTF-8 as text, in whole characters; bytes that are not UTF-8 become U+FFFD."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for piece in pieces:
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)


def byte_symbols() -> list[str]:
    """A readable name for each of the 256 bytes."""
    return [chr(b) if 32 <= b < 127 else f"\\x{b:02x}" for b in range(256)]


def split(text: str, units: str) -> list[str]:
    """The symbols of a text; joined they are the text.

    >>> split("To be, or can't", "words")
    ['To', ' be', ',', ' or', " can't"]
    """
    return _WORD.findall(text) if units == "words" else list(text)


def combines(word: str) -> bool:
    """Whether it begins with a mark that combines with what stands before it."""
    return _COMBINING.match(word) is not None


def is_joined(words: list[str], k: int) -> bool:
    """Whether where word ``k`` ends may depend on the words before it.

    They may be the same word, which `split` cut for its length; or it begins with a mark that combines with them.
    """
    was_cut = len(words[k - 1].removeprefix(" ")) == _LONGEST
    return was_cut or (k < len(words) and combines(words[k]))
