"""One labelled sequence as a file has it."""

from __future__ import annotations

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
