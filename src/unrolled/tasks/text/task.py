"""The text task: what the training loop, `fit` and `load` ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.cells import Cell
from unrolled.errors import DataError, RunError, UsageError
from unrolled.models.build import check_memory, set_first_weights
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions
from unrolled.runs.folder import RunFolder
from unrolled.tasks.piped import own_data
from unrolled.tasks.text.baselines import bigram_loss, unigram_loss
from unrolled.tasks.text.build import build_model
from unrolled.tasks.text.files import same_text
from unrolled.tasks.text.options import TextOptions
from unrolled.tasks.text.reading import Choice, Text, read_text
from unrolled.tasks.text.scoring import estimate, score
from unrolled.tasks.text.transfer import Rows, carry_over, choice, match, take_over
from unrolled.tasks.text.vocabulary import Vocabulary
from unrolled.tasks.text.writing import write
from unrolled.training.batches import Batch
from unrolled.training.bptt import batch_loss
from unrolled.training.kept import model_options
from unrolled.training.losses import Loss
from unrolled.training.options import TrainingOptions
from unrolled.training.sizes import choose_sizes, symbols_in_budget
from unrolled.training.streams import Streams
from unrolled.training.task import Metric, Shown

_SHOWN = 300
_FEWEST_VALIDATED = 2_000


class TextTask:
    """A language model over the symbols of one text; see `training.task.Task`.

    Arguments:
        data: a file or a folder.
        text, model, training: settings; the ones left open are chosen here.
        choose: another vocabulary than the text's own; see `read_text`.
        begun: a run that was begun on this text.

    Raises:
        UsageError, RunError: the text is not that of the run that was begun.
    """

    name = "text"
    options_class = TextOptions
    criterion = Metric("loss", "nats per symbol")

    def __init__(
        self,
        data: str,
        text: TextOptions,
        model: ModelOptions,
        training: TrainingOptions,
        choose: Choice | None = None,
        begun: RunFolder | None = None,
    ) -> None:
        self.data = data
        self.rows: Rows | None = None
        self._source = 0, ""  # symbols and file of the source, where there are rows
        if begun is None and text.include != TextOptions.include and not Path(data).is_dir():
            raise UsageError(f"--include: picks files of a folder, but {data} is a single file: leave it out")
        self.read: Text = read_text(data, text, choose)
        if begun is not None:
            _check_text(begun, data, self.read.fingerprint)
        if model.direction != "forward":
            raise UsageError(
                "--direction: a language model must not see the symbol that it predicts: leave out --direction"
            )
        self.text = text
        self.model, self.training = choose_sizes(model, training, len(self.read.training.numbers))
        self.unit = self.text.units
        self._made = self._make_streams()

    @classmethod
    def of_run(cls, run: RunFolder, data: str | None, training: TrainingOptions) -> TextTask:
        """The task of a run that goes on, with its vocabulary; ``data`` where its text may have moved to."""
        symbols = _vocabulary_of(run).symbols
        options = run.options(TextOptions, "text"), model_options(run)
        return cls(cls.text_path(run, data), *options, training, lambda _: symbols, run)

    @staticmethod
    def text_path(run: RunFolder, data: str | None) -> str:
        """Where the text of a run lies: ``data``, or where it lay; RunError if it is not there any more."""
        path = own_data(run)
        if data is None and not Path(path).exists():
            raise RunError(
                f"the text of {run.path} is no longer at {path}: give its new path, "
                f"unrolled train FILE --run {run.path} --resume"
            )
        return data or path

    @classmethod
    def from_source(
        cls,
        data: str,
        text: TextOptions,
        model: ModelOptions,
        training: TrainingOptions,
        source: RunFolder,
        begun: RunFolder | None = None,
    ) -> TextTask:
        """The task of a new run that starts from the weights of another.

        Raises:
            DataError: with the source's vocabulary, nothing of the text is known.
        """
        known = _vocabulary_of(source)
        text = replace(text, vocabulary=text.vocabulary or "extended")
        task = cls(data, text, model, training, choice(known, text), begun)
        own = task.read.vocabulary
        if not own.counts[len(own.unknown) :].any():
            raise DataError(f"{data}: none of its {text.units} are in the vocabulary of {source.path}")
        task.rows, task._source = match(known, own), (len(known), str(source.path / "model.safetensors"))
        return task

    take_over = staticmethod(take_over)

    def carry_over(self, model: Model, arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
        """Give the model the source's weights; how many symbols were kept, added and dropped."""
        assert self.rows is not None
        carry_over(model, arrays, self.rows, *self._source)
        return {"kept": self.rows.kept, "added": self.rows.added, "dropped": self.rows.dropped}

    def config(self) -> dict[str, Any]:
        """The task's part of ``config.toml``."""
        return {
            "data": {
                "path": str(Path(self.data).resolve()),
                **self.read.fingerprint,
                "symbols": self.read.symbols,
            },
            "model": asdict(self.model),
            "text": asdict(self.text),
        }

    def save(self, run: RunFolder) -> None:
        """The side files."""
        run.write_json("vocabulary.json", self.read.vocabulary.as_json())

    def build(self, cell: type[Cell]) -> Model:
        """The model, with fresh weights."""
        assert self.model.layers is not None

        def build(layers: int) -> Model:
            return build_model(cell, len(self.read.vocabulary), replace(self.model, layers=layers))

        check_memory(build, self.model.layers)
        model = build(self.model.layers)
        set_first_weights(model.stack, self.model)
        return model

    def describe(self) -> dict[str, Any]:
        """What was read, and what tables of frequencies score on the validation part."""
        t = self.read
        facts: dict[str, Any] = {
            "symbols": t.symbols,
            "vocabulary": int((t.vocabulary.counts[len(t.vocabulary.unknown) :] > 0).sum()),
            "training": len(t.training.numbers),
            "validation": len(t.validation.numbers),
            "test": len(t.test.numbers),
            "skipped_files": t.skipped,
            "unknown_in_training": int(t.vocabulary.counts[list(t.vocabulary.unknown)].sum()),
            "byte_order_marks": t.marks,
            "crlf": t.crlf,
            "unknown_in_validation": sum(t.validation.unknown.values()),
        }
        if len(t.validation.numbers) > 1:
            numbers = t.training.numbers, t.validation.numbers, len(t.vocabulary)
            facts["unigram_loss"] = unigram_loss(*numbers)
            facts["bigram_loss"] = bigram_loss(*numbers)
        return facts

    # -- for the loop

    def settings(self) -> dict[str, Any]:
        """Those of the model."""
        return asdict(self.model)

    def batches(self) -> Streams:
        """The training part in windows."""
        return self._made

    def loss(self, model: Model, batch: Batch, state: Any) -> Loss:
        """Cross-entropy of the next symbol."""
        return batch_loss(model, batch, state)

    def validate(
        self, model: Model, whole: bool, tell: Callable[[float], None] | None = None
    ) -> dict[str, float] | None:
        """Scores on the validation part; unless whole, an estimate at about a twentieth of training's time."""
        if whole:
            scored = score(model, self.read.validation, tell)
        else:
            assert self.model.hidden is not None and self.model.layers is not None
            training = len(self.read.training.numbers)
            trained = symbols_in_budget(self.training, training, self.model.hidden, self.model.layers)
            scored = estimate(model, self.read.validation, max(_FEWEST_VALIDATED, trained // 200))
        return None if scored is None else scored.figures()

    def show(self, model: Model, seed: int) -> Shown:
        """A few lines of the model's own, a little less bold than it is."""
        text = "".join(write(model, self.read.vocabulary, _SHOWN, temperature=0.8, seed=seed))
        return Shown("text", text.encode("utf-8"))

    def _make_streams(self) -> Streams:
        t = self.training
        assert t.batch is not None
        return Streams(self.read.training.numbers, t.batch, t.bptt, t.update_every, self.unit, t.device)


def _vocabulary_of(run: RunFolder) -> Vocabulary:
    """The vocabulary that a run keeps; RunError if it is missing or damaged."""
    return Vocabulary.from_json(run.read_json("vocabulary.json"), str(run.path / "vocabulary.json"))


def _check_text(run: RunFolder, data: str, found: dict[str, str]) -> None:
    kept = run.config()["data"]
    if same_text(kept, found):
        return
    if str(Path(data).resolve()) == kept["path"]:
        raise RunError(f"{data} has changed since {run.path} was started: the run cannot be resumed")
    raise UsageError(
        f"{run.path} was started on {kept['path']}, and {data} is a different text: leave it out to resume "
        f"on the run's own text, or start a new run on it with --from {run.path}"
    )
