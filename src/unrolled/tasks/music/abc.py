"""ABC tunes as text, character by character."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.errors import DataError, UsageError
from unrolled.models.model import Model
from unrolled.tasks.music.options import MusicOptions, SampleOptions
from unrolled.tasks.music.reading import Source
from unrolled.tasks.music.shown import shown
from unrolled.tasks.music.tokens import Tokens
from unrolled.tasks.music.tunes import score_of_tune
from unrolled.tasks.symbols.counting import count
from unrolled.tasks.symbols.vocabulary import UNKNOWN, Vocabulary
from unrolled.training.task import Shown

_LONGEST = 4_000
"""Characters of a tune that is sampled."""


class Abc(Tokens):
    """The characters of tunes, each tune from its line X: to the empty line behind it."""

    name, unit = "abc", "characters"
    vocabulary: Vocabulary | None = None
    never = (UNKNOWN,)

    def __init__(self, options: MusicOptions, kept: Mapping[str, Any] | None = None) -> None:
        super().__init__(options, kept)
        if kept is not None:
            self._use(Vocabulary.from_json(kept["vocabulary"], "music.json"))

    def _use(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.names = vocabulary.symbols
        self.start = vocabulary.numbers["\n"]

    def kept(self) -> dict[str, Any]:
        """What using a model needs to know."""
        assert self.vocabulary is not None
        return {"vocabulary": self.vocabulary.as_json()}

    def convert(self, source: Source) -> np.ndarray:
        """The code points of a tune, and an empty line."""
        if source.tune is None:
            raise DataError(f"{source.name} is no ABC: leave out --representation abc")
        return np.array([ord(c) for c in source.tune + "\n"], dtype=np.int32)

    def settled(self, pieces: Sequence[np.ndarray], training: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The vocabulary is that of the training part; each character by its number in it."""
        if self.vocabulary is None:
            codes = np.concatenate(training)
            known = np.union1d(codes, [ord("\n")])  # every tune starts from a new line
            counts = count(np.searchsorted(known, codes), len(known))
            self._use(Vocabulary("characters", ["", *map(chr, known)], [0, *counts]))
        return [self._encoded(piece) for piece in pieces]

    def _encoded(self, codes: np.ndarray) -> np.ndarray:
        assert self.vocabulary is not None
        return self.vocabulary.encode("".join(map(chr, codes))).astype(np.int32)

    def sample(self, model: Model, options: SampleOptions, primed: np.ndarray | None, font: Path | None) -> Shown:
        """A tune of at most so many bars as text, and as MIDI where it can be read as such."""
        if options.tempo != SampleOptions.tempo:
            raise UsageError("--tempo: a tune says how fast it is itself (Q:): leave it out with abc")
        assert self.vocabulary is not None
        given = None
        if primed is not None:  # without the empty line
            given = self.vocabulary.encode_known("".join(map(chr, primed[:-1])), "--prime")
        text = "" if given is None else self.vocabulary.decode(given)
        first = text.count("|")
        own = self.vocabulary.decode_stream(self.drawn(model, options, given, _LONGEST))
        for piece in itertools.chain([""], own):
            text += piece
            if text.endswith("\n\n") or (_in_tune(text) and text.count("|") - first >= options.bars):
                break
        text = text.rstrip() + "\n"
        if not text.strip():
            raise UsageError("the model writes nothing: choose another --temperature or --seed")
        if not text.startswith("X:") or not _in_tune(text):
            return Shown("text", text.encode("utf-8"), note="no MIDI: the text is not a whole tune")
        try:
            score, wrong = score_of_tune(text, "the tune")
        except DataError as error:
            return Shown("text", text.encode("utf-8"), note=f"no MIDI: {error}")
        made = shown(score, 0.0, font)
        beside = (Shown("midi", made.content), *made.beside)
        mistake = f"the notes may differ from the text, which has a mistake in {wrong}" if wrong else ""
        return Shown("text", text.encode("utf-8"), beside, "; ".join(filter(None, [mistake, made.note])))


def _in_tune(text: str) -> bool:
    """Whether the head of the tune is complete, which ends with its key."""
    return any(line.startswith("K:") for line in text.split("\n")[:-1])
