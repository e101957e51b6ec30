"""The text task: a language model over the symbols of one text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unrolled.cells import Cell
from unrolled.errors import DataError, UsageError
from unrolled.models.build import build_stack
from unrolled.models.encoders import Embedding
from unrolled.models.heads import Softmax
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions
from unrolled.runs.folder import RunFolder
from unrolled.tasks.symbols import transfer
from unrolled.tasks.symbols.baselines import bigram_loss, unigram_loss
from unrolled.tasks.symbols.scoring import estimate, score
from unrolled.tasks.symbols.vocabulary import Vocabulary
from unrolled.tasks.symbols.writing import write, write_bytes
from unrolled.tasks.text.options import SampleOptions, TextOptions
from unrolled.tasks.text.reading import Part, Text, left_out, options_for, read_part, read_text
from unrolled.training.batches import Batch
from unrolled.training.kept import check_same
from unrolled.training.metric import Metric
from unrolled.training.options import TrainingOptions
from unrolled.training.sizes import symbols_in_budget
from unrolled.training.streams import Streams
from unrolled.training.task import ALL, Shown, Task
from unrolled.wording import counted, singular

_EMBEDDING = 128
_SHOWN = 300
_FEWEST_VALIDATED = 2_000


class TextTask(Task):
    """A language model over the symbols of one text; see `Task`."""

    name, noun, optimizer = "text", "text", "muon"
    options_class, sample_class = TextOptions, SampleOptions
    reads_pipes = True
    vocabulary: Vocabulary
    text: Text | None = None
    parts: Mapping[str, Part]
    _source: TextTask | None = None
    _source_run = _data = ""
    _left_out = 0
    _rows: transfer.Rows | None = None

    def __init__(self, options: TextOptions | None = None) -> None:
        super().__init__(options)
        self.unit = self.step_unit = self.options.units
        symbol = singular(self.unit)
        per_loss = 1 / math.log(2) if symbol == "character" else None
        self.metrics = (
            Metric("loss", f"nats per {symbol}"),
            Metric(
                "bits_per_character", "bits per character", label="", brief="bpc", brief_digits=3, factor=per_loss
            ),
            Metric("perplexity", digits=3, in_lines=False),
            Metric("accuracy", digits=2, percent=True, higher=True, brief_digits=1),
        )

    # -- data and side files

    def read(self, data: str) -> int:
        o = self.options
        if o.include != TextOptions.include and not Path(data).is_dir():
            raise UsageError(f"--include: picks files of a folder, but {data} is a single file: leave it out")
        is_known = hasattr(self, "vocabulary")
        if o.vocabulary and not is_known and self._source is None:
            raise UsageError("--vocabulary: applies only to a run that starts --from another run")
        if o.vocabulary_size != TextOptions.vocabulary_size and o.units != "words" and not is_known:
            raise UsageError(f"--vocabulary-size: applies only to --units words: leave it out with {o.units}")
        choose: Callable[[list[str]], list[str]] | None = None
        if is_known:
            symbols = self.vocabulary.symbols
            choose = lambda _: symbols  # noqa: E731
        elif self._source is not None:
            choose = transfer.choice(self._source.vocabulary, o.vocabulary, o.vocabulary_size)
        text = self.text = read_text(data, o, choose)
        self.vocabulary, self.fingerprint = text.vocabulary, text.fingerprint
        self.parts = {"training": text.training, "validation": text.validation, "test": text.test}
        if self._source is not None:
            if not self.vocabulary.counts[len(self.vocabulary.unknown) :].any():
                raise DataError(f"{data}: none of its {o.units} are in the vocabulary of {self._source_run}")
            self._rows = transfer.match(self._source.vocabulary, self.vocabulary)
        return len(text.training.numbers)

    def read_all(self, data: str) -> int:
        options = options_for(data, self.options)
        self._data, self._left_out = data, left_out(data, options)
        self.parts = {ALL: read_part(data, options, self.vocabulary)}
        return len(self.parts[ALL].numbers)

    def save(self, run: RunFolder) -> None:
        run.write_json("vocabulary.json", self.vocabulary.as_json())

    def restore(self, run: RunFolder) -> None:
        self.vocabulary = Vocabulary.from_json(run.read_json("vocabulary.json"), str(run.path / "vocabulary.json"))

    # -- what is trained

    def settle(self, model: ModelOptions, training: TrainingOptions, steps: int) -> None:
        if model.direction not in (None, "forward"):
            raise UsageError(
                "--direction: a language model must not see the symbol that it predicts: leave out --direction"
            )
        super().settle(model, training, steps)

    def build(self, cell: type[Cell], options: ModelOptions, for_use: bool = False) -> Model:
        return language_model(cell, len(self.vocabulary), options, for_use)

    def batches(self, part: str = "training") -> Streams:
        """The training part in windows."""
        t = self.training
        assert part == "training" and t.batch is not None
        return Streams(self.parts[part].numbers, t.batch, t.bptt, t.update_every, self.unit, t.device)

    def example(self) -> Batch:
        symbols = torch.zeros(1, 2, dtype=torch.long, device=self.training.device)
        return Batch(symbols, symbols)

    # -- scores

    def score(self, model: Model, part: str, tell: Callable[[float], None] | None = None) -> dict[str, Any]:
        """One stream from the zero state; each symbol but the first is scored once.

        Besides the metrics: characters; ``unknown``, symbols that the model never saw, counted by symbol; and for
        parts of the text that was trained on the losses of tables of frequencies, in nats a symbol; for a folder
        ``left_out``, how many of its files the run's pattern does not pick, if any.
        """
        scored = score(model, self.parts[part], tell)
        if scored is None:
            few = f"has only {counted(len(self.parts[part].numbers), self.unit)}, and scoring needs at least 2"
            where = f"{self._data} {few}" if part == ALL else f"the {part} part {few} (--split {self.options.split})"
            raise DataError(where)
        figures = scored.figures() | {"unknown": self.parts[part].unknown}
        if part == ALL:
            return figures | ({"left_out": self._left_out} if self._left_out else {})
        return figures | self._baselines(part)

    def validate(
        self, model: Model, whole: bool, tell: Callable[[float], None] | None = None
    ) -> dict[str, Any] | None:
        """Scores on the validation part; unless whole, an estimate at about a twentieth of training's time."""
        part = self.parts["validation"]
        if whole:
            scored = score(model, part, tell)
            return None if scored is None else scored.figures()
        m, steps = self.model, len(self.parts["training"].numbers)
        assert m.hidden is not None and m.layers is not None
        limit = max(_FEWEST_VALIDATED, symbols_in_budget(self.training, steps, m.hidden, m.layers) // 200)
        scored = estimate(model, part, limit)
        if scored is None:
            return None
        return scored.figures() | ({"estimate": True} if scored.symbols < len(part.numbers) - 1 else {})

    def _baselines(self, part: str) -> dict[str, float]:
        """What tables of frequencies of the training part score."""
        numbers = self.parts["training"].numbers, self.parts[part].numbers, len(self.vocabulary)
        if len(numbers[1]) < 2:
            return {}
        pairs = bigram_loss(*numbers)
        return {"unigram_loss": unigram_loss(*numbers)} | ({} if pairs is None else {"bigram_loss": pairs})

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    @cached_property
    def _facts(self) -> dict[str, Any]:
        t = self.text
        assert t is not None
        return {
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
            **self._baselines("validation"),
        }

    def about(self) -> list[tuple[str, str]]:
        return list(_about(self._facts, self.unit, self._rows))

    def rows(self, figures: Mapping[str, Any]) -> list[tuple[str, str]]:
        rows = super().rows(figures)
        per = f"nats per {singular(self.unit)}"
        for key, name in (("unigram_loss", "unigram"), ("bigram_loss", "bigram")):
            if key in figures:
                rows.append((name, f"{figures[key]:.4f} {per}, counted on the training part"))
        if files := figures.get("left_out"):
            picked = f"not picked by the run's --include {self.options.include!r}"
            rows.append(("left out", f"{counted(files, 'files')} of the folder, {picked}"))
        if unknown := figures["unknown"]:
            most = sorted(unknown.items(), key=lambda item: -item[1])
            shown = ", ".join(repr(symbol) for symbol, _ in most[:8]) + (", ..." if len(most) > 8 else "")
            count = counted(sum(unknown.values()), self.unit)
            rows.append(("unknown", f"{count} that the model never saw, scored as unknown: {shown}"))
        return rows

    # -- what a person sees

    def show(self, model: Model, seed: int) -> Shown:
        """A few lines of the model's own, a little less bold than it is."""
        text = "".join(write(model, self.vocabulary, _SHOWN, temperature=0.8, seed=seed))
        return Shown("text", text.encode("utf-8"))

    def sample(self, model: Model, options: SampleOptions) -> Iterator[str] | Iterator[bytes]:
        settings = options.settings()
        if options.raw:
            return write_bytes(model, self.vocabulary, options.length, **settings)
        return write(model, self.vocabulary, options.length, **settings)

    # -- from the weights of another run

    def begin_from(self, source: Task, where: str) -> None:
        assert isinstance(source, TextTask)
        self._source, self._source_run = source, where
        self.options = replace(self.options, vocabulary=self.options.vocabulary or "extended")

    @classmethod
    def take_over(cls, source: TextOptions, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        check_same("units", source.units, given, where)
        return {"units": source.units, "vocabulary_size": source.vocabulary_size} | dict(given)

    def carry_over(self, model: Model, arrays: Mapping[str, np.ndarray], where: str) -> dict[str, int]:
        assert self._source is not None and self._rows is not None
        transfer.carry_over(model, arrays, self._rows, len(self._source.vocabulary), where)
        return {"kept": self._rows.kept, "added": self._rows.added, "dropped": self._rows.dropped}


def language_model(cell: type[Cell], size: int, options: ModelOptions, for_use: bool = False) -> Model:
    """A many-to-many model over a vocabulary of so many symbols; dropout between layers and before the head."""
    encoder = Embedding(size, _EMBEDDING)
    stack = build_stack(cell, encoder.output_size, options, for_use)
    assert options.dropout is not None
    return Model(encoder, stack, Softmax(stack.output_size, size), dropout=options.dropout)


def _about(facts: Mapping[str, Any], unit: str, rows: transfer.Rows | None) -> Iterator[tuple[str, str]]:
    """The text in a few lines, with what an editor does not show of it."""
    f = facts
    yield "text", f"{counted(f['symbols'], unit)}, {f['vocabulary']:,} different"
    yield "", f"training {f['training']:,}, validation {f['validation']:,}, test {f['test']:,}"
    if marks := f["byte_order_marks"]:
        yield "", f"{counted(marks, 'byte order marks')} removed"
    if lines := f["crlf"]:
        yield "", f"{counted(lines, 'lines')} with CR LF endings, which the model learns as two {unit}"
    if skipped := f["skipped_files"]:
        yield "skipped", f"{skipped:,} {'file that is' if skipped == 1 else 'files that are'} not text"
    if rows is not None:
        kept = counted(rows.kept, unit)
        yield "vocabulary", f"{kept} kept, {rows.added:,} added with new rows, {rows.dropped:,} dropped"
    for part in ("training", "validation") if rows is not None else ("validation",):
        if unknown := f[f"unknown_in_{part}"]:
            yield "unknown", f"{counted(unknown, unit)} of the {part} part"
    if "unigram_loss" in f:
        pairs = f", bigram {f['bigram_loss']:.3f}" if "bigram_loss" in f else ""
        yield "to beat", f"unigram {f['unigram_loss']:.3f}{pairs} nats (validation)"
