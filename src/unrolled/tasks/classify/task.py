"""The classification task: one label for a sequence, or one for each of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.cells import Cell
from unrolled.errors import DataError, EmptyPartError, UsageError
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions
from unrolled.runs.folder import RunFolder
from unrolled.tasks.classify import showing
from unrolled.tasks.classify.answering import answers
from unrolled.tasks.classify.augmenting import change_of, in_order
from unrolled.tasks.classify.building import build_model, choose, sizes, with_and_without_places
from unrolled.tasks.classify.evidence import longest
from unrolled.tasks.classify.options import ClassifyOptions
from unrolled.tasks.classify.picturing import pictures
from unrolled.tasks.classify.predicting import probabilities
from unrolled.tasks.classify.reading import Data, read_data
from unrolled.tasks.classify.scores import Scores, scored_folds
from unrolled.tasks.classify.sources import check_used, files_of
from unrolled.tasks.classify.symbols import Symbols, mean_and_scale
from unrolled.tasks.data import Fingerprint
from unrolled.tasks.sequences import Chosen
from unrolled.tasks.splitting import digest, folds, split
from unrolled.training.augmented import Augmented
from unrolled.training.batches import Batches
from unrolled.training.kept import check_same
from unrolled.training.losses import Loss
from unrolled.training.metric import Metric
from unrolled.training.options import TrainingOptions
from unrolled.training.padded import Padded
from unrolled.training.task import ALL, PARTS, Answers, Evidence, Task, Tell

SIDE_FILE, HELD_OUT = "classify.json", "held out"
_OF_THE_WEIGHTS = ("units", "pool", "context", "places")
"""Settings that a run has from the one whose weights it starts from."""


class ClassifyTask(Task):
    """A classifier of sequences; see `Task`.

    Attributes:
        symbols: how sequences become numbers. labels: by number.
        by_step: whether each step has a label.
        steps: of the longest sequence that the model was made for.
        counts: of each label in the training part; aligned: how long all sequences there are, None if they differ.
    """

    name, noun = "classify", "sequences"
    unit, step_unit = "sequences", "steps"
    options_class = ClassifyOptions
    metrics = (
        Metric("loss", "nats per label", label="log-loss", brief="log-loss", brief_digits=3),
        Metric("accuracy", percent=True, digits=2, higher=True, brief_digits=1),
        Metric("balanced_accuracy", label="balanced", percent=True, digits=2, higher=True, in_lines=False),
    )
    symbols: Symbols | None = None
    labels: Sequence[str] | None = None
    by_step = False
    steps = 0
    aligned: int | None = None
    counts: np.ndarray
    parts: Mapping[str, np.ndarray]
    data: Data

    # -- data and side files

    def read(self, data: str) -> int:
        files = files_of(data)
        check_used(files, self.options)
        found = self._read(data)
        if not hasattr(self, "counts"):
            self._check_used(found)
        made = self._split(found)
        names = zip_longest(found.names, found.sequences.lengths.tolist(), fillvalue="")
        self.parts_digest = digest([f"{name}\0{length}" for name, length in names], made)
        if not len(self.parts["training"]):
            raise DataError(f"{data}: the training part has no sequences (--split {self.options.split})")
        if len(files) > 1 and not Path(data).is_dir():
            whole = Fingerprint(is_folder=False)
            for file in files:
                for _ in whole.read(file.path, ""):
                    pass
            self.fingerprint = whole.digests
        return self._learnt()

    def _split(self, found: Data) -> np.ndarray:
        """Which part each sequence belongs to."""
        targets = found.targets if isinstance(found.targets, list) else np.zeros(len(found.sequences), np.int64)
        made = split(np.asarray(targets), self.options.shares(), found.parts)
        self.parts = {part: np.flatnonzero(made == k) for k, part in enumerate(PARTS)}
        return made

    def _check_used(self, found: Data) -> None:
        """UsageError where a setting has no effect on such data."""
        o, parts = self.options, set(found.parts.tolist())
        if o.seeds is not None and o.folds is None:
            raise UsageError("--seeds: is the number of models of each fold: give --folds, or leave it out")
        if o.pool is not None and self.by_step:
            raise UsageError("--pool: is for labels of whole sequences, and these have one a step: leave it out")
        if o.split != ClassifyOptions().split and -1 not in parts and PARTS.index("validation") in parts:
            raise UsageError("--split: the data say which part each sequence belongs to: leave it out")

    def read_all(self, data: str) -> int:
        found = self._read(data, is_own=False)
        self.parts = {ALL: np.arange(len(found.sequences))}
        return int(found.sequences.lengths.sum())

    def _read(self, data: str, is_own: bool = True) -> Data:
        is_new = self.labels is None
        found = self.data = read_data(data, self.options, self.symbols, self.labels, is_own)
        if is_new:
            found.sort_labels()
            found.check_labels(data)
            self.labels, self.symbols, self.by_step = found.labels, found.symbols, found.by_step
            self.options = replace(self.options, units=found.symbols.units)
        elif found.by_step != self.by_step:
            kind = "each step" if self.by_step else "a whole sequence"
            raise DataError(f"{data}: the model was trained on labels of {kind}, and these are others")
        self.unit = "steps" if self.by_step else "sequences"
        return found

    def _learnt(self) -> int:
        """What only the training part says; how many steps that has."""
        found, which = self.data, self.parts["training"]
        lengths = found.sequences.lengths[which]
        assert self.symbols is not None and self.labels is not None
        if self.symbols.grows:
            counts = np.zeros(len(self.symbols.names), dtype=np.int64)
            for k in which:
                counts += np.bincount(found.sequences[k], minlength=len(counts))
            self._renumber = self.symbols.settled(counts)
        if self.symbols.units == "values" and not len(self.symbols.mean):
            self.symbols.mean, self.symbols.scale = mean_and_scale(Chosen(found.sequences, which))
        if not hasattr(self, "counts"):
            least, most = int(lengths.min()), int(lengths.max())
            self.steps, self.aligned = self.steps or most, most if least == most else None
            targets = [found.targets[k] for k in which] if self.by_step else [np.asarray(found.targets)[which]]
            self.counts = np.sum([np.bincount(some, minlength=len(self.labels)) for some in targets], axis=0)
        self._is_open = self.options.places is None and not self.by_step
        self.options = choose(self.options, self.symbols, lengths, self.by_step)
        self.sequences = len(which)
        return int(lengths.sum())

    _renumber: np.ndarray | None = None
    _is_open = False

    def save(self, run: RunFolder) -> None:
        assert self.symbols is not None and self.labels is not None
        content = {"symbols": self.symbols.as_json(), "labels": list(self.labels), "counts": self.counts.tolist()}
        sizes = {"by_step": self.by_step, "steps": self.steps, "aligned": self.aligned}
        run.write_json(SIDE_FILE, content | sizes)

    def restore(self, run: RunFolder) -> None:
        content = run.read_json(SIDE_FILE)
        self.symbols = Symbols.from_json(content["symbols"], str(run.path / SIDE_FILE))
        self.labels, self.by_step = list(content["labels"]), content["by_step"]
        self.steps, aligned = int(content["steps"]), content.get("aligned")
        self.aligned = None if aligned is None else int(aligned)
        self.counts = np.array(content["counts"], dtype=np.int64)
        if len(self.counts) != len(self.labels) or not self.labels or self.steps < 1:
            raise ValueError(f"{SIDE_FILE} has {len(self.labels)} labels and {len(self.counts)} counts")
        self.unit = "steps" if self.by_step else "sequences"

    def settle(self, model: ModelOptions, training: TrainingOptions, steps: int) -> None:
        model, training = sizes(model, training, steps, self.sequences or 1)
        if self._is_open:
            tried = with_and_without_places(self.options, training, steps, self.sequences or 1)
            self.candidates = tried
        super().settle(model, training, steps)

    # -- what is trained

    def build(self, cell: type[Cell], options: ModelOptions, for_use: bool = False) -> Model:
        assert self.symbols is not None
        return build_model(cell, options, for_use, self.options, self.symbols, self.by_step, self.steps, self.counts)

    def inputs(self, part: str) -> Sequence[np.ndarray]:
        """The sequences of a part, as the model reads them."""
        symbols, renumber = self.symbols, self._renumber
        assert symbols is not None
        change: Any = None if renumber is None else renumber.__getitem__
        if symbols.units == "values":
            change = symbols.scaled
        return Chosen(self.data.sequences, self._which(part), change)

    def _which(self, part: str) -> np.ndarray:
        return self.parts.get(part, np.empty(0, dtype=np.int64))

    def targets(self, part: str) -> Sequence[np.ndarray]:
        """Their labels as numbers."""
        return Chosen(self.data.targets, self._which(part), None if self.by_step else np.int64)

    def batches(self, part: str = "training") -> Batches:
        t = self.training
        assert t.batch is not None and self.symbols is not None
        made = Padded(self.inputs(part), self.targets(part), t.batch, t.seed, self.by_step, t.device)
        hows = [] if part != "training" else self.options.changes()
        changes = [change_of(how, self.symbols, self.by_step) for how in hows]
        return Augmented(made, in_order(changes), t.seed) if changes else made

    def loss(self, model: Model, batch: Any, state: Any) -> Loss:
        outputs, _ = model(batch.inputs, lengths=batch.lengths)
        total, count = model.head.loss(outputs, batch.targets, batch.mask)
        right = outputs.argmax(-1) == batch.targets
        right = right if batch.mask is None else right & batch.mask
        return Loss(total, count, parts={"accuracy": (right.sum(), count)})

    # -- scores

    def score(self, model: Model, part: str, tell: Tell | None = None) -> dict[str, Any] | None:
        """All scores of one part: see `Scores`."""
        scores = self._scores(model, part, tell)
        return None if scores is None else scores.figures()

    def validate(self, model: Model, whole: bool, tell: Tell | None = None) -> dict[str, Any] | None:
        scores = self._scores(model, "validation", tell)
        return None if scores is None else scores.means()

    def _scores(self, model: Model, part: str, tell: Tell | None) -> Scores | None:
        assert self.labels is not None
        inputs, targets = self.inputs(part), self.targets(part)
        if not len(inputs):
            return None
        scores = Scores(self.labels)
        for done, (k, found) in enumerate(probabilities(model, inputs), 1):
            scores.add(found.reshape(-1, len(self.labels)), np.atleast_1d(targets[k]))
            if tell is not None:
                tell(done / len(inputs))
        return scores

    def facts(self) -> dict[str, Any]:
        return {"sequences": len(self.data.sequences), "bad_files": list(self.data.bad)}

    def about(self) -> list[tuple[str, str]]:
        assert self.symbols is not None and self.labels is not None
        sizes = {part: len(self.parts[part]) for part in PARTS}
        rows = showing.about(self.data, self.symbols, self.labels, self.counts, sizes, self.options)
        return rows + ([] if self._tried is None else [("", showing.tried(self._tried))])

    def rows(self, figures: Mapping[str, Any]) -> list[tuple[str, str]]:
        return super().rows(figures) + showing.rows(figures)

    def answers(self, model: Model, data: str) -> Answers:
        assert self.symbols is not None and self.labels is not None
        goes_by_places = self.options.places or "position" in self.options.pools()
        aligned = self.aligned if goes_by_places else None
        return answers(model, data, self.options, self.symbols, self.labels, self.by_step, aligned)

    def pictures(self, model: Model, part: str, figures: Mapping[str, Any]) -> Mapping[str, bytes]:
        assert self.symbols is not None
        return pictures(model, self.inputs(part), self.targets(part), self.symbols, self.by_step, figures)

    # -- folds

    @property
    def folds(self) -> int:
        return 0 if self.options.folds is None else len(self._folds())

    @property
    def seeds(self) -> int:
        return self.options.seeds or 1

    def read_fold(self, data: str, fold: int | None, inner: int | None = None) -> int:
        self._split(self._read(data))
        training, held_out = self.parts["training"], np.empty(0, dtype=np.int64)
        if fold is not None:
            training, held_out = self._folds()[fold]
        if inner is not None:
            labels, parts = self._fold_targets()[training], np.full(len(training), -1)
            some, rest = folds(labels, str(self.inner_folds), parts)[inner]
            training, held_out = training[some], training[rest]
        self.parts = {"training": training, HELD_OUT: held_out}
        return self._learnt()

    def _folds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        assert self.options.folds is not None
        return folds(self._fold_targets(), self.options.folds, self.data.parts)

    def _fold_targets(self) -> np.ndarray:
        """By which every fold has about the same share of each label."""
        return np.zeros(len(self.data.sequences), np.int64) if self.by_step else np.asarray(self.data.targets)

    def held_out(self, model: Model) -> Any:
        which = self.parts[HELD_OUT]
        return [[int(which[k]), found.tolist()] for k, found in probabilities(model, self.inputs(HELD_OUT))]

    def score_folds(self, found: Mapping[tuple[int, int], Any]) -> dict[str, Any]:
        assert self.labels is not None
        return scored_folds(found, self.data, self.labels)

    def rank(self, figures: Mapping[str, Any]) -> Any:
        return figures["errors"], figures["loss"]

    def take(self, name: str, figures: Mapping[str, Mapping[str, Any]]) -> None:
        self.options, self._tried = self.candidates[name], figures

    _tried: Mapping[str, Mapping[str, Any]] | None = None

    # -- from the weights of another run

    def begin_from(self, source: Task, where: str) -> None:
        assert isinstance(source, ClassifyTask)
        self.symbols, self.labels, self.by_step = source.symbols, source.labels, source.by_step
        self.steps, self.unit = source.steps, source.unit

    @classmethod
    def take_over(cls, source: ClassifyOptions, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        for name in _OF_THE_WEIGHTS:
            check_same(name, getattr(source, name), given, where)
        return {name: getattr(source, name) for name in (*_OF_THE_WEIGHTS, "longest")} | dict(given)

    # -- what a person sees

    def evidence(self, model: Model, part: str) -> Evidence:
        assert self.symbols is not None
        if not len(which := self._which(part)):
            raise EmptyPartError(f"the {part} part has no sequences")
        names = self.data.names if len(self.data.names) == len(self.data.sequences) else []
        named = [names[k] for k in which] if names else []
        return longest(self.inputs(part), self.data.sequences.lengths[which], self.symbols, part, named)
