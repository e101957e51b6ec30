"""How far transcripts are from the texts."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from typing import Any

from unrolled.tasks.extras import needed

_WORST = 20
"""Transcripts that are listed."""


@dataclass(frozen=True)
class Transcript:
    """One recording.

    Fields:
        text: what is said; heard: what the model made of it.
        wrong: characters to insert, to delete and to replace.
        loss: -log p(text) in nats; symbols: of the text, that it is counted over.
    """

    name: str
    text: str
    heard: str
    wrong: int
    loss: float
    symbols: int


@dataclass(frozen=True)
class Read(Transcript):
    """A read of bases; ``identity`` is the share of the columns of its alignment that are equal."""

    identity: float


class Transcripts:
    """Transcripts of recordings, and their scores.

    Equation::

        cer = (insertions + deletions + replacements of characters) / characters of the texts

    and wer the same of words, by the least number of changes, over all recordings together. ``exact`` is the share of
    the recordings without a change. Blanks at the ends, and all but one of several, do not count.
    ``real_time_factor`` is the seconds that the model took for a second of sound.

    Source:
        the distance: V. I. Levenshtein (1966), by jiwer.
    """

    def __init__(self) -> None:
        self.found: list[Transcript] = []
        self.sound, self.work = 0.0, 0.0
        self._words, self._words_wrong = 0, 0
        self._jiwer = needed("jiwer", "Scores of transcripts")

    def add(self, name: str, text: str, heard: str, loss: float, symbols: int | None = None) -> None:
        """One more.

        Arguments:
            symbols: of the text, that the model has; None for all.
        """
        heard = " ".join(heard.split())
        self._words += len(text.split())
        self._words_wrong += _changes(self._jiwer.process_words(text, heard))
        wrong = _changes(self._jiwer.process_characters(text, heard))
        self.found.append(Transcript(name, text, heard, wrong, loss, len(text) if symbols is None else symbols))

    def means(self) -> dict[str, Any]:
        """The scores, by name."""
        symbols = sum(one.symbols for one in self.found)
        return {
            "loss": sum(one.loss for one in self.found) / symbols if symbols else math.nan,
            "cer": sum(one.wrong for one in self.found) / sum(len(one.text) for one in self.found),
            "wer": self._words_wrong / max(self._words, 1),
            "exact": sum(not one.wrong for one in self.found) / len(self.found),
            "scored": len(self.found),
        }

    def figures(self) -> dict[str, Any]:
        """The same, with the speed and the worst transcripts."""
        worst = sorted(self.found, key=lambda one: (-self._badness(one), one.name))[:_WORST]
        return self.means() | {
            "real_time_factor": self.work / self.sound if self.sound else math.nan,
            "seconds": self.sound,
            "worst": [asdict(one) for one in worst if one.wrong],
        }

    def _badness(self, one: Any) -> float:
        return float(one.wrong)


class Reads(Transcripts):
    """Reads of bases.

    Equation::

        identity = bases that are equal / columns        of the alignment with the least changes, from end to end

    in the mean over the reads; a read without bases has 0.

    Source:
        the alignment is edlib's: M. Šošić & M. Šikić, "Edlib: a C/C++ library for fast, exact sequence alignment
        using edit distance" (2017).
    """

    def __init__(self) -> None:
        super().__init__()
        self._edlib = needed("edlib", "Scores of reads")

    def add(self, name: str, text: str, heard: str, loss: float, symbols: int | None = None) -> None:
        wrong, columns = len(text), len(text)
        if heard:
            found = self._edlib.align(heard, text, task="path")
            wrong, columns = int(found["editDistance"]), sum(map(int, re.findall(r"\d+", found["cigar"])))
        symbols = len(text) if symbols is None else symbols
        self.found.append(Read(name, text, heard, wrong, loss, symbols, identity=1 - wrong / columns))

    def means(self) -> dict[str, Any]:
        found = super().means()
        del found["wer"], found["exact"]
        return found | {"identity": -sum(map(self._badness, self.found)) / len(self.found)}

    def _badness(self, one: Any) -> float:
        return -float(one.identity)


def _changes(found: Any) -> int:
    """The least number of changes, as jiwer gives them by kind."""
    return int(found.insertions + found.deletions + found.substitutions)
