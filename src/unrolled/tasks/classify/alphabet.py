"""Letters of nucleic acids and proteins, with IUPAC's codes for letters that are not known."""

from __future__ import annotations

import numpy as np

from unrolled.errors import DataError

_DNA = dict(zip("ACGTU", "ACGTT", strict=True))
_DNA |= {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"}
_DNA |= {"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT", "-": "", ".": ""}
_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
_PROTEIN = {a: a for a in _ACIDS} | {"B": "DN", "Z": "EQ", "J": "IL", "X": _ACIDS, "U": "C", "O": "K"}
_PROTEIN |= {"*": "", "-": "", ".": ""}
LETTERS = {"dna": _DNA, "protein": _PROTEIN}
"""What each letter may stand for; a gap or a stop stands for none."""

COMPLEMENTS = dict(zip("ACGTURYSWKMBDHVN-.", "TGCAAYRSWMKVHDBN-.", strict=True))
"""The letter on the other strand."""


class Alphabet:
    """Letters by number, in either case.

    Attributes:
        letters: by number.
        rows: what each stands for as a mixture of the plain ones (letters, plain).

    >>> dna = Alphabet("dna")
    >>> dna.encode("acgN", "x").tolist(), dna.rows[dna.letters.index("R")].tolist()
    ([0, 1, 2, 15], [0.5, 0.0, 0.5, 0.0])
    >>> dna.encode("ACGE", "seq.fa, record 2")
    Traceback (most recent call last):
    unrolled.errors.DataError: seq.fa, record 2: position 4 is 'E', which is not a letter of DNA in IUPAC's code
    """

    def __init__(self, units: str) -> None:
        self.units = units
        known = LETTERS[units]
        self.letters = "".join(known)
        self.plain = "ACGT" if units == "dna" else _ACIDS
        rows = [[one in stands for one in self.plain] for stands in known.values()]
        counts = np.array(rows, dtype=np.float32)
        self.rows = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        self._table = np.full(256, 255, dtype=np.uint8)
        for number, letter in enumerate(self.letters):
            self._table[[ord(letter), ord(letter.lower())]] = number

    def encode(self, text: str, where: str) -> np.ndarray:
        """Letters to numbers; DataError that names the first that is none."""
        numbers = self._table[np.frombuffer(text.encode("latin-1", "replace"), dtype=np.uint8)]
        if (numbers == 255).any():
            at = int((numbers == 255).argmax())
            kind = "DNA" if self.units == "dna" else "proteins"
            raise DataError(
                f"{where}: position {at + 1} is {text[at]!r}, which is not a letter of {kind} in IUPAC's code"
            )
        return numbers

    @property
    def complements(self) -> np.ndarray:
        """The number of each letter's complement, of DNA."""
        return np.array([self.letters.index(COMPLEMENTS[letter]) for letter in self.letters], dtype=np.uint8)


def looks_like(units: str, text: str) -> bool:
    """Whether every letter of a text belongs to the alphabet; of DNA, most must be plain ones.

    >>> looks_like("dna", "acgtn"), looks_like("dna", "MKV"), looks_like("dna", "")
    (True, False, False)
    """
    text = text.upper()
    plain = sum(text.count(letter) for letter in "ACGTUN")
    return set(text) <= set(LETTERS[units]) and (units != "dna" or 2 * plain > len(text))
