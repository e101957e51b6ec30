"""Scores: how well a model predicts a text it is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.models.decode import evaluating
from unrolled.models.device import device_of
from unrolled.models.model import Model
from unrolled.tasks.symbols.part import Part
from unrolled.wording import perplexity

_CHUNK = 2048
_SCORES = 1 << 22
"""Steps, and scores of all streams, in memory at once."""
_STRETCHES = 16


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
        """loss (nats a symbol), bits_per_character, perplexity, accuracy, characters, and how many are ``scored``."""
        loss = self.nats / self.symbols
        return {
            "loss": loss,
            "bits_per_character": self.nats / math.log(2) / max(self.characters, 1),
            "perplexity": perplexity(loss),
            "accuracy": self.right / self.symbols,
            "characters": self.characters,
            "scored": self.symbols,
        }


def score(model: Model, part: Part, tell: Callable[[float], None] | None = None) -> Score | None:
    """Score a part of a text, in one stream from the zero state; None if there is nothing to score.

    ``tell`` is called with the share that is scored, now and then.
    """
    if len(part.numbers) < 2:
        return None
    return _score(model, part.numbers[:, None], part, tell)


def estimate(model: Model, part: Part, limit: int) -> Score | None:
    """About what `score` gives, from ``limit`` symbols: stretches spaced evenly over the part, side by side.

    Each begins from the zero state, so that the loss is a little too high. Characters are taken in
    proportion; for units of characters they are exact. A part of at most ``limit`` symbols is scored whole.
    """
    T = limit // _STRETCHES
    if len(part.numbers) <= max(limit, 2 * _STRETCHES) or T < 2:
        return score(model, part)
    starts = np.linspace(0, len(part.numbers) - T, _STRETCHES).astype(np.int64)
    return _score(model, part.numbers[np.arange(T)[:, None] + starts], part)


def log_probabilities(model: Model, numbers: np.ndarray) -> list[float]:
    """log p of each symbol but the first, given those before it (nats)."""
    parts = [_of_targets(logs, targets)[:, 0] for logs, targets in _run(model, numbers[:, None])]
    return torch.cat(parts).double().tolist() if parts else []


def _score(model: Model, numbers: np.ndarray, part: Part, tell: Callable[[float], None] | None = None) -> Score:
    """Scores of parallel streams (T, N), each symbol but the first of each."""
    nats, right, steps = 0.0, 0, 0
    for logs, targets in _run(model, numbers):
        nats -= float(_of_targets(logs, targets).double().sum())
        right += int((logs.argmax(2) == targets).sum())
        steps += len(targets)
        if tell is not None:
            tell(steps / (len(numbers) - 1))
    symbols = numbers.size - numbers.shape[1]
    characters = round(part.characters * symbols / (len(part.numbers) - 1))
    return Score(symbols, characters, nats, right)


def _of_targets(logs: Tensor, targets: Tensor) -> Tensor:
    return logs.gather(2, targets[..., None])[..., 0]


def _run(model: Model, numbers: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
    """Log probabilities (T, N, V) and targets (T, N), chunk by chunk, with the state carried on."""
    device = device_of(model)
    state = None
    steps = max(1, min(_CHUNK, _SCORES // (numbers.shape[1] * model.head.output_size)))
    with evaluating(model):
        for start in range(0, len(numbers) - 1, steps):
            stretch = torch.from_numpy(numbers[start : start + steps + 1].astype(np.int64)).to(device)
            scores, state = model(stretch[:-1], state)
            yield F.log_softmax(scores, dim=2), stretch[1:]
