"""A trained text model, from its run folder: write, score, evaluate."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.cells import Cell
from unrolled.errors import DataError, UsageError
from unrolled.models.model import Model
from unrolled.runs.folder import RunFolder
from unrolled.tasks.piped import own_data
from unrolled.tasks.text.baselines import bigram_loss, unigram_loss
from unrolled.tasks.text.build import build_model
from unrolled.tasks.text.files import TextFiles, file_name, same_text
from unrolled.tasks.text.options import TextOptions
from unrolled.tasks.text.passage import USUAL, Passage, passage_of_file, passage_of_run, passage_of_sample
from unrolled.tasks.text.reading import Part, read_part, read_text
from unrolled.tasks.text.scoring import log_probabilities, score
from unrolled.tasks.text.vocabulary import UNKNOWN, Vocabulary, split
from unrolled.tasks.text.writing import write, write_bytes
from unrolled.training.checkpoints import load_weights
from unrolled.training.kept import model_options
from unrolled.wording import counted


@dataclass(frozen=True)
class ScoredText:
    """A text and its probability; ``unknown`` symbols in it and before it were never seen in training.

    Units: ``log_probability`` and ``log_probabilities`` in nats.
    """

    text: str
    symbols: list[str]
    log_probabilities: list[float]
    unknown: int

    @property
    def log_probability(self) -> float:
        """log of the probability of the whole."""
        return sum(self.log_probabilities)

    @property
    def probability(self) -> float:
        """The product of the probabilities; 0.0 where it is too small for a float."""
        return math.exp(self.log_probability)


class TrainedText:
    """A trained language model.

    Attributes:
        model: the `Model`, with its best weights, in evaluation mode.
        vocabulary: its symbols.
        options, model_options: what ``config.toml`` says of the text and of the model.
        config: what ``config.toml`` says.
        run: the folder.
    """

    def __init__(self, run: RunFolder, cell: type[Cell]) -> None:
        self.run = run
        self.config: dict[str, Any] = run.config("text")
        self.options = run.options(TextOptions, "text")
        where = str(run.path / "vocabulary.json")
        self.vocabulary = Vocabulary.from_json(run.read_json("vocabulary.json"), where)
        self.model_options = model_options(run)
        self.model: Model = build_model(cell, len(self.vocabulary), self.model_options, for_use=True)
        arrays, self.about = run.read_model()
        load_weights(self.model, arrays, str(run.path / "model.safetensors"))
        self.model.eval()

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
        files = TextFiles(file_name(data), self.options.include, raw=self.vocabulary.units == "bytes")
        if files.raw:
            return b"".join(files.blocks()).decode("utf-8", "surrogateescape")
        return "".join(files.texts())

    def evaluate(
        self,
        data: str | os.PathLike | None = None,
        on: str | None = None,
        tell: Callable[[float], None] | None = None,
    ) -> dict[str, Any]:
        """Scores on a part of the run's own text, or on another one.

        One stream from the zero state; each symbol but the first is scored once.

        Arguments:
            data: a file or folder, ``-`` for standard input; None for the run's own text, where it lay when the
                run was trained.
            on: ``"validation"`` (the default without ``data``), ``"test"`` or ``"training"``, of the run's own
                text, which ``data`` may name at a new path; None with ``data`` for the whole of it.
            tell: called with the share that is scored, now and then.

        Returns:
            loss (nats a symbol), bits_per_character, perplexity, accuracy, characters, symbols, unknown
            (symbols that the model never saw, counted by symbol), on, and for the run's own text the losses
            of tables of frequencies.

        Raises:
            UsageError: no such file or part, or a part of a text that is not the run's.
            DataError: nothing to score, or the run's text has moved or changed.
        """
        baselines: dict[str, float] = {}
        path = None if data is None else file_name(data)
        if path is not None and on is None:
            part, name = read_part(path, self.options, self.vocabulary), path
        else:
            name = "validation" if on is None else on
            part, baselines = self._own_part(name, path)
        scored = score(self.model, part, tell)
        if scored is None:
            few = f"{counted(len(part.numbers), self.options.units)}, and scoring needs at least 2"
            if name == path:
                raise DataError(f"{name} has only {few}")
            raise DataError(f"the {name} part has only {few} (--split {self.options.split})")
        return {"on": name, **scored.figures(), "unknown": part.unknown, **baselines}

    def passage(self, data: str | os.PathLike | None = None) -> Passage:
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

    def _own_part(self, on: str, moved: str | None) -> tuple[Part, dict[str, float]]:
        """A part of the run's own text, which may have moved."""
        if on not in ("validation", "test", "training"):
            raise UsageError(f"--on: must be validation, test or training, got {on!r}")
        own = own_data(self.run)
        if moved is None and not Path(own).exists():
            raise DataError(
                f"the run's text is no longer at {own}: give its new path, "
                f"unrolled evaluate {self.run.path} FILE --on {on}"
            )
        text = read_text(moved or own, self.options, lambda _: self.vocabulary.symbols)
        if not same_text(self.config["data"], text.fingerprint):
            if moved is None:
                raise DataError(f"{own} has changed since this run was trained, and so has its {on} part")
            raise UsageError(
                f"--on {on}: {moved} is not the text that this run was trained on ({own}): leave out --on "
                "to score all of it"
            )
        part: Part = getattr(text, on)
        if len(part.numbers) < 2:
            return part, {}
        numbers = text.training.numbers, part.numbers, len(self.vocabulary)
        pairs = bigram_loss(*numbers)
        return part, {"unigram_loss": unigram_loss(*numbers)} | ({"bigram_loss": pairs} if pairs else {})

    def _names(self, text: str, numbers: np.ndarray) -> list[str]:
        if self.vocabulary.units == "bytes":
            return [self.vocabulary.symbols[n] for n in numbers]
        return split(text, self.vocabulary.units)

    def __repr__(self) -> str:
        o = self.model_options
        return f"TrainedText({str(self.run.path)!r}, {o.cell}, {o.layers} x {o.hidden}, {self.options.units})"
