"""One labelled sequence as a file has it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Record:
    """A sequence before it is numbered.

    Fields:
        name: what the file calls it, or its place there.
        content: a text, or values (T, width).
        label: None where the file has none.
        tags: one label a step, in place of one for all.
        where: the file and the place in it, for errors.
    """

    name: str
    content: str | np.ndarray
    label: str | None
    where: str
    tags: tuple[str, ...] | None = None


def composed(text: str) -> str:
    r"""A text in Unicode's form NFC, in which é is one character, however a file spells it.

    >>> len("e\u0301"), len(composed("e\u0301"))
    (2, 1)
    """
    return unicodedata.normalize("NFC", text)
