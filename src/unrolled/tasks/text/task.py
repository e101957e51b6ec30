"""The text task: what the training loop, `fit` and `load` ask of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from unrolled.cells import Cell
from unrolled.models import Model
from unrolled.runs.folder import RunFolder
from unrolled.tasks.text.baselines import bigram_loss, unigram_loss
from unrolled.tasks.text.build import build_model, check_memory, set_first_weights
from unrolled.tasks.text.options import TextOptions
from unrolled.tasks.text.reading import Text, read_text
from unrolled.tasks.text.scoring import estimate, score
from unrolled.tasks.text.sizes import choose_sizes, symbols_in_budget
from unrolled.tasks.text.writing import write
from unrolled.training.bptt import window_loss
from unrolled.training.options import TrainingOptions
from unrolled.training.streams import Streams, Window

_SHOWN = 300
_FEWEST_VALIDATED = 2_000


class TextTask:
    """A language model over the symbols of one text; see `training.task.Task`.

    Arguments:
        data: a file or a folder.
        text, training: settings; the ones left open are chosen here.
    """

    name = "text"
    options_class = TextOptions

    def __init__(self, data: str, text: TextOptions, training: TrainingOptions) -> None:
        self.data = data
        self.read: Text = read_text(data, text)
        self.text, self.training = choose_sizes(text, training, len(self.read.training.numbers))
        self.unit = self.text.units
        self._made = self._make_streams()

    def config(self) -> dict[str, Any]:
        """The task's part of ``config.toml``."""
        return {
            "data": {
                "path": str(Path(self.data).resolve()),
                "sha256": self.read.sha256,
                "symbols": self.read.symbols,
            },
            "text": asdict(self.text),
        }

    def save(self, run: RunFolder) -> None:
        """The side files."""
        run.write_json("vocabulary.json", self.read.vocabulary.as_json())

    def build(self, cell: type[Cell]) -> Model:
        """The model, with fresh weights."""
        hidden, layers, dropout = self.text.hidden, self.text.layers, self.text.dropout
        assert hidden is not None and layers is not None and dropout is not None
        check_memory(cell, len(self.read.vocabulary), hidden, layers)
        model = build_model(cell, len(self.read.vocabulary), hidden, layers, dropout)
        set_first_weights(model, self.text)
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
        return asdict(self.text)

    def streams(self) -> Streams:
        """The training part in windows."""
        return self._made

    def loss(self, model: Model, window: Window, state: Any) -> tuple[Tensor, int, Any]:
        """Cross-entropy of the next symbol."""
        return window_loss(model, window, state)

    def validate(self, model: Model, whole: bool) -> dict[str, float] | None:
        """Scores on the validation part; unless whole, an estimate at about a twentieth of training's time."""
        if whole:
            scored = score(model, self.read.validation)
        else:
            assert self.text.hidden is not None
            assert self.text.layers is not None
            training = len(self.read.training.numbers)
            trained = symbols_in_budget(self.training, training, self.text.hidden, self.text.layers)
            scored = estimate(model, self.read.validation, max(_FEWEST_VALIDATED, trained // 200))
        return None if scored is None else scored.figures()

    def show(self, model: Model, seed: int) -> str:
        """A few lines of the model's own, a little less bold than it is."""
        return "".join(write(model, self.read.vocabulary, _SHOWN, temperature=0.8, seed=seed))

    def _make_streams(self) -> Streams:
        t = self.training
        assert t.batch is not None
        return Streams(self.read.training.numbers, t.batch, t.bptt, t.update_every, self.unit, t.device)
