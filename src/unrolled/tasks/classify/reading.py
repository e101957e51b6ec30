"""From files to numbered sequences with labels, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from unrolled.errors import DataError
from unrolled.tasks.classify.options import ClassifyOptions
from unrolled.tasks.classify.records import Record
from unrolled.tasks.classify.sources import SourceFile, files_of, records_of
from unrolled.tasks.classify.symbols import Symbols, units_of
from unrolled.tasks.fasta import is_fasta
from unrolled.tasks.sequences import Sequences
from unrolled.training.task import PARTS
from unrolled.wording import counted

_LOOKED_AT, _TELLING = 1_000, 10_000
"""Sequences, and characters of each, that tell what they are made of."""
_NAMED = 100_000
"""So many sequences are known by name."""


@dataclass
class Data:
    """Sequences with their labels.

    Fields:
        sequences: as numbers; labels: one number each, or, with tags, one a step.
        parts: which of the `PARTS` each belongs to, -1 where the program is to split.
        bad: files that could not be used, each with the reason.
        cut: sequences that were longer than the longest.
    """

    symbols: Symbols
    labels: list[str]
    sequences: Sequences
    targets: list[int] | Sequences
    parts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int8))
    names: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    cut: int = 0

    @property
    def by_step(self) -> bool:
        """Whether each step has a label."""
        return isinstance(self.targets, Sequences)

    def sort_labels(self) -> None:
        """Number labels by their names, whatever the order of the sequences."""
        order = sorted(range(len(self.labels)), key=self.labels.__getitem__)
        number = np.argsort(order)
        if isinstance(self.targets, Sequences):
            sorted_ = Sequences(np.int64)
            for tags in self.targets:
                sorted_.append(number[tags])
            self.targets = sorted_
        else:
            self.targets = number[self.targets].tolist()
        self.labels = [self.labels[k] for k in order]

    def check_labels(self, data: str) -> None:
        """DataError where there is nothing to tell apart, or a label that cannot be both learnt and tested."""
        if len(self.labels) < 2:
            raise DataError(f"{data}: all labels are {self.labels[0]!r}, expected at least two different ones")
        if isinstance(self.targets, Sequences):
            if len(self.sequences) < 2:
                raise DataError(f"{data} has only one sequence, and there must be at least two")
            return
        counts = np.bincount(self.targets, minlength=len(self.labels))
        if (counts < 2).any():
            label = self.labels[int(counts.argmin())]
            raise DataError(f"{data}: the label {label!r} has only one sequence, and every label needs at least two")


class Reader:
    """Numbers records one by one.

    Arguments:
        options: the task's.
        symbols: what sequences are made of.
        labels: of a run; None to find them in the data.
    """

    def __init__(self, options: ClassifyOptions, symbols: Symbols, labels: Sequence[str] | None) -> None:
        self.options, self.symbols = options, symbols
        self.labels = list(labels or [])
        self.is_known = labels is not None
        self._numbers = {label: k for k, label in enumerate(self.labels)}

    def number(self, label: str, where: str) -> int:
        """Of a label; DataError if the run does not know it."""
        found = self._numbers.get(label)
        if found is None:
            if self.is_known:
                known = ", ".join(self.labels[:6]) + (", ..." if len(self.labels) > 6 else "")
                raise DataError(f"{where}: has the label {label!r}, which the model does not know: {known}")
            found = self._numbers[label] = len(self.labels)
            self.labels.append(label)
        return found

    def forget(self, count: int) -> None:
        """Labels that were only seen in a file that cannot be used."""
        if not self.is_known:
            for label in self.labels[count:]:
                del self._numbers[label]
            del self.labels[count:]


def read_data(
    data: str,
    options: ClassifyOptions,
    symbols: Symbols | None = None,
    labels: Sequence[str] | None = None,
    is_own: bool = True,
) -> Data:
    """Read everything; a file of a folder that cannot be used is left out and listed.

    Arguments:
        is_own: the settings were given for these data, whose names say which parts they have; other data are read
            whole.

    Raises:
        UsageError: there are no such data. DataError: nothing can be used, or a record has no label.
    """
    files = files_of(data, in_parts=is_own)
    reader = Reader(options, symbols or _symbols_of(data, files, options, is_own), labels)
    found: Data | None = None
    parts: list[int] = []
    bad: list[str] = []
    for file in files:
        part = -1 if file.part is None else PARTS.index(file.part)
        before = len(found.sequences) if found is not None else 0
        state = len(reader.labels), None if found is None else found.cut
        try:
            for record in records_of(file, options, is_own):
                if found is None:
                    found = _empty(reader, record)
                _take(found, reader, record)
        except DataError as error:
            if len(files) == 1:
                raise
            bad.append(str(error))
            reader.forget(state[0])
            if found is not None:
                _forget(found, before, state[1] or 0)
            if not before:  # how wide it is tells nothing of the other files
                found = None
            continue
        if found is not None:
            parts += [part] * (len(found.sequences) - before)
    if found is None or not len(found.sequences):
        raise _unusable(data, files, bad)
    found.parts, found.bad = np.array(parts, dtype=np.int8), bad
    found.labels = reader.labels
    return found


def _symbols_of(data: str, files: Sequence[SourceFile], options: ClassifyOptions, is_own: bool) -> Symbols:
    """What sequences are made of, as some from all over the files tell: those with labels, if there are any.

    Raises:
        DataError: none can be read.
    """
    some = files[:: -(-len(files) // _LOOKED_AT)]
    each = -(-_LOOKED_AT // len(some))
    found: list[tuple[Record, bool]] = []
    bad: list[str] = []
    for file in some:
        try:
            records = islice(records_of(file, options, is_own), each)
            found += [(_beginning(record), is_fasta(file.path)) for record in records]
        except DataError as error:
            if len(files) == 1:
                raise
            bad.append(str(error))
    if not found:
        raise _unusable(data, files, bad)
    found = [one for one in found if one[0].label is not None or one[0].tags is not None] or found
    units = options.units or units_of([record for record, _ in found], all(is_letters for _, is_letters in found))
    return Symbols(units, by_blanks=found[0][0].tags is not None)


def _beginning(record: Record) -> Record:
    """A record with so much of a long text as tells what it is made of."""
    if isinstance(record.content, np.ndarray) or len(record.content) <= _TELLING:
        return record
    return replace(record, content=record.content[:_TELLING].rsplit(maxsplit=1)[0])


def _unusable(data: str, files: Sequence[SourceFile], bad: Sequence[str]) -> DataError:
    return DataError(f"{data} has {counted(len(files), 'files')}, none of which can be used: {bad[0]}")


def _empty(reader: Reader, record: Record) -> Data:
    width = reader.symbols.encode(record).shape[1] if reader.symbols.units == "values" else None
    targets: list[int] | Sequences = [] if record.tags is None else Sequences(np.int64)
    return Data(reader.symbols, reader.labels, Sequences(reader.symbols.dtype, width), targets)


def _take(data: Data, reader: Reader, record: Record) -> None:
    numbers = data.symbols.encode(record)
    longest = reader.options.longest
    if not len(numbers):
        raise DataError(f"{record.where}: the sequence is empty")
    if data.sequences.width is not None and numbers.shape[1] != data.sequences.width:
        raise DataError(f"{record.where}: has {numbers.shape[1]} channels, expected {data.sequences.width}")
    if (record.tags is not None) != data.by_step:
        came, before = ("no tags", "some") if data.by_step else ("tags", "none")
        raise DataError(f"{record.where}: has {came}, and the sequences before it have {before}")
    if isinstance(data.targets, Sequences):
        assert record.tags is not None
        if len(record.tags) != len(numbers):
            raise DataError(f"{record.where}: has {len(numbers):,} steps and {len(record.tags):,} tags")
        tags = [reader.number(tag, record.where) for tag in record.tags[:longest]]
        data.targets.append(np.array(tags, dtype=np.int64))
    elif record.label is None:
        given = reader.options.label
        raise DataError(f"{record.where}: has no label ({'see --label' if given is None else f'--label {given}'})")
    else:
        data.targets.append(reader.number(record.label, record.where))
    data.cut += len(numbers) > longest
    data.sequences.append(numbers[:longest])
    if len(data.names) < _NAMED:
        data.names.append(record.name)


def _forget(data: Data, count: int, cut: int) -> None:
    """All sequences but the first ``count``."""
    data.sequences.cut(count)
    if isinstance(data.targets, Sequences):
        data.targets.cut(count)
    else:
        del data.targets[count:]
    del data.names[count:]
    data.cut = cut
