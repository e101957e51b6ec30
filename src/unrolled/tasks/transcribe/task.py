"""The transcription task: a text for each recording."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unrolled.cells import Cell
from unrolled.errors import DataError, EmptyPartError, RunError, UsageError
from unrolled.insight.canvas import as_png
from unrolled.layers import Stack
from unrolled.models.build import build_stack
from unrolled.models.encoders import Vectors
from unrolled.models.heads import CTC
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions
from unrolled.runs.folder import RunFolder
from unrolled.tasks.sequences import Chosen
from unrolled.tasks.splitting import digest, split
from unrolled.tasks.transcribe import choices, showing
from unrolled.tasks.transcribe.fronts import Front
from unrolled.tasks.transcribe.hearing import heard, inside, outputs_of, steps_needed
from unrolled.tasks.transcribe.kinds import KINDS, Kind, Speech
from unrolled.tasks.transcribe.options import RATES, TranscribeOptions
from unrolled.tasks.transcribe.picturing import draw_heard
from unrolled.tasks.transcribe.reading import Collection
from unrolled.tasks.transcribe.recognising import is_reads
from unrolled.tasks.transcribe.utterances import Utterances, stacked_labels
from unrolled.training.batches import Batch
from unrolled.training.kept import check_same
from unrolled.training.losses import Loss
from unrolled.training.metric import Metric
from unrolled.training.options import TrainingOptions
from unrolled.training.task import ALL, PARTS, Evidence, Task, Tell
from unrolled.wording import counted, shortened

SIDE_FILE = "transcribe.json"
_WORST = 3
"""Recordings that are drawn."""
_LOOKED_AT = 1_000
_FEW, _FEW_FRAMES = 300, 500_000
"""Recordings, and frames of them, that are scored while training."""


class TranscribeTask(Task):
    """A text for each recording, by CTC; see `Task`.

    Attributes:
        symbols: the characters of the texts, by their labels from 1 on; 0 is the blank.
        between: what stands between the texts of joined recordings.
        unknown: characters of the data that are none of the symbols.
    """

    name, noun = "transcribe", "recordings"
    unit, step_unit = "recordings", "frames"
    options_class = TranscribeOptions
    metrics: Sequence[Metric] = Speech.metrics
    kind: Kind | None = None
    symbols: Sequence[str] = ()
    between: str = ""
    unknown: str = ""
    front: Front
    found: Collection
    parts: Mapping[str, np.ndarray]

    # -- data and side files

    def read(self, data: str) -> int:
        if self.options.transcripts is not None:  # the run may be used from elsewhere
            self.options = replace(self.options, transcripts=str(Path(self.options.transcripts).resolve()))
        found = self._read(data, is_own=True)
        given = np.array([-1 if part is None else PARTS.index(part) for part in found.parts])
        if (given == PARTS.index("training")).all():  # somebody has that folder of a corpus alone
            given[:] = -1
        made = split(np.zeros(len(given), np.int64), self.options.shares(), given)
        self.parts_digest = digest(
            [f"{one}\0{text}" for one, text in zip(found.names, found.texts, strict=True)], made
        )
        self.parts = {part: np.flatnonzero(made == k) for k, part in enumerate(PARTS)}
        if (test := self.options.test) is not None and "test" not in found.parts:
            raise UsageError(f"--test {test} matches none of the recordings, such as {found.names[0]}")
        which = self.parts["training"]
        if not len(which):
            raise DataError(f"{data}: the training part has no {self.unit} (--split {self.options.split})")
        if not self.symbols:
            texts = [found.texts[k] for k in which]
            self.symbols = sorted(set("".join(texts)))
            self.between = "" if all(len(text) == 1 for text in texts) else " "
            if self.options.join > 1 and self.between not in ("", *self.symbols):
                self.symbols = sorted([*self.symbols, self.between])
            assert self.kind is not None
            self.front = self.kind.front(self.options, Chosen(found.sounds, which))
        self.unknown = "".join(sorted(set("".join(found.texts)) - {*self.symbols}))
        self._leave_out_long_texts()
        self.sequences = len(self.parts["training"])
        return self._frames(self.parts["training"])

    def read_all(self, data: str) -> int:
        found = self._read(data, is_own=False)
        self.parts = {ALL: np.arange(len(found.texts))}
        self._leave_out_long_texts()
        return self._frames(self.parts[ALL])

    def _read(self, data: str, is_own: bool) -> Collection:
        if self.kind is None:
            self._use(KINDS["reads" if is_reads(Path(data)) else "speech"])
        assert self.kind is not None
        self.found = self.kind.read(data, self.options, is_own)
        if self.options.rate not in (None, self.found.rate):
            rates = f"{self.found.rate:,} samples a second, expected {self.options.rate:,}"
            raise DataError(f"{data} has {rates}, as the model was trained on, or as --rate says")
        if self.found.rate not in RATES:
            rate = counted(self.found.rate, "samples")
            raise DataError(f"{data} has {rate} a second, expected {RATES[0]:,} to {RATES[-1]:,}{self.kind.cure}")
        self.options = self.kind.settled(self.options, self.found.rate)
        return self.found

    def _use(self, kind: Kind) -> None:
        self.kind, self.metrics, self.unit, self.step_unit = kind, kind.metrics, kind.unit, kind.step_unit

    def _frames(self, which: np.ndarray) -> int:
        return int(self.front.frames(torch.from_numpy(self.found.sounds.lengths[which])).sum())

    def _leave_out_long_texts(self) -> None:
        """Leave out what has more text than its frames can carry; DataError if the first part has nothing else."""
        found = self.found
        frames = self.front.frames(torch.from_numpy(found.sounds.lengths)).numpy()
        assert self.options.reduction is not None
        steps = -(-frames // self.options.reduction)
        kept = {}
        for part, which in self.parts.items():
            fits = []
            for k in which:
                needed = int(steps_needed(torch.from_numpy(self.labels(found.texts[k])[:, None])))
                fits.append(needed <= steps[k])
                if not fits[-1]:
                    found.bad.append(f"{found.names[k]}: its text needs {needed} steps, but it has only {steps[k]}")
            kept[part] = which[np.array(fits, dtype=bool)]
        self.parts = kept
        if not len(next(iter(kept.values()))):
            raise DataError(f"{found.bad[-1]}, and none of the others has room for its text")

    def labels(self, text: str) -> np.ndarray:
        """The labels of a text; characters that the training part does not have are left out."""
        number = {symbol: k for k, symbol in enumerate(self.symbols, 1)}
        return np.array([number[c] for c in text if c in number], dtype=np.int64)

    def text_of(self, labels: Sequence[int]) -> str:
        """The text of labels; what is below 1 is padding."""
        return "".join(self.symbols[k - 1] for k in labels if k > 0)

    def save(self, run: RunFolder) -> None:
        assert self.kind is not None
        content = {"kind": self.kind.name, "symbols": list(self.symbols), "between": self.between}
        run.write_json(SIDE_FILE, content | self.kind.kept(self.front))

    def restore(self, run: RunFolder) -> None:
        kept = run.read_json(SIDE_FILE)
        try:
            self._use(KINDS[kept["kind"]])
            self.symbols, self.between = list(kept["symbols"]), str(kept["between"])
            assert self.kind is not None
            self.front = self.kind.restored(self.options, kept)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{run.path / SIDE_FILE} is damaged: {error}") from error

    # -- what is trained

    def settle(self, model: ModelOptions, training: TrainingOptions, steps: int) -> None:
        assert self.kind is not None
        samples = float(self.found.sounds.lengths.mean())
        super().settle(*choices.sizes(model, training, self.kind.model, samples), steps)

    def build(self, cell: type[Cell], options: ModelOptions, for_use: bool = False) -> Model:
        assert self.kind is not None and options.dropout is not None
        below = self.kind.below(self.options)
        stack = build_stack(cell, below[-1].output_size, options, for_use)
        stack = Stack([*below, *stack.layers], dropout=stack.dropout)
        head = CTC(stack.output_size, len(self.symbols) + 1)
        return Model(Vectors(self.front.width), stack, head, dropout=options.dropout)

    def batches(self, part: str = "training") -> Utterances:
        t, o = self.training, self.options
        assert t.batch is not None
        which = self.parts.get(part, np.empty(0, dtype=np.int64))
        labels = [self.labels(self.found.texts[k]) for k in which]
        assert self.kind is not None
        join, varied, pauses = (o.join, o.augment, self.kind.pauses) if part == "training" else (1, False, False)
        sounds, between = Chosen(self.found.sounds, which), self.labels(self.between)
        return Utterances(sounds, labels, self.front, t.batch, t.seed, join, between, varied, pauses, t.device)

    def loss(self, model: Model, batch: Batch, state: Any) -> Loss:
        """Per label, of the utterances that have room for theirs: speaking faster may take it away."""
        outputs, _ = model(batch.inputs, lengths=batch.lengths)
        assert batch.lengths is not None
        counted = inside(model, outputs, batch.lengths)
        fits = steps_needed(batch.targets) <= counted.sum(0)
        losses = -model.head.log_prob(outputs, batch.targets, counted & fits)
        labels = (batch.targets > 0).sum(0)
        pauses = losses[labels == 0].sum()  # they are learnt from, but have no label to share their loss
        return Loss(losses.sum() - pauses.detach(), int(labels[fits].sum()))

    # -- from the weights of another run

    def begin_from(self, source: Task, where: str) -> None:
        assert isinstance(source, TranscribeTask) and source.kind is not None
        self._use(source.kind)
        self.symbols, self.between, self.front = source.symbols, source.between, source.front

    @classmethod
    def take_over(cls, source: TranscribeOptions, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        for name in ("rate", "mels", "reduction"):
            check_same(name, getattr(source, name), given, where)
        own = asdict(source) | {"transcripts": None}  # which is of the other data
        return own | ({"pattern": None} if "transcripts" in given else {}) | dict(given)

    # -- scores

    def score(self, model: Model, part: str, tell: Tell | None = None) -> dict[str, Any] | None:
        """Loss, error rates and the worst transcripts of one part."""
        found = self._transcripts(model, self.parts.get(part, ()), tell)
        return None if found is None else found.figures()

    def validate(self, model: Model, whole: bool, tell: Tell | None = None) -> dict[str, Any] | None:
        every = np.random.default_rng(0).permutation(self.parts["validation"])
        frames = self.front.frames(torch.from_numpy(self.found.sounds.lengths[every])).cumsum(0)
        few = max(1, min(_FEW, int((frames <= _FEW_FRAMES).sum())))
        which = self.parts["validation"] if whole else np.sort(every[:few])
        found = self._transcripts(model, which, tell)
        if found is None:
            return None
        return found.means() | ({} if len(which) == len(every) else {"estimate": True})

    def _transcripts(self, model: Model, which: Any, tell: Tell | None) -> Any:
        if not len(which):
            return None
        assert self.kind is not None
        made, head = self.kind.scores(), model.head
        which = np.asarray(which)
        lengths = self.found.sounds.lengths[which]
        for found in heard(model, Chosen(self.found.sounds, which), lengths, self.front):
            texts = [self.found.texts[which[k]] for k in found.which]
            own = [self.labels(text) for text in texts]
            targets = stacked_labels(own)
            losses = -head.log_prob(found.outputs, targets.to(found.outputs.device), found.inside)
            began = time.monotonic()
            labels = self.kind.labels(head, found.outputs, found.inside)
            made.work += found.seconds + time.monotonic() - began
            for k, text, known, row, loss in zip(found.which, texts, own, labels, losses.tolist(), strict=True):
                name = self.found.names[which[k]]
                made.add(name, text, self.text_of(row), loss, len(known))
            made.sound += float(lengths[found.which].sum()) / self.front.rate
            if tell is not None:
                tell(len(made.found) / len(which))
        return made

    def facts(self) -> dict[str, Any]:
        return {
            "recordings": {part: len(which) for part, which in self.parts.items()},
            "seconds": self.found.seconds,
            "bad_files": list(self.found.bad),
        }

    def about(self) -> list[tuple[str, str]]:
        sizes = {part: len(self.parts[part]) for part in PARTS}
        assert self.kind is not None
        symbols = (self.symbols, self.unknown)
        return showing.about(self.found, self.unit, symbols, self.options, sizes, self.kind.pauses)

    def rows(self, figures: Mapping[str, Any]) -> list[tuple[str, str]]:
        return super().rows(figures) + showing.rows(figures)

    # -- what a person sees

    def pictures(self, model: Model, part: str, figures: Mapping[str, Any]) -> Mapping[str, bytes]:
        """What the model hears in the worst recordings, and in the first one."""
        which = self.parts[part]
        by_name = {self.found.names[k]: k for k in which}
        worst = [by_name.get(one["name"]) for one in figures.get("worst", [])[:_WORST]]
        chosen = [k for k in worst if k is not None]
        chosen += [k for k in which[:1] if k not in chosen]
        return {f"heard-{n}.png": as_png(self._drawn(model, int(k))) for n, k in enumerate(chosen, 1)}

    def _drawn(self, model: Model, k: int) -> Any:
        assert self.kind is not None
        samples = self.found.sounds[k][: round(self.kind.shown * self.found.rate)]
        outputs, _ = outputs_of(model, [samples], self.front)
        inputs = self.front(torch.from_numpy(samples * np.float32(self.front.unit))[:, None])
        frames = self.front.shown(inputs[:, 0]).numpy()
        said = self.text_of(self.kind.labels(model.head, outputs, torch.ones(outputs.shape[:2], dtype=torch.bool))[0])
        is_cut = len(samples) < len(self.found.sounds[k])
        title = f"{self.found.names[k]}: {shortened(self.found.texts[k])}, heard as {shortened(said) or 'nothing'}"
        title = f"{self.found.names[k]}, its beginning" if is_cut else title
        posterior = torch.softmax(outputs[:, 0], -1).numpy(force=True)
        return draw_heard(frames, len(samples) / self.found.rate, posterior, self.symbols, title, self.kind.seen)

    def evidence(self, model: Model, part: str) -> Evidence:
        """The longest recording of the part whose frames are not too many to look at."""
        which = self.parts.get(part, np.empty(0, dtype=np.int64))
        if not len(which):
            raise EmptyPartError(f"the {part} part has no {self.unit}")
        frames = self.front.frames(torch.from_numpy(self.found.sounds.lengths[which])).numpy()
        k = int(which[np.where(frames <= _LOOKED_AT, frames, -frames).argmax()])
        samples = torch.from_numpy(self.found.sounds[k] * np.float32(self.front.unit))
        inputs = self.front(samples[:, None])[:_LOOKED_AT, 0].numpy()
        step = len(samples) / self.found.rate / frames[which == k].item()
        decimals = max(2, math.ceil(-math.log10(step)))
        labels = [f"{t * step:.{decimals}f} s" for t in range(len(inputs))]
        loud = self.front.shown(torch.from_numpy(inputs)).mean(1).numpy()
        features = {self.kind.seen if self.kind else "level": loud, "time": np.arange(len(inputs)) * step}
        origin = f"{self.found.names[k]} of the run's {part} part" if part != ALL else self.found.names[k]
        return Evidence(origin, inputs, labels, features=features)
