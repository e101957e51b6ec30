"""A trained text model, from its run folder: write, score, evaluate."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from unrolled.errors import DataError, UsageError
from unrolled.tasks.data import file_name
from unrolled.tasks.files import TextFiles
from unrolled.tasks.piped import own_data
from unrolled.tasks.symbols.scored import ScoredText
from unrolled.tasks.symbols.scoring import log_probabilities
from unrolled.tasks.symbols.vocabulary import UNKNOWN, Vocabulary, split
from unrolled.tasks.symbols.writing import write, write_bytes
from unrolled.tasks.text.passage import USUAL, passage_of_file, passage_of_run, passage_of_sample
from unrolled.tasks.text.reading import options_for
from unrolled.tasks.trained import Trained
from unrolled.training.task import Evidence


class TrainedText(Trained):
    """A trained language model; see `Trained`.

    Attributes:
        vocabulary: its symbols.
    """

    @property
    def vocabulary(self) -> Vocabulary:
        """Its symbols, with their numbers and how often each stands in the training text."""
        vocabulary: Vocabulary = self.task.vocabulary
        return vocabulary

    def sample(self, length: int = 500, prime: str = "", **settings: Any) -> str:
        """Text of the model's own, after the prime.

        Arguments:
            length: symbols after the prime.
            prime: text to go on from; it begins the result.
            settings: temperature, top_k, top_p, stop, seed; see `stream`.
        """
        return "".join(self.stream(length, prime, **settings))

    def stream(
        self,
        length: int = 500,
        prime: str = "",
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        stop: str | None = None,
        seed: int = 1,
    ) -> Iterator[str]:
        """As `sample`, piece by piece as it is made.

        Arguments:
            temperature: below 1 safer, above 1 bolder, 0 always the most likely symbol.
            top_k: choose among the k most likely symbols only.
            top_p: choose among the fewest symbols whose probabilities reach p.
            stop: end before this text.
            seed: the same seed gives the same text.

        Raises:
            UsageError: the prime has symbols that the model does not know.
            ValueError: a setting out of range.
        """
        settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "stop": stop, "seed": seed}
        return write(self.model, self.vocabulary, length, prime=prime, **settings)

    def stream_bytes(self, length: int = 500, prime: str = "", **settings: Any) -> Iterator[bytes]:
        """As `stream`, not decoded: the bytes of a model of bytes as they are, any other text in UTF-8."""
        return write_bytes(self.model, self.vocabulary, length, prime=prime, **settings)

    def score(self, text: str, given: str = "") -> ScoredText:
        """The probability of a text.

        Equation::

            p(text) = p(s_1) p(s_2 | s_1) p(s_3 | s_1 s_2) ...

        with p(s_1) its frequency in the training text, or, after ``given``, the model's.

        Raises:
            UsageError: the text is empty.
        """
        for name, one in (("text", text), ("given", given)):
            if not isinstance(one, str):
                raise UsageError(f"score: {name} must be text, got {one!r}")
        numbers = self.vocabulary.encode(text)
        if not len(numbers):
            raise UsageError("score: the text is empty")
        before = self.vocabulary.encode(given)
        logs = log_probabilities(self.model, np.concatenate([before, numbers]))
        if len(before):
            logs = logs[len(before) - 1 :]
        else:
            counts = self.vocabulary.counts
            logs = [math.log(max(counts[numbers[0]], 1) / max(counts.sum(), 1)), *logs]
        unknown = int((np.concatenate([before, numbers]) == UNKNOWN).sum()) if self.vocabulary.has_unknown else 0
        return ScoredText(text, self._names(text, numbers), logs, unknown)

    def read(self, data: str | os.PathLike) -> str:
        """The text of a file or folder, ``-`` for standard input, as `score` takes it."""
        path = file_name(data)
        include = options_for(path, self.options).include
        files = TextFiles(path, include, raw=self.vocabulary.units == "bytes")
        if files.raw:
            return b"".join(files.blocks()).decode("utf-8", "surrogateescape")
        return "".join(files.texts())

    def evidence(self, data: str | os.PathLike | None = None) -> Evidence:
        """A stretch of text, ready for `unrolled.insight` to look at what the model does with it.

        Arguments:
            data: a file or folder; None for the run's own validation part, or, where the run's text is not
                at hand, a text of the model's own.

        Raises:
            UsageError: no such file. DataError: it is empty, or no text.
        """
        if data is not None:
            return passage_of_file(file_name(data), self.options, self.vocabulary, self.config["data"])
        try:
            own = self.config["data"] | {"path": own_data(self.run)}
            return passage_of_run(own, self.options, self.vocabulary)
        except (UsageError, DataError) as error:
            return passage_of_sample(self.sample(USUAL), self.vocabulary, str(error))

    def _names(self, text: str, numbers: np.ndarray) -> list[str]:
        if self.vocabulary.units == "bytes":
            return [self.vocabulary.symbols[n] for n in numbers]
        return split(text, self.vocabulary.units)
