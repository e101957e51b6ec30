"""A trained transcriber, from its run folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.errors import DataError, UsageError
from unrolled.models.ctc_search import Language, ctc_search
from unrolled.models.language import SymbolLanguage
from unrolled.tasks.folders import files_in
from unrolled.tasks.symbols.vocabulary import UNKNOWN
from unrolled.tasks.text.trained import TrainedText
from unrolled.tasks.trained import Trained
from unrolled.tasks.transcribe.hearing import finite, outputs_of
from unrolled.tasks.transcribe.listener import Listener
from unrolled.tasks.transcribe.reads.calling import WIDTH, Call, beam_call, fastq, greedy_call
from unrolled.tasks.transcribe.reads.files import every_signal
from unrolled.tasks.transcribe.reads.pieces import in_pieces
from unrolled.tasks.transcribe.sound import SUFFIXES, pieces_of, read_sound

_FEWEST = 10
"""Samples of a read."""
_STRONGEST = 100.0
"""The largest weight, or bonus, of a language model."""
_WIDTH = 16
"""Of the search with a language model, where nobody named one."""


class TrainedTranscriber(Trained):
    """A trained model of recordings; see `Trained`."""

    @property
    def verb(self) -> str:
        return "basecall" if self.task.kind.name == "reads" else "transcribe"

    def recordings(self, names: Sequence[str | os.PathLike]) -> list[Path]:
        """The files that are named, and the recordings in folders that are.

        Raises:
            UsageError: one is not there, or a folder has none.
        """
        found: list[Path] = []
        for path in map(Path, names):
            if not path.exists():
                raise UsageError(f"there is no file or folder {path}")
            inside = [p for p in files_in(path) if p.suffix.lower() in SUFFIXES] if path.is_dir() else [path]
            if not inside:
                raise UsageError(f"the folder {path} has no recordings")
            found += inside
        return found

    def transcribe(
        self,
        file: str | os.PathLike,
        beam: int | None = None,
        language_model: TrainedText | None = None,
        weight: float | None = None,
        bonus: float | None = None,
    ) -> str:
        """The text of one sound file.

        Arguments:
            beam: the width of a prefix beam search; None for the most likely path, or 16 with a language model.
            language_model: a model of characters; weight, bonus: see `models.ctc_search.ctc_search`; None for 0.5
                and 1.

        Raises:
            DataError: the file cannot be used.
            UsageError: a language model of other symbols, or a setting out of range.
        """
        self._check_kind("speech")
        if beam is not None and beam < 1:
            raise UsageError(f"--beam: must be a whole number from 1, got {beam}")
        for name, value in (("weight", weight), ("bonus", bonus)):
            if value is not None and language_model is None:
                raise UsageError(f"--{name} is for a language model: add --language-model")
            if value is not None and not abs(value) <= _STRONGEST:
                raise UsageError(f"--{name}: must be a number from -{_STRONGEST:g} to {_STRONGEST:g}, got {value}")
        samples = read_sound(Path(file), self.task.front.rate)
        outputs, inside = outputs_of(self.model, [samples], self.task.front)
        finite(outputs)
        if beam is None and language_model is None:
            labels: Sequence[int] = self.model.head.greedy(outputs, inside)[:, 0].tolist()
            return str(self.task.text_of(labels))
        help_: dict[str, Any] = {}
        if language_model is not None:
            help_ = {"language": self._language(language_model)}
            help_ |= {"weight": 0.5 if weight is None else weight, "bonus": 1.0 if bonus is None else bonus}
        found = ctc_search(outputs[:, 0], width=beam or _WIDTH, **help_)
        return str(self.task.text_of(found[0].symbols))

    def listen(self, pieces: Iterable[np.ndarray]) -> Iterator[str]:
        """The text of sound as it comes, piece by piece, in memory that does not grow.

        Arguments:
            pieces: samples (any number,) of 16 bits, at the run's rate.

        Raises:
            UsageError: the model reads backwards, too.
        """
        self._check_kind("speech")
        listener = Listener(self.model, self.task.front, self.options.reduction)
        for piece in pieces:
            yield self.task.text_of(listener.hear(piece))
        yield self.task.text_of(listener.end())

    def stream(self, file: str | os.PathLike) -> Iterator[str]:
        """The same for a sound file of any length; see `listen`.

        Raises:
            UsageError: as `listen`, or a folder. DataError: the file cannot be used.
        """
        path = Path(file)
        if path.is_dir():
            raise UsageError(f"--stream takes one file, and {path} is a folder")
        return self.listen(pieces_of(path, self.task.front.rate))

    def basecall(self, reads: str | os.PathLike, beam: int = WIDTH) -> Iterator[tuple[str, bool]]:
        """FASTQ records of nanopore reads, one at a time; or a sentence, and True, for one that cannot be used.

        Arguments:
            reads: a POD5 or fast5 file, or a folder of them.
            beam: the width of a prefix beam search; 1 for the most likely path.

        Raises:
            UsageError: there is no such file or folder. DataError, at the end: none of the reads can be used.
        """
        self._check_kind("reads")
        front = self.task.front

        def call(samples: np.ndarray) -> Call:
            outputs, _ = outputs_of(self.model, [samples], front)
            finite(outputs)
            return greedy_call(outputs[:, 0]) if beam == 1 else beam_call(outputs[:, 0], beam)

        first, any_good = "", False
        for read in every_signal(Path(reads)):
            if isinstance(read, str):
                why = read
            elif round(read.rate) != front.rate:
                why = f"{read.name} has {read.rate:g} samples a second, and the model {front.rate:,}"
            elif len(read.current) < _FEWEST:
                why = f"{read.name} has {len(read.current)} samples, expected at least {_FEWEST}"
            else:
                found = in_pieces(front.normed(read.current), self.options.reduction, call)
                if found.labels:
                    any_good = True
                    yield fastq(read.name, self.task.text_of(found.labels), found.qualities), False
                    continue
                why = f"the model finds no bases in {read.name}"
            first = first or why
            yield why, True
        if not any_good:
            raise DataError(f"{reads}: none of the reads can be used; the first: {first}")

    def _check_kind(self, kind: str) -> None:
        own, path = self.task.kind.name, self.run.path
        if own != kind:
            raise UsageError(f"{path} is a model of {own}, not of {kind}: see unrolled {self.verb} {path}")

    def _language(self, text: TrainedText) -> Language:
        """A model of characters, for the labels of this one."""
        where = f"--language-model: {text.run.path}"
        if not isinstance(text, TrainedText) or text.vocabulary.units != "characters":
            raise UsageError(f"{where} is not a model of text in characters")
        numbers, own = text.vocabulary.numbers, self.task.symbols
        symbols: list[int | None] = [None, *map(numbers.get, own)]
        if not any(symbols):
            raise UsageError(f"{where} knows none of the characters {''.join(own)}")
        return SymbolLanguage(text.model, symbols, [numbers.get("\n", numbers.get(" ", UNKNOWN))])
