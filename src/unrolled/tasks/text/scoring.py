"""Scores: how well a model predicts a text it is given."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.models.decode import evaluating
from unrolled.models.model import Model
from unrolled.tasks.text.reading import Part

_CHUNK = 2048


@dataclass(frozen=True)
class Score:
    """Sums over the scored symbols: each but the first, in one stream from the zero state.

    Units: ``nats``, the sum of -log p.
    """

    symbols: int
    characters: int
    nats: float
    right: int

    def figures(self) -> dict[str, float]:
        """loss (nats a symbol), bits_per_character, perplexity, accuracy, characters, symbols."""
        loss = self.nats / self.symbols
        return {
            "loss": loss,
            "bits_per_character": self.nats / math.log(2) / max(self.characters, 1),
            "perplexity": math.exp(min(loss, 700.0)),
            "accuracy": self.right / self.symbols,
            "characters": self.characters,
            "symbols": self.symbols,
        }


def score(model: Model, part: Part, limit: int | None = None) -> Score | None:
    """Score a part of a text, or its first ``limit`` symbols; None if there is nothing to score.

    Characters of a beginning are taken in proportion; for whole parts, and for units of characters, they
    are exact.
    """
    numbers = part.numbers[:limit]
    if len(numbers) < 2:
        return None
    nats, right = 0.0, 0
    for logs, targets in _stream(model, numbers):
        nats -= float(logs.gather(1, targets[:, None]).double().sum())
        right += int((logs.argmax(1) == targets).sum())
    symbols = len(numbers) - 1
    characters = round(part.characters * symbols / (len(part.numbers) - 1))
    return Score(symbols, characters, nats, right)


def log_probabilities(model: Model, numbers: np.ndarray) -> list[float]:
    """log p of each symbol but the first, given those before it (nats)."""
    parts = [logs.gather(1, targets[:, None])[:, 0] for logs, targets in _stream(model, numbers)]
    return torch.cat(parts).double().tolist() if parts else []


def _stream(model: Model, numbers: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
    """Log probabilities (T, V) and targets (T,), chunk by chunk, with the state carried on."""
    device = next(model.parameters()).device
    state = None
    with evaluating(model):
        for start in range(0, len(numbers) - 1, _CHUNK):
            stretch = torch.from_numpy(numbers[start : start + _CHUNK + 1].astype(np.int64)).to(device)
            scores, state = model(stretch[:-1, None], state)
            yield F.log_softmax(scores[:, 0], dim=1), stretch[1:]
