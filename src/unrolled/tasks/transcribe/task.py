"""The transcription task: a text for each recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unrolled.cells import Cell
from unrolled.errors import DataError, RunError
from unrolled.layers import LayerNorm, Stack, TimeReduction
from unrolled.models.build import build_stack
from unrolled.models.encoders import Vectors
from unrolled.models.heads import CTC
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions
from unrolled.runs.folder import RunFolder
from unrolled.tasks.sequences import Chosen
from unrolled.tasks.splitting import split
from unrolled.tasks.transcribe import choices, showing
from unrolled.tasks.transcribe.features import LogMel
from unrolled.tasks.transcribe.fronts import Spectra
from unrolled.tasks.transcribe.hearing import heard, inside
from unrolled.tasks.transcribe.options import TranscribeOptions
from unrolled.tasks.transcribe.reading import Speech, read_speech
from unrolled.tasks.transcribe.recordings import is_speech
from unrolled.tasks.transcribe.scores import Transcripts
from unrolled.tasks.transcribe.utterances import Utterances, stacked_labels
from unrolled.training.batches import Batch
from unrolled.training.losses import Loss
from unrolled.training.metric import Metric
from unrolled.training.options import TrainingOptions
from unrolled.training.task import ALL, PARTS, Task, Tell

SIDE_FILE = "transcribe.json"
_FEW = 300
"""Recordings that are scored while training."""


class TranscribeTask(Task):
    """A text for each recording, by CTC; see `Task`.

    Attributes:
        symbols: the characters of the texts, by their labels from 1 on; 0 is the blank.
        between: what stands between the texts of joined recordings.
    """

    name, noun = "transcribe", "recordings"
    unit, step_unit = "recordings", "frames"
    options_class = TranscribeOptions
    metrics = (
        Metric("loss", "nats per recording", digits=3, brief_digits=2),
        Metric("cer", "of the characters wrong", label="CER", percent=True, digits=2, brief_digits=1),
        Metric("wer", "of the words wrong", label="WER", percent=True, digits=2, in_lines=False),
        Metric("exact", "of the recordings right", percent=True, digits=2, higher=True, brief_digits=1),
    )
    symbols: Sequence[str] = ()
    between: str = ""
    front: Spectra
    speech: Speech
    parts: Mapping[str, np.ndarray]

    # -- data and side files

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder of sound files."""
        return is_speech(path)

    def read(self, data: str) -> int:
        self._read(data)
        given = np.array([-1 if part is None else PARTS.index(part) for part in self.speech.parts])
        made = split(np.zeros(len(given), np.int64), self.options.shares(), given)
        self.parts = {part: np.flatnonzero(made == k) for k, part in enumerate(PARTS)}
        which = self.parts["training"]
        if not len(which):
            raise DataError(f"{data}: the training part has no recordings (--split {self.options.split})")
        if not self.symbols:
            texts = [self.speech.texts[k] for k in which]
            self.symbols = sorted(set("".join(texts)))
            self.between = "" if all(len(text) == 1 for text in texts) else " "
            if self.options.join > 1 and self.between not in ("", *self.symbols):
                self.symbols = sorted([*self.symbols, self.between])
            self.front = choices.fitted(self.mel, Chosen(self.speech.sounds, which))
        self._check_room(which)
        self.sequences = len(self.parts["training"])
        return int(self.mel.frames(torch.from_numpy(self.speech.sounds.lengths[which])).sum())

    def read_all(self, data: str) -> int:
        self._read(data)
        self.parts = {ALL: np.arange(len(self.speech.texts))}
        return int(self.mel.frames(torch.from_numpy(self.speech.sounds.lengths)).sum())

    def _read(self, data: str) -> None:
        self.speech = read_speech(data, self.options)
        self.options = replace(self.options, rate=self.speech.rate)

    def _check_room(self, which: np.ndarray) -> None:
        """Leave out what has more text than its frames can carry."""
        steps = self._steps(self.mel.frames(torch.from_numpy(self.speech.sounds.lengths)))
        kept = []
        for k in which:
            labels = self.labels(self.speech.texts[k])
            needed = len(labels) + int((labels[1:] == labels[:-1]).sum())
            if needed <= int(steps[k]):
                kept.append(k)
            else:
                self.speech.bad.append(
                    f"{self.speech.names[k]}: its text takes {needed} steps, and it has {int(steps[k])}"
                )
        if not kept:
            raise DataError(f"{self.speech.bad[-1]}, and no other recording has room for its text")
        self.parts = {**self.parts, "training": np.array(kept, dtype=np.int64)}

    def _steps(self, frames: torch.Tensor) -> torch.Tensor:
        return -(-frames // self.options.reduction)

    @property
    def mel(self) -> LogMel:
        """The frames of a recording."""
        assert self.options.rate is not None
        return LogMel(self.options.rate, self.options.mels)

    def labels(self, text: str) -> np.ndarray:
        """The labels of a text; characters that the training part does not have are left out."""
        number = {symbol: k for k, symbol in enumerate(self.symbols, 1)}
        return np.array([number[c] for c in text if c in number], dtype=np.int64)

    def text_of(self, labels: Sequence[int]) -> str:
        """The text of labels."""
        return "".join(self.symbols[k - 1] for k in labels)

    def save(self, run: RunFolder) -> None:
        content = {"symbols": list(self.symbols), "between": self.between}
        content |= {"mean": self.front.mean.tolist(), "scale": self.front.scale.tolist()}
        run.write_json(SIDE_FILE, content)

    def restore(self, run: RunFolder) -> None:
        kept = run.read_json(SIDE_FILE)
        self.symbols, self.between = list(kept["symbols"]), kept["between"]
        mean, scale = (np.array(kept[name], dtype=np.float32) for name in ("mean", "scale"))
        if self.options.rate is None or mean.shape != (self.options.mels,) or scale.shape != mean.shape:
            raise RunError(f"{run.path / SIDE_FILE} is damaged: it does not fit {self.options.mels} bands")
        self.front = Spectra(self.mel, mean, scale)

    # -- what is trained

    def settle(self, model: ModelOptions, training: TrainingOptions, steps: int) -> None:
        super().settle(*choices.sizes(model, training), steps)

    def build(self, cell: type[Cell], options: ModelOptions, for_use: bool = False) -> Model:
        o = self.options
        width = o.reduction * o.mels
        below = [TimeReduction(o.mels, o.reduction), LayerNorm(width)] if o.reduction > 1 else [LayerNorm(width)]
        stack = build_stack(cell, width, options, for_use)
        stack = Stack([*below, *stack.layers], dropout=stack.dropout)
        assert options.dropout is not None
        head = CTC(stack.output_size, len(self.symbols) + 1)
        return Model(Vectors(o.mels), stack, head, dropout=options.dropout)

    def batches(self, part: str = "training") -> Utterances:
        t, o = self.training, self.options
        assert t.batch is not None
        which = self.parts.get(part, np.empty(0, dtype=np.int64))
        labels = [self.labels(self.speech.texts[k]) for k in which]
        sounds, training = Chosen(self.speech.sounds, which), part == "training"
        join, varied = (o.join, o.augment) if training else (1, False)
        between = self.labels(self.between)
        return Utterances(sounds, labels, self.front, t.batch, t.seed, join, between, varied, t.device)

    def loss(self, model: Model, batch: Batch, state: Any) -> Loss:
        outputs, _ = model(batch.inputs, lengths=batch.lengths)
        assert batch.lengths is not None
        return Loss(*model.head.loss(outputs, batch.targets, inside(model, outputs, batch.lengths)))

    # -- scores

    def score(self, model: Model, part: str, tell: Tell | None = None) -> dict[str, Any] | None:
        """Loss, error rates and the worst transcripts of one part."""
        found = self._transcripts(model, self.parts.get(part, ()), tell)
        return None if found is None else found.figures()

    def validate(self, model: Model, whole: bool, tell: Tell | None = None) -> dict[str, Any] | None:
        which = self.parts["validation"]
        found = self._transcripts(model, which if whole else which[:_FEW], tell)
        if found is None:
            return None
        return found.means() | ({} if whole or len(which) <= _FEW else {"estimate": True})

    def _transcripts(self, model: Model, which: Any, tell: Tell | None) -> Transcripts | None:
        if not len(which):
            return None
        made, head = Transcripts(), model.head
        which = np.asarray(which)
        lengths = self.speech.sounds.lengths[which]
        for found in heard(model, Chosen(self.speech.sounds, which), lengths, self.front):
            texts = [self.speech.texts[which[k]] for k in found.which]
            targets = stacked_labels([self.labels(text) for text in texts])
            losses = -head.log_prob(found.outputs, targets.to(found.outputs.device), found.inside)
            labels = head.greedy(found.outputs, found.inside).T.tolist()
            for k, text, row, loss in zip(found.which, texts, labels, losses.tolist(), strict=True):
                name = self.speech.names[which[k]]
                made.add(name, text, self.text_of([label for label in row if label > 0]), loss)
            made.sound += float(lengths[found.which].sum()) / self.front.mel.rate
            made.work += found.seconds
            if tell is not None:
                tell(len(made.found) / len(which))
        return made

    def facts(self) -> dict[str, Any]:
        return {
            "recordings": {part: len(which) for part, which in self.parts.items()},
            "seconds": self.speech.seconds,
            "bad_files": list(self.speech.bad),
        }

    def about(self) -> list[tuple[str, str]]:
        sizes = {part: len(self.parts[part]) for part in PARTS}
        return showing.about(self.speech, self.symbols, self.options, sizes)

    def rows(self, figures: Mapping[str, Any]) -> list[tuple[str, str]]:
        return super().rows(figures) + showing.rows(figures)
