"""Music as symbols one after the other: what events and ABC have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from unrolled.cells import Cell
from unrolled.models.build import build_stack
from unrolled.models.decode import sample
from unrolled.models.device import device_of
from unrolled.models.encoders import Embedding
from unrolled.models.heads import Softmax
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions
from unrolled.tasks.music.options import MusicOptions, SampleOptions
from unrolled.tasks.symbols.counting import count
from unrolled.training.batches import Batch
from unrolled.training.losses import Loss
from unrolled.training.metric import Metric
from unrolled.training.options import TrainingOptions
from unrolled.training.task import Evidence
from unrolled.wording import singular

_EMBEDDING = 64


class Tokens:
    """Symbols by number, each predicted from those before it; the first of a piece from `start`.

    Attributes:
        names: of the symbols, by number; start: the number of the one before the first.
        never: numbers that no piece has.
        transpose: by so many semitones pieces are moved in training; symbols cannot be.
        steps_per_quarter: of rolls alone.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    longest, transpose = 512, 0
    steps_per_quarter: int | None = None
    names: Sequence[str] = ()
    start = 0
    never: Sequence[int] = ()

    def __init__(self, options: MusicOptions, kept: Mapping[str, Any] | None = None) -> None:
        self.options = options
        self.metrics = (
            Metric("loss", f"nats per {singular(self.unit)}"),
            Metric("accuracy", percent=True, digits=1, higher=True),
        )

    def settled(self, pieces: Sequence[np.ndarray], training: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The pieces in numbers, once all have been read; ``training`` are those of the training part."""
        return list(pieces)

    def pair(self, piece: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets."""
        return np.concatenate([[self.start], piece[:-1]]).astype(np.int64), piece.astype(np.int64)

    @staticmethod
    def settle(model: ModelOptions, training: TrainingOptions, steps: int) -> tuple[ModelOptions, TrainingOptions]:
        """The choices are those of every task."""
        return model, training

    def build(
        self, cell: type[Cell], options: ModelOptions, for_use: bool, training: Sequence[np.ndarray] = ()
    ) -> Model:
        """An embedding, recurrent layers, and a softmax."""
        encoder = Embedding(len(self.names), _EMBEDDING)
        stack = build_stack(cell, _EMBEDDING, options, for_use)
        assert options.dropout is not None
        return Model(encoder, stack, Softmax(stack.output_size, len(self.names)), dropout=options.dropout)

    @staticmethod
    def loss(model: Model, batch: Batch) -> Loss:
        """-log p of every symbol, and in evaluation how often the likeliest is the one that comes."""
        outputs, _ = model(batch.inputs, lengths=batch.lengths)
        total, counted = model.head.loss(outputs, batch.targets, batch.mask)
        if model.training:
            return Loss(total, counted)
        right = int((outputs.argmax(-1) == batch.targets)[batch.mask].sum())
        return Loss(total, counted, parts={"accuracy": (right, counted)})

    @staticmethod
    def figures(figures: dict[str, Any]) -> dict[str, Any]:
        """The scores by the names of the metrics."""
        return figures

    def facts(self) -> dict[str, Any]:
        """What was read, besides pieces and steps."""
        return {"vocabulary": len(self.names)}

    def about(self) -> list[tuple[str, str]]:
        """The same for a person."""
        return [("vocabulary", f"{len(self.names):,} symbols")]

    def convention(self) -> str:
        """What the scores are, in words."""
        return f"mean over all {self.unit} of all pieces, each piece from its first one"

    def baselines(self, training: Sequence[np.ndarray], part: Sequence[np.ndarray]) -> dict[str, float]:
        """The loss of the symbols' frequencies in the training part, each count plus one."""
        size = len(self.names)
        p = count(np.concatenate(training), size) + 1
        found = count(np.concatenate(part), size)
        return {"frequencies": float(-(found * np.log(p / p.sum())).sum() / found.sum())}

    def drawn(self, model: Model, options: SampleOptions, primed: np.ndarray | None, most: int) -> Iterator[int]:
        """At most so many symbols of the model's own, after those that it goes on from."""
        begin = np.concatenate([[self.start], [] if primed is None else primed]).astype(np.int64)
        return sample(
            model,
            torch.from_numpy(begin)[:, None].to(device_of(model)),
            most,
            temperature=options.temperature,
            seed=options.seed,
            exclude=self.never,
        )

    def features(self, piece: np.ndarray) -> dict[str, np.ndarray]:
        """What to look for in units."""
        return {"place in the piece": np.arange(len(piece)) / len(piece)}

    def evidence(self, piece: np.ndarray, origin: str, baseline: float | None) -> Evidence:
        """A piece, symbol by symbol."""
        labels = [self.names[k] for k in piece]
        return Evidence(origin, piece, labels, self.names, features=self.features(piece), baseline=baseline)


def kinds_of(names: Iterable[str], kinds: Mapping[str, str]) -> dict[str, np.ndarray]:
    """For each kind where a name begins with it, 0 or 1."""
    names = list(names)
    return {label: np.array([float(n.startswith(start)) for n in names]) for start, label in kinds.items()}
