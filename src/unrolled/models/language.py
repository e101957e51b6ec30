"""A model of symbols as the language model of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from unrolled.layers.state import joined, select
from unrolled.models.decode import evaluating
from unrolled.models.model import Model


class SymbolLanguage:
    """The next label after labels, by a many-to-many model of symbols; see `ctc_search.Language`.

    Arguments:
        model: its head is `Softmax`.
        symbols: the model's symbol for each label (V,); None for a label that it does not know, such as the blank.
        start: the symbols that come before the first label, at least one.
        unknown: log p, in nats, of a label that the model does not know; what it would read then is the last symbol
            of ``start``.
    """

    def __init__(
        self, model: Model, symbols: Sequence[int | None], start: Sequence[int], unknown: float = -12.0
    ) -> None:
        self._model, self._start, self._unknown = model, list(start), unknown
        self._known = np.array([symbol is not None for symbol in symbols])
        self._symbols = np.array([self._start[-1] if symbol is None else symbol for symbol in symbols])

    def begin(self) -> tuple[Any, np.ndarray]:
        """The state behind ``start``, and log p of each label (V,)."""
        with evaluating(self._model):
            scores, state = self._model.begin(torch.tensor(self._start)[:, None])
        return state, self._logs(scores)[0]

    def step(self, states: list[Any], labels: list[int]) -> tuple[list[Any], np.ndarray]:
        """The states one label further, and log p of each label that follows (n, V)."""
        with evaluating(self._model):
            scores, state = self._model.step(torch.from_numpy(self._symbols[labels]), joined(states))
        rows = torch.arange(len(labels))
        return [select(state, rows[k : k + 1]) for k in range(len(labels))], self._logs(scores)

    def _logs(self, scores: torch.Tensor) -> np.ndarray:
        logs = torch.log_softmax(scores.double(), dim=-1).numpy(force=True)[:, self._symbols]
        return np.where(self._known, logs, self._unknown)
