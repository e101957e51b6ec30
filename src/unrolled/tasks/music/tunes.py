"""ABC tunes as scores. symusic reads them with the program abc2midi, which writes its complaints where we would."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unrolled.errors import DataError
from unrolled.tasks.music.notes import symusic

_ERROR = re.compile(r"^Error in line-char (\d+)-\d+ : (.*)$", re.MULTILINE)


def score_of_tune(text: str, where: str) -> tuple[Any, str]:
    """The score of one ABC tune, and what is wrong with the tune, if anything: its first error.

    Raises:
        DataError: it cannot be read, or has no notes.
    """
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said"
        with _written_to(said):
            try:
                score = symusic().Score.from_abc(text)
            except (RuntimeError, ValueError) as error:
                score, reason = None, str(error)
        found = _ERROR.search(said.read_text(encoding="utf-8", errors="replace"))
    wrong = f"line {found[1]}: {found[2]}" if found else ""
    if score is None:
        raise DataError(f"{where} is not a tune in ABC notation: {wrong or reason}")
    if not score.note_num():
        raise DataError(f"{where} has no notes" + f"; {wrong}" * bool(wrong))
    return score, wrong


@contextmanager
def _written_to(file: Path) -> Iterator[None]:
    """Inside, what this process and those that it starts write on the terminal goes to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [(number, os.dup(number)) for number in (1, 2)]
    try:
        with open(file, "wb") as stream:
            for number, _ in kept:
                os.dup2(stream.fileno(), number)
        yield
    finally:
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)
