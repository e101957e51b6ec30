"""Piano rolls: which of 88 keys sound at each step, predicted from the steps before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unrolled.cells import Cell
from unrolled.errors import DataError, UsageError
from unrolled.models.build import build_stack
from unrolled.models.decode import paths
from unrolled.models.encoders import Keys
from unrolled.models.heads import NADE, Bernoulli
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions
from unrolled.models.philox import Philox
from unrolled.tasks.music.notes import KEYS, LOWEST, chord_name, roll_of, score_of_roll
from unrolled.tasks.music.options import MusicOptions, SampleOptions
from unrolled.tasks.music.reading import Source
from unrolled.tasks.music.shown import shown
from unrolled.training.batches import Batch
from unrolled.training.losses import Loss
from unrolled.training.metric import Metric
from unrolled.training.options import TrainingOptions
from unrolled.training.task import Evidence, Shown
from unrolled.wording import counted

_SMALL, _EPOCHS = 40_000, 100
"""So few steps are read so often; of more as many as the minutes allow."""
_HIDDEN, _DROPOUT = 128, 0.2
_LR = {"nade": 0.04, "bernoulli": 0.01}
"""At that width; smaller for wider layers."""


class Rolls:
    """How rolls are read, modelled and scored.

    Attributes:
        steps_per_quarter: of the roll; None before the first piece was read, unless it was chosen.
        outside: how many notes were left out because no piano has them.
    """

    name = "roll"
    unit, longest, transpose = "steps", 256, 5
    metrics: Sequence[Metric] = (
        Metric("nll_per_step", "nats per step", label="nll"),
        Metric("frame_accuracy", percent=True, digits=1, higher=True, brief="accuracy"),
    )

    def __init__(self, options: MusicOptions, kept: Mapping[str, Any] | None = None) -> None:
        self.options = options
        self.steps_per_quarter: int | None = kept["steps_per_quarter"] if kept else options.steps_per_quarter
        self.outside = 0

    def kept(self) -> dict[str, Any]:
        """What using a model needs to know."""
        return {"steps_per_quarter": self.steps_per_quarter}

    def convert(self, source: Source) -> np.ndarray:
        """The roll (T, 88) of a piece; DataError for one of longer or shorter steps."""
        if source.roll is not None:
            self.steps_per_quarter = self.steps_per_quarter or source.steps or 1
            if source.steps and source.steps != self.steps_per_quarter:
                raise DataError(
                    f"{source.name} has {counted(source.steps, 'steps')} a quarter note by the name of its file, "
                    f"expected {self.steps_per_quarter}, as the model was trained on, or as --steps-per-quarter says"
                )
            return source.roll
        self.steps_per_quarter = self.steps_per_quarter or 4
        roll, outside = roll_of(source.score(), self.steps_per_quarter, source.name)
        self.outside += outside
        return roll

    @staticmethod
    def settled(pieces: Sequence[np.ndarray], training: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The pieces, once all have been read; ``training`` are those of the training part."""
        return list(pieces)

    @staticmethod
    def pair(piece: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets: each step from those before it, the first from silence."""
        return np.concatenate([np.zeros_like(piece[:1]), piece[:-1]]), piece

    def settle(
        self, model: ModelOptions, training: TrainingOptions, steps: int
    ) -> tuple[ModelOptions, TrainingOptions]:
        """Choices that were measured on chorales, as far as they were left open."""
        dropout = _DROPOUT if model.dropout is None else model.dropout
        model = replace(model, dropout=dropout, hidden=model.hidden or _HIDDEN)
        assert model.hidden is not None
        if training.minutes is None and training.epochs is None and steps <= _SMALL:
            training = replace(training, epochs=_EPOCHS)
        if training.lr is None and training.is_adam:
            lr = _LR[self.options.head] * min(1.0, _HIDDEN / model.hidden) ** 0.5
            training = replace(training, lr=float(f"{lr:.2g}"))
        batch = training.batch or (8 if steps <= _SMALL else None)
        return model, replace(training, batch=batch)

    def build(
        self, cell: type[Cell], options: ModelOptions, for_use: bool, training: Sequence[np.ndarray] = ()
    ) -> Model:
        """Keys, recurrent layers, and the head that the settings name, which begins with the keys' frequencies."""
        stack = build_stack(cell, KEYS, options, for_use)
        assert options.dropout is not None
        if self.options.head == "nade":
            head: Bernoulli = NADE(stack.output_size, KEYS, self.options.units)
        else:
            head = Bernoulli(stack.output_size, KEYS)
        if training:
            p = torch.from_numpy(frequencies(training)).float()
            with torch.no_grad():
                head.map.bias[:KEYS].copy_(p.logit())
        return Model(Keys(KEYS), stack, head, dropout=options.dropout)

    @staticmethod
    def loss(model: Model, batch: Batch) -> Loss:
        """-log p of every step, and in evaluation how well the most likely keys agree with those that sound."""
        outputs, _ = model(batch.inputs, lengths=batch.lengths)
        total, count = model.head.loss(outputs, batch.targets, batch.mask)
        if model.training:
            return Loss(total, count)
        likely = model.head.sample(outputs[batch.mask], Philox(0), temperature=0)
        return Loss(total, count, parts={"frame_accuracy": agreement(likely, batch.targets[batch.mask])})

    @staticmethod
    def figures(figures: dict[str, Any]) -> dict[str, Any]:
        """The scores by the names of the metrics."""
        return {"nll_per_step": figures["loss"], **figures}

    def facts(self) -> dict[str, Any]:
        """What was read, besides pieces and steps."""
        return {"steps_per_quarter": self.steps_per_quarter, "outside": self.outside}

    def about(self) -> list[tuple[str, str]]:
        """The same for a person."""
        rows = [("rolls", f"{counted(self.steps_per_quarter or 1, 'steps')} a quarter note, {KEYS} keys")]
        if self.outside:
            rows.append(("", f"{counted(self.outside, 'notes')} that no piano has left out"))
        return rows

    def convention(self) -> str:
        """What the scores are, in words."""
        augmented = f"up to {self.options.transpose} semitones" if self.options.transpose else "none"
        return (
            "mean over all steps of all pieces, empty steps included, each piece from its first step; "
            f"head {self.options.head}, transposition in training: {augmented}"
        )

    def baselines(self, training: Sequence[np.ndarray], part: Sequence[np.ndarray]) -> dict[str, float]:
        """nll per step where each key sounds as often as in the training part, whatever stands around it."""
        p = frequencies(training)
        down = sum(roll.sum(0, dtype=np.int64) for roll in part)
        count = sum(map(len, part))
        return {"frequencies": float(-(down * np.log(p) + (count - down) * np.log1p(-p)).sum() / count)}

    def sample(self, model: Model, options: SampleOptions, primed: np.ndarray | None, font: Path | None) -> Shown:
        """A piece of so many bars, after the roll that it goes on from."""
        start = np.zeros((1, KEYS), dtype=np.uint8) if primed is None else np.pad(primed, ((1, 0), (0, 0)))
        assert self.steps_per_quarter is not None
        drawn = paths(
            model,
            torch.from_numpy(start)[:, None].to(next(model.parameters()).device),
            options.bars * 4 * self.steps_per_quarter,
            temperature=options.temperature,
            seed=options.seed,
        )
        roll = np.concatenate([start[1:], drawn[:, 0].cpu().numpy().astype(np.uint8)])
        if not roll.any():
            raise UsageError(
                f"the model plays nothing in {options.bars} bars at --temperature {options.temperature:g}: choose "
                "another --temperature or --seed"
            )
        score = score_of_roll(roll, self.steps_per_quarter, options.tempo)
        return shown(score, (len(start) - 1) / self.steps_per_quarter, font)

    def evidence(self, piece: np.ndarray, origin: str, baseline: float | None) -> Evidence:
        """A piece with the names of its chords, and what to look for in units."""
        pitches = [np.flatnonzero(step) + LOWEST for step in piece]
        assert self.steps_per_quarter is not None
        bar = 4 * self.steps_per_quarter
        edges = np.array([float(len(p)) for p in pitches])
        features = {
            "notes that sound": edges,
            "highest note": _filled([p.max() if len(p) else np.nan for p in pitches]),
            "lowest note": _filled([p.min() if len(p) else np.nan for p in pitches]),
            "a rest": (edges == 0).astype(float),
            "place in the bar": np.arange(len(piece)) % bar / bar,
            "place in the piece": np.arange(len(piece)) / len(piece),
            "the chord stays": np.pad((piece[1:] == piece[:-1]).all(1).astype(float), (1, 0)),
        }
        return Evidence(
            origin, piece, [chord_name(p.tolist()) for p in pitches], features=features, baseline=baseline
        )


def frequencies(training: Sequence[np.ndarray]) -> np.ndarray:
    """How often each key sounds (88,), each count plus one."""
    down = sum(roll.sum(0, dtype=np.int64) for roll in training) + np.ones(KEYS)
    return down / (sum(map(len, training)) + 2)


def agreement(predicted: Tensor, true: Tensor) -> tuple[float, int]:
    """Frame accuracy as a sum and a count: TP of TP + FP + FN, over all keys of all steps.

    Source:
        M. Bay, A. Ehmann & J. Downie, "Evaluation of multiple-F0 estimation and tracking systems" (2009).

    >>> agreement(torch.tensor([[1, 1, 0]]), torch.tensor([[1, 0, 1]]))
    (1.0, 3)
    """
    predicted, true = predicted != 0, true != 0
    return float((predicted & true).sum()), int((predicted | true).sum())


def _filled(values: Sequence[float]) -> np.ndarray:
    """The numbers with the last known one where there is none."""
    found = np.array(values, dtype=float)
    known = np.maximum.accumulate(np.where(np.isnan(found), -1, np.arange(len(found))))
    return np.where(known >= 0, found[np.maximum(known, 0)], np.nanmean(found) if len(known) else 0)
