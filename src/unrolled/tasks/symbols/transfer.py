"""A model that starts from the weights of another with its own vocabulary: which symbols keep their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from unrolled.models.model import Model
from unrolled.tasks.symbols.vocabulary import UNKNOWN, Vocabulary
from unrolled.training.checkpoints import load_weights, to_arrays

Choice = Callable[[list[str]], list[str]]
"""From the symbols of the data's own vocabulary to those of the one that is used."""

FRESH = -1
"""In place of a row's number: the symbol is new, and its row starts as in any new model."""

_BY_SYMBOL = ("encoder.weight", "head.map.weight", "head.map.bias")
"""Tensors with one row a symbol."""


@dataclass(frozen=True)
class Rows:
    """Where the rows of a new model come from.

    Fields:
        numbers: for each symbol its row in the source, or `FRESH` (V,).
        kept, added, dropped: symbols in both vocabularies, in the new one alone, in the source's alone; the
            unknown symbol is not counted.
    """

    numbers: np.ndarray
    kept: int
    added: int
    dropped: int


def choice(source: Vocabulary, kind: str | None, largest: int) -> Choice:
    """The vocabulary of a model that starts from one of ``source``, given that of its own data.

    Arguments:
        kind: ``same`` is the source's; ``text`` is that of the data; ``extended`` is the source's, and behind it what
            the data have besides.
        largest: an extended vocabulary of words leaves out the source's rarest where it would be larger.
    """

    def chosen(own: list[str]) -> list[str]:
        if kind == "same":
            return source.symbols
        if kind == "text":
            return own
        new = [symbol for symbol in own if symbol and symbol not in source.numbers]
        kept = source.symbols
        room = largest - len(new)
        if source.units == "words" and len(kept) > room:
            needed = {"", *own}
            others = [k for k, symbol in enumerate(kept) if symbol not in needed]
            others.sort(key=lambda k: -source.counts[k])
            spare = max(0, room - sum(symbol in needed for symbol in kept))
            left_out = set(others[spare:])
            kept = [symbol for k, symbol in enumerate(kept) if k not in left_out]
        return [*kept, *new]

    return chosen


def match(source: Vocabulary, own: Vocabulary) -> Rows:
    """Which row of the source each symbol has.

    >>> a = Vocabulary("characters", ["", "a", "b"], [0, 1, 1])
    >>> b = Vocabulary("characters", ["", "b", "c"], [0, 1, 1])
    >>> match(a, b).numbers.tolist()
    [0, 2, -1]
    """
    numbers = np.array([source.numbers.get(symbol, FRESH) for symbol in own.symbols], dtype=np.int64)
    kept = int((numbers != FRESH).sum())
    added, dropped = len(own.numbers) - kept, len(source.numbers) - kept
    if own.has_unknown:
        numbers[UNKNOWN] = UNKNOWN
    return Rows(numbers, kept, added, dropped)


def carry_over(model: Model, arrays: Mapping[str, np.ndarray], rows: Rows, symbols: int, where: str) -> None:
    """Give a new model the weights of the source; fresh rows stay as they are.

    Arguments:
        symbols: how many the source's vocabulary has.
        where: the source's file, for errors.

    Raises:
        RunError: the weights are not those of such a model.
    """
    fresh = to_arrays(model.state_dict())
    known = rows.numbers != FRESH
    new = dict(arrays)
    for name in _BY_SYMBOL:
        old = arrays.get(name)
        if old is None or len(old.shape) == 0 or len(old) != symbols or old.shape[1:] != fresh[name].shape[1:]:
            continue  # `load_weights` says what is wrong
        new[name] = fresh[name].copy()
        new[name][known] = old[rows.numbers[known]]
    load_weights(model, new, where)
