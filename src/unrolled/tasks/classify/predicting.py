"""The probabilities that a model gives labels, for sequences in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from unrolled.models.decode import evaluating
from unrolled.models.device import device_of
from unrolled.models.model import Model
from unrolled.training.padded import stacked

_TOGETHER = 64
_SORTED = 50 * _TOGETHER
"""So many sequences are sorted by length, to waste little on padding."""


def probabilities(model: Model, sequences: Sequence[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
    """Which sequence, and its probabilities: (labels,), or (steps, labels) where each step has a label.

    Sequences of similar lengths are read side by side, so that they come in an order of their own.
    """
    device = device_of(model)
    with evaluating(model):
        for start in range(0, len(sequences), _SORTED):
            some = [np.asarray(sequences[k]) for k in range(start, min(start + _SORTED, len(sequences)))]
            order = np.argsort([len(x) for x in some], kind="stable")
            for first in range(0, len(order), _TOGETHER):
                chosen = order[first : first + _TOGETHER]
                lengths = torch.tensor([len(some[k]) for k in chosen], device=device)
                with torch.no_grad():
                    scores, _ = model(stacked([some[k] for k in chosen]).to(device), lengths=lengths)
                found = torch.softmax(scores.double(), dim=-1).cpu().numpy()
                for n, k in enumerate(chosen):
                    yield start + int(k), found[n] if found.ndim == 2 else found[: len(some[k]), n]
