"""Prefix beam search: the likely label sequences of CTC outputs, alone or with a language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from unrolled.cells.arguments import whole
from unrolled.errors import RunError
from unrolled.models.beam import Hypothesis
from unrolled.models.heads.ctc import BLANK


class Language(Protocol):
    """What a language model says of label sequences that grow at their ends."""

    def begin(self) -> tuple[Any, np.ndarray]:
        """Its state before the first label, and log p of each label there (V,), in nats; the blank's is not used."""
        ...

    def step(self, states: list[Any], labels: list[int]) -> tuple[list[Any], np.ndarray]:
        """The states one label further, and log p of the next label (n, V), for n sequences at once."""
        ...


@dataclass(frozen=True, eq=False)
class _Prefix:
    """A label sequence that the search keeps. Each is made once, so that it is its own key."""

    parent: _Prefix | None
    last: int

    def labels(self) -> tuple[int, ...]:
        made: list[int] = []
        node: _Prefix | None = self
        while node is not None and node.parent is not None:
            made.append(node.last)
            node = node.parent
        return tuple(reversed(made))


def ctc_search(
    outputs: Tensor,
    *,
    width: int = 16,
    language: Language | None = None,
    weight: float = 0.5,
    bonus: float = 0.0,
) -> list[Hypothesis]:
    """The best label sequences that a search of limited width finds, best first.

    Equation::

        score(labels) = log p_ctc(labels) + weight * log p_language(labels) + bonus * (number of labels)

    where p_ctc is the sum over all paths that the search keeps together: for each prefix those that end with a blank
    apart from those that do not, since a repeated label goes on with the same label only behind the latter.

    Arguments:
        outputs: of a `CTC` head for one sequence (T, V).
        width: how many prefixes are kept at each step.
        language: a language model of the labels.
        weight, bonus: see the equation; a language model prefers short sequences, which the bonus makes good.

    Returns:
        At most ``width`` sequences, with their scores in nats.

    Raises:
        ValueError: an argument out of range. RunError: outputs that are not finite.

    Source:
        A. Graves, S. Fernández, F. Gomez & J. Schmidhuber (2006), section 3.2; as a beam with a language model: A. Y.
        Hannun, A. L. Maas, D. Jurafsky & A. Y. Ng, "First-pass large vocabulary continuous speech recognition using
        bi-directional recurrent DNNs" (2014), algorithm 1.

    >>> outputs = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log()
    >>> ctc_search(outputs)[0].symbols  # blank, blank is the likeliest path, and "1" the likeliest label sequence
    (1,)
    """
    width = whole("ctc_search", "width", width)
    if outputs.dim() != 2 or outputs.shape[1] < 2:
        raise ValueError(f"ctc_search: outputs have shape {tuple(outputs.shape)}, expected (T, V) with V from 2")
    if not torch.isfinite(outputs).all():
        raise RunError("the model's outputs are not finite: its weights are damaged")
    logs = torch.log_softmax(outputs.double(), dim=1).numpy(force=True)
    search = _Search(logs.shape[1], width, language, weight, bonus)
    for frame in logs:
        search.read(frame)
    return search.found()


class _Search:
    """The prefixes that are kept, and what is known of each.

    Attributes:
        blank, label: log p of its paths that end with a blank, and of those that do not (n,).
        gain: what the language model and the bonus have added (n,); after: what they add for each label next (n, V).
        states: of the language model.
    """

    def __init__(self, V: int, width: int, language: Language | None, weight: float, bonus: float) -> None:
        self._V, self._width, self._language, self._weight, self._bonus = V, width, language, weight, bonus
        self._children: dict[tuple[_Prefix, int], _Prefix] = {}
        self.prefixes = [_Prefix(None, BLANK)]
        self.blank, self.label, self.gain = np.zeros(1), np.full(1, -np.inf), np.zeros(1)
        self.states: list[Any] = [None]
        self.after = np.full((1, V), bonus)
        if language is not None:
            state, first = language.begin()
            self.states, self.after = [state], (weight * first + bonus)[None]

    def read(self, frame: np.ndarray) -> None:
        """One step: log p of each symbol (V,)."""
        both, n, V = np.logaddexp(self.blank, self.label), len(self.prefixes), self._V
        last = np.array([prefix.last for prefix in self.prefixes])
        grown = np.where(np.arange(V) == last[:, None], self.blank[:, None], both[:, None]) + frame
        grown[:, BLANK] = -np.inf
        blank, label = both + frame[BLANK], np.where(last == BLANK, -np.inf, self.label + frame[last])
        place = {prefix: k for k, prefix in enumerate(self.prefixes)}
        for k, prefix in enumerate(self.prefixes):
            if prefix.parent in place:  # its parent grows into it
                above = place[prefix.parent]
                label[k] = np.logaddexp(label[k], grown[above, prefix.last])
                grown[above, prefix.last] = -np.inf
        longer = (grown + self.gain[:, None] + self.after).ravel()
        scores = np.concatenate([np.logaddexp(blank, label) + self.gain, longer])
        chosen = np.argsort(-scores, kind="stable")[: self._width]
        chosen = chosen[scores[chosen] > -np.inf]
        kept, (rows, labels) = chosen[chosen < n], np.divmod(chosen[chosen >= n] - n, V)
        keys = [(self.prefixes[row], int(k)) for row, k in zip(rows, labels, strict=True)]
        new = [self._children.setdefault(key, _Prefix(*key)) for key in keys]
        states, after = self._further([self.states[row] for row in rows], labels.tolist())
        self.gain = np.concatenate([self.gain[kept], self.gain[rows] + self.after[rows, labels]])
        self.after = np.concatenate([self.after[kept], after])
        self.states = [self.states[k] for k in kept] + states
        self.blank = np.concatenate([blank[kept], np.full(len(new), -np.inf)])
        self.label = np.concatenate([label[kept], grown[rows, labels]])
        self.prefixes = [self.prefixes[k] for k in kept] + new

    def _further(self, states: list[Any], labels: list[int]) -> tuple[list[Any], np.ndarray]:
        """The language model one label further, for each of some prefixes."""
        if self._language is None or not labels:
            return [None] * len(labels), np.full((len(labels), self._V), self._bonus)
        states, logs = self._language.step(states, labels)
        return states, self._weight * logs + self._bonus

    def found(self) -> list[Hypothesis]:
        """The label sequences, best first."""
        scores = np.logaddexp(self.blank, self.label) + self.gain
        order = np.argsort(-scores, kind="stable")
        return [Hypothesis(self.prefixes[k].labels(), float(scores[k])) for k in order]
