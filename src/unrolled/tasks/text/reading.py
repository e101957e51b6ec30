"""From files to numbers: one pass, a block at a time, at the size of the encoded text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unrolled.errors import DataError
from unrolled.tasks.data import STDIN
from unrolled.tasks.files import TextFiles
from unrolled.tasks.folders import files_in
from unrolled.tasks.symbols.counting import count, stretches
from unrolled.tasks.symbols.numbers import Numbers
from unrolled.tasks.symbols.part import Part
from unrolled.tasks.symbols.transfer import Choice
from unrolled.tasks.symbols.vocabulary import UNKNOWN, Vocabulary, byte_symbols, combines, is_joined, split
from unrolled.tasks.text.options import TextOptions
from unrolled.wording import singular


@dataclass(frozen=True)
class Text:
    """A text in numbers, with its vocabulary and its split; the last fields are those of `TextFiles`, counted."""

    vocabulary: Vocabulary
    training: Part
    validation: Part
    test: Part
    fingerprint: dict[str, str]
    skipped: int
    marks: int
    crlf: int

    @property
    def symbols(self) -> int:
        """The length of the whole text."""
        return sum(len(part.numbers) for part in (self.training, self.validation, self.test))


def read_text(path: str, options: TextOptions, choose: Choice | None = None) -> Text:
    """Read a file or folder, make the vocabulary of its training part, and split it.

    Arguments:
        choose: another vocabulary: from the symbols of that one to those of the one to use.

    Raises:
        UsageError: there is no such file.
        DataError: it is empty, or no text.
    """
    files = TextFiles(path, options.include, raw=options.units == "bytes")
    numbers, symbols = _number(files, options.units)
    training, validation, _ = options.shares()
    cuts = [0, len(numbers) * training // 100, len(numbers) * (training + validation) // 100, len(numbers)]
    counts = count(numbers[: cuts[1]], len(symbols))
    chosen = _vocabulary(options, symbols, counts)
    if choose is not None:
        chosen = choose(chosen)
    vocabulary = _counted(options.units, chosen, symbols, counts)
    if not vocabulary.numbers:
        raise DataError(
            f"{path}: no {singular(options.units)} occurs twice in the training part, so there is nothing to learn"
        )
    numbers = numbers.astype(np.promote_types(numbers.dtype, np.min_scalar_type(len(vocabulary) - 1)), copy=False)
    parts = _parts(numbers, symbols, cuts, vocabulary)
    counted = len(files.skipped), files.marks, files.crlf
    return Text(vocabulary, parts[0], parts[1], parts[2], files.fingerprint, *counted)


def options_for(path: str, options: TextOptions) -> TextOptions:
    """Those of a run, for other data than its own: its pattern picks files of a folder, unless it would pick none."""
    if not _is_folder(path) or files_in(Path(path), options.include):
        return options
    return replace(options, include=TextOptions.include)


def left_out(path: str, options: TextOptions) -> int:
    """How many files of a folder its pattern leaves out."""
    if not _is_folder(path) or options.include == TextOptions.include:
        return 0
    return len(files_in(Path(path))) - len(files_in(Path(path), options.include))


def _is_folder(path: str) -> bool:
    return path != STDIN and Path(path).is_dir()


def read_part(path: str, options: TextOptions, vocabulary: Vocabulary) -> Part:
    """Read a whole file or folder with a vocabulary that exists."""
    files = TextFiles(path, options.include, raw=vocabulary.units == "bytes")
    numbers, symbols = _number(files, vocabulary.units, len(vocabulary))
    return _parts(numbers, symbols, [0, len(numbers)], vocabulary)[0]


def number_text(path: str, options: TextOptions) -> tuple[np.ndarray, list[str], dict[str, str]]:
    """A whole file or folder as it stands: numbers by first appearance, what they stand for, its fingerprint."""
    files = TextFiles(path, options.include, raw=options.units == "bytes")
    numbers, symbols = _number(files, options.units)
    return numbers, symbols, files.fingerprint


def _vocabulary(options: TextOptions, symbols: list[str], counts: np.ndarray) -> list[str]:
    """What the training part has: all characters by code point, or the frequent words; before them the unknown."""
    if options.units == "bytes":
        return symbols
    if options.units == "characters":
        kept = sorted((k for k in range(len(symbols)) if counts[k]), key=symbols.__getitem__)
    else:  # a word that stands once only teaches what an unknown word is like
        often = (k for k in range(len(symbols)) if counts[k] > 1)
        kept = sorted(often, key=lambda k: (-counts[k], symbols[k]))[: options.vocabulary_size - 1]
    return ["", *(symbols[k] for k in kept)]


def _counted(units: str, chosen: list[str], symbols: list[str], counts: np.ndarray) -> Vocabulary:
    """The vocabulary of these symbols, with how often each stands in the training part."""
    found = dict(zip(symbols, counts.tolist(), strict=True))
    known = [found.get(symbol, 0) for symbol in chosen]
    if units != "bytes":
        known[0] = int(counts.sum()) - sum(known)
    return Vocabulary(units, chosen, known)


def _parts(numbers: np.ndarray, symbols: list[str], cuts: list[int], vocabulary: Vocabulary) -> list[Part]:
    """Cut, measure, and renumber in place from order of appearance to the vocabulary's numbers."""
    if vocabulary.units == "bytes":
        widths = np.array([(b & 0xC0) != 0x80 for b in range(256)], dtype=np.int64)
        renumber = np.arange(256)
    else:
        widths = np.array([len(symbol) for symbol in symbols], dtype=np.int64)
        renumber = np.array([vocabulary.numbers.get(symbol, UNKNOWN) for symbol in symbols], dtype=np.int64)
    odd = np.flatnonzero(renumber == UNKNOWN) if vocabulary.has_unknown else np.empty(0, dtype=np.int64)
    parts = []
    for start, stop in zip(cuts, cuts[1:], strict=False):
        part = numbers[start:stop]
        counts = count(part, len(symbols))
        characters = int(counts @ widths) - (int(widths[part[0]]) if len(part) else 0)
        parts.append(Part(part, characters, {symbols[k]: int(counts[k]) for k in odd if counts[k]}))
    for s in stretches(len(numbers)):
        numbers[s] = renumber[numbers[s]]
    return parts


def _number(files: TextFiles, units: str, at_least: int = 0) -> tuple[np.ndarray, list[str]]:
    """The whole text in numbers, in order of first appearance, and the symbols they stand for.

    The numbers have room for as many symbols and an unknown one, and for a vocabulary of ``at_least``.
    """
    kept = Numbers(files.size)
    if units == "bytes":
        symbols = byte_symbols()
        for block in files.blocks():
            kept.append(np.frombuffer(block, dtype=np.uint8))
    else:
        symbols = []
        number = _number_characters if units == "characters" else _number_words
        for numbers in number(files.texts(), symbols):
            kept.append(numbers)
        kept.widen(np.min_scalar_type(max(len(symbols), at_least - 1)))
    if not kept.length:
        raise DataError(f"{files.path} is empty: it contains no text")
    return kept.whole(), symbols


def _number_characters(texts: Iterable[str], symbols: list[str]) -> Iterator[np.ndarray]:
    table = np.full(0x110000, -1, dtype=np.int32)
    for text in texts:
        points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
        numbers = table[points]
        if (numbers < 0).any():
            for point in dict.fromkeys(points[numbers < 0].tolist()):
                table[point] = len(symbols)
                symbols.append(chr(point))
            numbers = table[points]
        yield numbers.astype(np.min_scalar_type(len(symbols)))


def _number_words(texts: Iterable[str], symbols: list[str]) -> Iterator[np.ndarray]:
    table: dict[str, int] = {}
    for words in _words(texts):
        numbers = [table.setdefault(word, len(table)) for word in words]
        symbols.extend(list(table)[len(symbols) :])
        yield np.array(numbers, dtype=np.min_scalar_type(len(symbols)))


def _words(texts: Iterable[str]) -> Iterator[list[str]]:
    """The words of each block; the last ones wait for the next block, which may continue them.

    Whether two words are one can depend on the next two characters that do not combine: on the ``t`` of ``can't``.
    """
    rest: list[str] = []
    for text in texts:
        words = split("".join(rest) + text, "words")
        settled, waiting = len(words), 0
        while waiting < _UNSETTLED and settled > max(0, len(words) - _LONGEST):
            settled -= 1
            waiting += not combines(words[settled])
        while settled > max(0, len(words) - _LONGEST) and is_joined(words, settled):
            settled -= 1
        rest = words[settled:]
        yield words[:settled]
    yield rest


_UNSETTLED, _LONGEST = 3, 1024
"""Words that wait for the next block, and parts of one long word that wait with them."""
