"""The music task: the next step of a piece, from those before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.cells import Cell
from unrolled.errors import DataError, EmptyPartError, RunError, UsageError
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions
from unrolled.options import flag
from unrolled.runs.folder import RunFolder
from unrolled.tasks.music.abc import Abc
from unrolled.tasks.music.events import Events
from unrolled.tasks.music.library import Library, read_library
from unrolled.tasks.music.notes import symusic
from unrolled.tasks.music.options import MusicOptions, SampleOptions
from unrolled.tasks.music.reading import ABC, files_of, sources
from unrolled.tasks.music.rolls import Rolls
from unrolled.tasks.music.sound import soundfont
from unrolled.tasks.music.transposed import Transposed
from unrolled.training.batches import Batch, Batches
from unrolled.training.kept import check_same
from unrolled.training.losses import Loss
from unrolled.training.options import TrainingOptions
from unrolled.training.padded import Padded
from unrolled.training.task import ALL, Evidence, Shown, Task

_KEPT = "music.json"
_SCORED = 1 << 16
"""Steps of a batch that is scored."""
_UNCUT = 1 << 14
"""A piece is scored as one sequence up to so many steps."""
_NAMED = 5
"""Skipped files that are named."""
_LOOKED_AT = 512
_KINDS: dict[str, Any] = {"roll": Rolls, "events": Events, "abc": Abc}
_OF_ROLLS = ("head", "units", "steps_per_quarter")
"""Settings that other representations have no use for."""


class MusicTask(Task):
    """A model of music, as rolls, events or ABC; see `Task`.

    Equation::

        nll_per_step = -(1 / steps) sum over all steps of all pieces of log p(step | the steps before it)

    in nats, empty steps included, the first step of each piece from an empty one.
    """

    name, noun = "music", "music"
    options_class, sample_class = MusicOptions, SampleOptions
    unit = step_unit = "steps"
    metrics = Rolls.metrics
    library: Library
    kind: Any = None

    # -- data and side files

    def read(self, data: str) -> int:
        self._read(data, self.options.shares())
        if self.options.split != MusicOptions.split and not self.library.is_split:
            raise UsageError(f"--split: {data} names the part of every piece: leave it out")
        self.options = replace(self.options, steps_per_quarter=self.kind.steps_per_quarter)
        self.parts_digest = self.library.digest
        self.sequences = len(self._sequences("training"))
        return sum(map(len, self.library.parts["training"]))

    def read_all(self, data: str) -> int:
        self._read(data, None)
        return sum(map(len, self.library.parts[ALL]))

    def _read(self, data: str, shares: tuple[int, int, int] | None) -> None:
        symusic()
        files = files_of(data)
        if self.kind is None:
            is_abc = all(file.suffix.lower() == ABC for file in files)
            chosen = self.options.representation or ("abc" if is_abc else "roll")
            self._check_used(chosen)
            self._use(chosen)
        self.library = read_library(data, files, self.kind.convert, self.kind.settled, shares)

    def _check_used(self, representation: str) -> None:
        """UsageError for a setting that the representation, or the head, has no use for."""
        given = [name for name in _OF_ROLLS if getattr(self.options, name) != getattr(MusicOptions, name)]
        if given and representation != Rolls.name:
            raise UsageError(f"{flag(given[0])} is for rolls: leave it out with {representation}")
        if "units" in given and self.options.head != "nade":
            raise UsageError(f"--units is for --head nade: leave it out with {self.options.head}")

    def _use(self, representation: str, kept: Mapping[str, Any] | None = None) -> None:
        kind, moved = _KINDS[representation], self.options.transpose
        if moved and not kind.transpose:
            raise UsageError(f"--transpose moves the keys of rolls: leave it out with {representation}")
        moved = kind.transpose if moved is None else moved
        self.options = replace(self.options, representation=representation, transpose=moved)
        self.kind = kind(self.options, kept)
        self.unit = self.step_unit = self.kind.unit
        self.metrics = self.kind.metrics

    def save(self, run: RunFolder) -> None:
        run.write_json(_KEPT, {"representation": self.kind.name, **self.kind.kept()})

    def restore(self, run: RunFolder) -> None:
        kept = run.read_json(_KEPT)
        if not isinstance(kept, dict) or kept.get("representation") not in _KINDS:
            raise RunError(f"{run.path / _KEPT} is damaged: it names no known representation")
        self._use(kept["representation"], kept)

    # -- what is trained

    def settle(self, model: ModelOptions, training: TrainingOptions, steps: int) -> None:
        if model.direction not in (None, "forward"):
            raise UsageError(f"--direction: a model must not see the {self.unit} that it predicts: leave it out")
        model, training = self.kind.settle(model, training, steps)
        super().settle(model, training, steps)

    def build(self, cell: type[Cell], options: ModelOptions, for_use: bool = False) -> Model:
        model: Model = self.kind.build(cell, options, for_use, () if for_use else self.library.parts["training"])
        return model

    def _sequences(self, part: str) -> list[tuple[np.ndarray, np.ndarray]]:
        """Inputs and targets of each piece; those of the training part cut at the longest."""
        longest = (self.options.longest or self.kind.longest) if part == "training" else _UNCUT
        found = []
        for piece in self.library.parts[part]:
            inputs, targets = self.kind.pair(piece)
            cuts = range(longest, len(targets), longest)
            found += list(zip(np.split(inputs, cuts), np.split(targets, cuts), strict=True))
        return found

    def batches(self, part: str = "training") -> Batches:
        t, sequences = self.training, self._sequences(part)
        batch = t.batch or 1
        if part != "training" and sequences:
            batch = max(1, min(batch, _SCORED // max(len(x) for x, _ in sequences)))
        made = Padded([x for x, _ in sequences], [y for _, y in sequences], batch, t.seed, True, t.device)
        if part == "training" and self.options.transpose:
            return Transposed(made, self.options.transpose, t.seed)
        return made

    def loss(self, model: Model, batch: Batch, state: Any) -> Loss:
        loss: Loss = self.kind.loss(model, batch)
        return loss

    # -- scores

    def score(self, model: Model, part: str, tell: Callable[[float], None] | None = None) -> dict[str, Any] | None:
        figures = super().score(model, part, tell)
        if figures is None:
            return None
        parts = self.library.parts
        beside = {} if part == ALL else self.kind.baselines(parts["training"], parts[part])
        return self.kind.figures(figures) | beside

    def facts(self) -> dict[str, Any]:
        parts = self.library.parts
        pieces = {part: len(parts[part]) for part in ("training", "validation", "test")}
        steps = {f"{part}_{self.unit}": sum(map(len, parts[part])) for part in pieces}
        held = parts["validation"]
        return {
            "pieces": pieces,
            **steps,
            "skipped": [list(one) for one in self.library.skipped],
            **self.kind.facts(),
            **(self.kind.baselines(parts["training"], held) if held else {}),
        }

    def about(self) -> list[tuple[str, str]]:
        parts, skipped = self.library.parts, self.library.skipped
        names = ("training", "validation", "test")
        rows = [("pieces", ", ".join(f"{name} {len(parts[name]):,}" for name in names))]
        rows += [(self.unit, ", ".join(f"{name} {sum(map(len, parts[name])):,}" for name in names))]
        rows += self.kind.about()
        for name, reason in skipped[:_NAMED]:
            rows.append(
                ("skipped" if name == skipped[0][0] else "", reason if name in reason else f"{name}: {reason}")
            )
        if len(skipped) > _NAMED:
            rows.append(("", f"and {len(skipped) - _NAMED:,} more"))
        if parts["validation"]:
            beside = self.kind.baselines(parts["training"], parts["validation"])
            metric = self.metrics[0]
            rows.append(("to beat", ", ".join(f"{name} {metric.in_full(v)}" for name, v in beside.items())))
        return rows

    def rows(self, figures: Mapping[str, Any]) -> list[tuple[str, str]]:
        rows = super().rows(figures)
        metric = self.metrics[0]
        if "frequencies" in figures:
            rows.append(("frequencies", f"{metric.in_full(figures['frequencies'])}, counted on the training part"))
        return [*rows, ("convention", self.kind.convention())]

    # -- what a person sees

    def show(self, model: Model, seed: int) -> Shown | None:
        try:
            made: Shown = self.kind.sample(model, SampleOptions(seed=seed), None, None)
        except UsageError:  # it plays nothing yet
            return None
        return made

    def sample(self, model: Model, options: SampleOptions) -> Shown:
        """A MIDI file, its piano roll, and WAV where there is a SoundFont; of ABC the text, too."""
        font = soundfont(options.soundfont)
        primed = None if options.prime is None else self._primed(Path(options.prime))
        made: Shown = self.kind.sample(model, options, primed, font)
        return made

    def _primed(self, file: Path) -> np.ndarray:
        if not file.is_file():
            raise UsageError(f"--prime: there is no file {file}")
        found = next(sources(str(file), [file]))
        if found.wrong:
            raise DataError(found.wrong)
        if found.tune is None and self.kind.name == Abc.name:
            raise UsageError(f"--prime: {file} is not ABC, which this model writes")
        return self.kind.convert(found)

    def evidence(self, model: Model, part: str) -> Evidence:
        pieces = self.library.parts[part]
        if not pieces:
            raise EmptyPartError(f"the {part} part has no pieces")
        piece = max(pieces, key=len)[:_LOOKED_AT]
        baseline = None if part == ALL else self.kind.baselines(self.library.parts["training"], [piece])
        beside = None if baseline is None else next(iter(baseline.values()))
        return self.kind.evidence(piece, f"a piece of the {part} part", beside)

    # -- from the weights of another run

    def begin_from(self, source: Task, where: str) -> None:
        assert isinstance(source, MusicTask)
        self._use(source.kind.name, source.kind.kept())

    @classmethod
    def take_over(cls, source: MusicOptions, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        own = {name: getattr(source, name) for name in ("representation", *_OF_ROLLS)}
        for name, value in own.items():
            check_same(name, value, given, where)
        return own | dict(given)
