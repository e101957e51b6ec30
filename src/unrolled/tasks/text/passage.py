"""A passage: a stretch of text, made ready for looking at what a model does with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from unrolled.errors import DataError
from unrolled.tasks.data import same_data
from unrolled.tasks.symbols.vocabulary import UNKNOWN, Vocabulary
from unrolled.tasks.text.features import error_causes, text_features, word_counts
from unrolled.tasks.text.options import TextOptions
from unrolled.tasks.text.reading import number_text, options_for
from unrolled.training.task import Evidence

USUAL, LONGEST = 2_000, 10_000
"""Symbols of the run's own text, and the most of another one."""
FEWEST = 200
"""A part with fewer is no passage while there is a longer one."""
COUNTED = 20_000_000
"""Symbols of the training part in which words are counted."""


def passage_of_file(
    path: str, options: TextOptions, vocabulary: Vocabulary, data: Mapping[str, str] | None = None
) -> Evidence:
    """The beginning of a file or folder; of the run's own text (``data``) what `passage_of_run` shows.

    Raises:
        UsageError: there is no such file. DataError: it is empty, or no text.
    """
    options = options_for(path, options)
    numbers, names, fingerprint = number_text(path, options)
    if data is not None and same_data(data, fingerprint):
        return _passage_of_own(numbers, names, options, vocabulary)
    notes = []
    if len(numbers) > LONGEST:
        notes.append(f"Only the first {LONGEST:,} of the {len(numbers):,} {options.units} of {path} were analysed.")
    return _passage(path, numbers[:LONGEST], names, vocabulary, None, notes)


def passage_of_run(data: Mapping[str, str], options: TextOptions, vocabulary: Vocabulary) -> Evidence:
    """The beginning of the validation part of a run's own text, or the end of its training part.

    Raises:
        DataError, UsageError: the text is not there any more, or has changed.
    """
    path = data["path"]
    if not Path(path).exists():
        raise DataError(f"the run's text is no longer at {path}")
    numbers, names, fingerprint = number_text(path, options)
    if not same_data(data, fingerprint):
        raise DataError(f"{path} has changed since this run was trained")
    return _passage_of_own(numbers, names, options, vocabulary)


def _passage_of_own(
    numbers: np.ndarray, names: Sequence[str], options: TextOptions, vocabulary: Vocabulary
) -> Evidence:
    training, validation, _ = options.shares()
    cut, end = len(numbers) * training // 100, len(numbers) * (training + validation) // 100
    words = _words(numbers[: min(cut, COUNTED)], names, vocabulary.units)
    notes = []
    if end - cut >= min(FEWEST, cut):
        start = _line_start(numbers, names, cut, end)
        stretch, origin = numbers[start : min(start + USUAL, end)], "the run's validation part"
    else:
        stretch, origin = numbers[max(0, cut - USUAL) : cut], "the run's training part"
        notes.append(
            f"The validation part has only {end - cut:,} {options.units}, so this report uses the end of the "
            "training part, which the model has seen."
        )
    return _passage(origin, stretch, names, vocabulary, words, notes)


def passage_of_sample(text: str, vocabulary: Vocabulary, why: str) -> Evidence:
    """What the model wrote itself, where the run's text is not at hand."""
    numbers = vocabulary.encode(text)
    names = vocabulary.symbols
    note = (
        f"{why}. This report uses text that the model generated, which it predicts easily. Give a text with --text."
    )
    return _passage("text that the model generated", numbers, names, vocabulary, None, [note])


def _passage(
    origin: str,
    numbers: np.ndarray,
    names: Sequence[str],
    vocabulary: Vocabulary,
    words: Counter[str] | None,
    notes: list[str],
) -> Evidence:
    """``numbers`` are those of ``names``; they are renumbered to the vocabulary's."""
    shown = [names[n] for n in numbers]
    if vocabulary.units == "bytes":
        known = numbers.astype(np.int64)
        unknown = np.zeros(len(known), dtype=bool)
        letters = list(_as_letters(known))
        shown = [chr(n) if n < 128 else name for name, n in zip(shown, known, strict=True)]
    else:
        known = np.array([vocabulary.numbers.get(s, UNKNOWN) for s in shown], dtype=np.int64)
        unknown = known == UNKNOWN
        letters = shown
    if unknown.any():
        odd = Counter(s for s, lost in zip(shown, unknown, strict=True) if lost)
        some = ", ".join(repr(s) for s, _ in odd.most_common(8)) + (" and others" if len(odd) > 8 else "")
        notes = [
            *notes,
            f"The model never saw {unknown.sum():,} of the {len(known):,} {vocabulary.units} and reads them as "
            f"unknown: {some}.",
        ]
    p = np.maximum(vocabulary.counts, 1) / np.maximum(vocabulary.counts, 1).sum()
    frequencies = float(-np.log(p[known[1:]]).mean()) if len(known) > 1 else 0.0
    features = text_features(letters) if letters else {}
    return Evidence(
        origin,
        known,
        shown,
        names=vocabulary.symbols,
        unknown=unknown,
        features=features,
        causes=partial(error_causes, letters, unknown, words),
        baseline=frequencies,
        notes=notes,
    )


def _line_start(numbers: np.ndarray, names: Sequence[str], cut: int, end: int) -> int:
    """The first beginning of a line in the part, if it is near."""
    for at in range(cut + 1, min(cut + 200, end - FEWEST)):
        if names[numbers[at - 1]] == "\n" != names[numbers[at]]:
            return at
    return cut


_ABOVE_ASCII = {byte: 0x1401 + byte - 128 for byte in range(128, 256)}
"""A letter without case for each byte that is a part of some other character; it is neither é nor a space."""


def _as_letters(numbers: np.ndarray) -> str:
    """Bytes as text in which words can be told: one character each."""
    return numbers.astype(np.uint8).tobytes().decode("latin-1").translate(_ABOVE_ASCII)


def _words(numbers: np.ndarray, names: Sequence[str], units: str) -> Counter[str]:
    """How often each word stands in a text."""
    if units == "bytes":
        return word_counts(_as_letters(numbers))
    if units == "characters":
        points = np.array([ord(name) for name in names], dtype="<u4")
        return word_counts(points[numbers].tobytes().decode("utf-32-le", "replace"))
    return word_counts("".join(names[n] for n in numbers))
