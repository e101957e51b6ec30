"""Labels for sequences that need none: read, scored and told a block at a time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice

import numpy as np

from unrolled.errors import DataError, RunError
from unrolled.models.model import Model
from unrolled.tasks.classify.options import ClassifyOptions
from unrolled.tasks.classify.predicting import probabilities
from unrolled.tasks.classify.records import Record
from unrolled.tasks.classify.sources import files_of, records_of
from unrolled.tasks.classify.symbols import Symbols
from unrolled.training.task import Answers

_BLOCK = 1_000


def answers(
    model: Model,
    data: str,
    options: ClassifyOptions,
    symbols: Symbols,
    labels: Sequence[str],
    by_step: bool,
    aligned: int | None,
) -> Answers:
    """A row for each sequence: its name, the most likely label, the true one if the data have it, all probabilities.

    With labels of steps, the label is one for each step, joined where all are single letters, else with blanks
    between, and the probability is the mean over the steps of that of the label.

    Arguments:
        aligned: how long all sequences of the training part are, for a model that knows places; it warns of others.

    Raises:
        UsageError: there are no such data. DataError: a record cannot be used. RunError: the model is damaged.
    """
    records = _records(data, options, labels)
    first = next(records, None)
    if first is None:
        raise DataError(f"{data} has no sequences")
    some = ["probability"] if by_step else [f"p({label})" for label in labels]
    every: Iterator[Record] = chain([first], records)
    if aligned is not None:
        every = _warned(every, aligned)
    return Answers(["name", "label", "true label", *some], _rows(model, every, options, symbols, labels))


def _records(data: str, options: ClassifyOptions, labels: Sequence[str]) -> Iterator[Record]:
    """All that the data have; the name of a file or folder is a label only if the model knows it."""
    for file in files_of(data, in_parts=False):
        known = file if file.label in labels else replace(file, label=None)
        yield from records_of(known, options, is_own=False)


def _warned(records: Iterator[Record], aligned: int) -> Iterator[Record]:
    """The records, with a warning at the first one of another length."""
    is_warned = False
    for record in records:
        if not is_warned and len(record.content) != aligned:
            is_warned = True
            warnings.warn(
                f"all sequences of the training part have {aligned:,} steps, and the model goes by the position of "
                f"each step; {record.where} has {len(record.content):,}: do not rely on its answer for such data",
                stacklevel=2,
            )
        yield record


def _rows(
    model: Model, records: Iterator[Record], options: ClassifyOptions, symbols: Symbols, labels: Sequence[str]
) -> Iterator[list[str | float]]:
    between = "" if all(len(label) == 1 for label in labels) else " "
    while block := list(islice(records, _BLOCK)):
        inputs = [_input(record, options, symbols) for record in block]
        found = dict(probabilities(model, inputs))
        for k, record in enumerate(block):
            p = found[k]
            if not np.isfinite(p).all():
                raise RunError(f"{record.where}: the model's outputs are not finite: its weights are damaged")
            if p.ndim == 2:
                own = between.join(record.tags) if record.tags else ""
                yield [record.name, between.join(labels[c] for c in p.argmax(1)), own, float(p.max(1).mean())]
            else:
                yield [record.name, labels[int(p.argmax())], record.label or "", *map(float, p)]


def _input(record: Record, options: ClassifyOptions, symbols: Symbols) -> np.ndarray:
    numbers = symbols.encode(record)[: options.longest]
    if not len(numbers):
        raise DataError(f"{record.where}: the sequence is empty")
    return symbols.scaled(numbers) if symbols.units == "values" else numbers
