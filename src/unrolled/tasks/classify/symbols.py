"""From contents to numbers: letters, words or values, and what a run keeps to read others the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unrolled.errors import DataError, RunError
from unrolled.tasks.classify.alphabet import LETTERS, Alphabet, looks_like
from unrolled.tasks.classify.options import UNITS
from unrolled.tasks.classify.records import Record
from unrolled.tasks.symbols.vocabulary import split

UNKNOWN = 0
"""The number of a character or word that training never saw."""
_MOST_WORDS = 20_000


class Symbols:
    """How contents become numbers.

    Arguments:
        units: one of `UNITS`.
        names: of the characters or words by number, the unknown first; none for the other units.
        mean, scale: of each channel of values in the training part.
        by_blanks: words are what stands between blanks, as where each has a label.
    """

    def __init__(
        self,
        units: str,
        names: Sequence[str] = (),
        mean: Sequence[float] = (),
        scale: Sequence[float] = (),
        by_blanks: bool = False,
    ) -> None:
        self.units, self.by_blanks = units, by_blanks
        self.alphabet = Alphabet(units) if units in LETTERS else None
        self.names = list(self.alphabet.letters) if self.alphabet else list(names) or [""]
        self.mean, self.scale = np.array(mean, np.float32), np.array(scale, np.float32)
        self._numbers = {name: k for k, name in enumerate(self.names)}
        self.grows = not names and self.alphabet is None and units != "values"

    @property
    def dtype(self) -> Any:
        """Of the numbers that are kept."""
        if self.units == "values":
            return np.float32
        return np.uint8 if self.alphabet else np.int32

    def encode(self, record: Record) -> np.ndarray:
        """The numbers of a record; values are as they are until `scaled` brings them to one scale.

        Raises:
            DataError: a letter is none of the alphabet, or values are of another kind than the model's.
        """
        content = record.content
        if self.units == "values":
            values = content if isinstance(content, np.ndarray) else _parsed(content, record.where)
            if len(self.mean) and values.shape[1] != len(self.mean):
                raise DataError(
                    f"{record.where}: has {values.shape[1]} channels, and the model was trained on {len(self.mean)}"
                )
            return values
        if isinstance(content, np.ndarray):
            raise DataError(f"{record.where}: has values, and the model was trained on {self.units}")
        if self.alphabet:
            return self.alphabet.encode("".join(content.split()), record.where)
        parts: Sequence[str] = content
        if self.units == "words":
            parts = content.lower().split() if self.by_blanks else words_of(content)
        if self.grows:
            return np.array([self._number(part) for part in parts], dtype=np.int32)
        return np.array([self._numbers.get(part, UNKNOWN) for part in parts], dtype=np.int32)

    def _number(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.names)
            self.names.append(name)
        return number

    def settled(self, counts: np.ndarray) -> np.ndarray:
        """Keep what the training part has: all its characters, or its words that stand there twice; renumber.

        Arguments:
            counts: how often each number stands in the training part.

        Returns:
            The new number of each old one.
        """
        least = 2 if self.units == "words" else 1
        kept = [k for k in np.argsort(-counts, kind="stable") if k and counts[k] >= least][: _MOST_WORDS - 1]
        renumber = np.zeros(len(counts), dtype=np.int32)
        renumber[kept] = np.arange(1, len(kept) + 1)
        self.names = ["", *(self.names[k] for k in kept)]
        self._numbers = {name: k for k, name in enumerate(self.names)}
        self.grows = False
        return renumber

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Values of one scale: mean 0 and variance 1 in every channel of the training part."""
        return (values - self.mean) / self.scale

    def shown(self, numbers: np.ndarray) -> list[str]:
        """What a person is to see of each step."""
        if self.units == "values":
            return [" ".join(f"{v:.3g}" for v in row[:3]) for row in numbers]
        return [self.names[k] or "?" for k in numbers]

    def as_json(self) -> dict[str, Any]:
        """For a side file."""
        names = [] if self.alphabet else self.names
        scales = {"mean": self.mean.tolist(), "scale": self.scale.tolist()}
        return {"units": self.units, "names": names, **scales, "by_blanks": self.by_blanks}

    @classmethod
    def from_json(cls, content: Any, where: str) -> Symbols:
        """From the side file; RunError if it does not hold together."""
        units, names = content.get("units"), content.get("names")
        if units not in UNITS or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise RunError(f"{where} is damaged: its units are {units!r}")
        made = cls(units, names, content["mean"], content["scale"], bool(content["by_blanks"]))
        if len(made.mean) != len(made.scale) or not (made.scale > 0).all():
            raise RunError(f"{where} is damaged: the scales of its channels")
        made.grows = False
        return made


def mean_and_scale(sequences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel over all steps; 1 for a channel that does not vary."""
    count, total, square = 0, np.zeros(1), np.zeros(1)
    for x in sequences:
        values = x.astype(np.float64)
        count, total, square = count + len(x), total + values.sum(0), square + (values**2).sum(0)
    mean = total / count
    scale = np.sqrt(np.maximum(square / count - mean**2, 0))
    scale[scale < 1e-6 * np.maximum(np.abs(mean), 1e-6)] = 1.0
    return mean.astype(np.float32), scale.astype(np.float32)


def units_of(records: Sequence[Record], from_letters: bool) -> str:
    """What the steps of sequences are, as far as the first records tell.

    Arguments:
        from_letters: the file's kind says that they are letters of DNA or proteins.
    """
    if isinstance(records[0].content, np.ndarray):
        return "values"
    texts = [record.content for record in records if isinstance(record.content, str)]
    if all(looks_like("dna", text) for text in texts):
        return "dna"
    if from_letters:
        return "protein"
    if all(" " in text and _all_numbers(text) for text in texts):
        return "values"
    return "words" if sum(len(text.split()) for text in texts) >= 3 * len(texts) else "characters"


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, with punctuation as words and white space left out.

    >>> words_of("Not good, sadly")
    ['not', 'good', ',', 'sadly']
    """
    return [word for part in split(text, "words") if (word := part.strip().lower())]


def _all_numbers(text: str) -> bool:
    try:
        return bool([float(cell) for cell in text.split()])
    except ValueError:
        return False


def _parsed(text: str, where: str) -> np.ndarray:
    if not _all_numbers(text):
        odd = next((cell for cell in text.split() if not _all_numbers(cell)), "")
        raise DataError(f"{where}: {odd[:20]!r} is not a number; the values of a sequence are numbers with blanks")
    values = np.array([float(cell) for cell in text.split()], dtype=np.float32)[:, None]
    if not np.isfinite(values).all():
        raise DataError(f"{where}: has a value that is not finite")
    return values
