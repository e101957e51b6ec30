"""What a person can read in a text, symbol by symbol: for finding units that follow it, and causes of errors."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import regex

_PAIRS = {"(": ")", "[": "]", "{": "}"}
_LETTER = r"\p{Word_Break=ALetter}\p{Word_Break=Hebrew_Letter}\p{Word_Break=Katakana}"
_WORD = regex.compile(rf"[{_LETTER}](?:\B.)*", regex.V1 | regex.WORD | regex.DOTALL)
"""A word of letters, as Unicode ends it. Scripts without spaces between words, such as Chinese, have none."""
_IN_WORD = regex.compile(rf"[{_LETTER}\d_](?:\B.)*", regex.V1 | regex.WORD | regex.DOTALL)
"""The same, or a number or a name."""
RARE = 5
"""A word is rare that stands at most so often in the training text."""


def text_features(symbols: list[str]) -> dict[str, np.ndarray]:
    """Named features of a text, each (T,), as they stand once a symbol has been read.

    Of a symbol of several characters, it is its last character that counts.

    Units:
        positions and depths in characters; the others are 0 or 1.

    >>> found = text_features(list('a "b" (C)'))
    >>> found["inside quotes"].tolist()
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    >>> found["inside brackets"].tolist()[-3:]
    [1.0, 1.0, 0.0]
    """
    text = "".join(symbols)
    features = _line_features(text) | _word_features(text) | _enclosed(text)
    ends = np.cumsum([len(s) for s in symbols], dtype=np.int64) - 1
    return {name: np.asarray(values, dtype=np.float64)[ends] for name, values in features.items()}


def _line_features(text: str) -> dict[str, Sequence[float]]:
    position, indentation, comment, line_number = [], [], [], []
    column = depth = lines = 0
    leading, remark, before = True, False, ""
    for c in text:
        if c == "\n":
            column, depth, leading, remark = 0, 0, True, False
            lines = lines + 1 if before != "\n" else 0
        else:
            column += 1
            leading = leading and c in " \t"
            depth += leading
            remark = remark or c == "#" or (c == "/" and before == "/")
        before = c
        position.append(column)
        indentation.append(depth)
        comment.append(remark)
        line_number.append(lines)
    return {
        "position in line": position,
        "indentation": indentation,
        "inside a comment": comment,
        "line of the paragraph": line_number,
    }


def _word_features(text: str) -> dict[str, Sequence[float]]:
    place = np.zeros(len(text))
    for match in _IN_WORD.finditer(text):
        place[match.start() : match.end()] = np.arange(1, match.end() - match.start() + 1)
    return {
        "position in word": place.tolist(),
        "space": [c == " " for c in text],
        "new line": [c == "\n" for c in text],
        "upper case": [c.isupper() for c in text],
        "digit": [c.isdigit() for c in text],
        "punctuation": [_is_mark(c) for c in text],
        "vowel": [c in "aeiouAEIOU" for c in text],
    }


def _enclosed(text: str) -> dict[str, Sequence[float]]:
    quotes, brackets = [], []
    quoted = False
    opened: list[str] = []
    for c in text:
        if c == '"':
            quoted = not quoted
        elif c in "“”":
            quoted = c == "“"
        elif c in _PAIRS:
            opened.append(_PAIRS[c])
        elif opened and c == opened[-1]:
            opened.pop()
        quotes.append(quoted)
        brackets.append(len(opened) > 0)
    return {"inside quotes": quotes, "inside brackets": brackets}


def _is_mark(c: str) -> bool:
    """Punctuation or a symbol; a vowel sign that combines, or a control character, is neither."""
    return unicodedata.category(c)[0] in "PS"


def word_counts(text: str) -> Counter[str]:
    """How often each word stands in a text, in lower case.

    >>> word_counts("The cat, the hat")["the"]
    2
    """
    return Counter(_WORD.findall(text.lower()))


def error_causes(
    symbols: list[str], unknown: np.ndarray, words: Mapping[str, int] | None, memory: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Causes of errors, in the order in which they are asked, each (T-1,) bool for the symbols but the first.

    Where a symbol may be a whole word, there are no causes that speak of letters.

    Arguments:
        symbols: the text, none of them empty.
        unknown: which symbols the model does not know (T,).
        words: how often each word stands in the training text; None if that is not at hand, and there are
            no rare words then.
        memory: where a long past is needed (T-1,), from insight.

    >>> causes = error_causes(list("an ox"), np.zeros(5, dtype=bool), {"an": 9})
    >>> causes["in a rare word"].tolist(), causes["first letter of a word"].tolist()
    ([False, False, True, True], [False, False, True, False])
    """
    text = "".join(symbols)
    begins = np.cumsum([0, *(len(s) for s in symbols[:-1])], dtype=np.int64)
    # of a word it is not the space before it that is hard
    starts = [k + len(s) - len(s.lstrip()) if s.strip() else k for k, s in zip(begins, symbols, strict=True)]
    first = [text[k] for k in starts]
    causes = {"a symbol it never saw": np.asarray(unknown, dtype=bool)[1:]}
    if memory is not None:
        causes["needs long memory"] = memory
    if words is not None:
        rare = np.zeros(len(text) + 1, dtype=bool)
        for match in _WORD.finditer(text):
            rare[match.start() : match.end()] = words.get(match.group().lower(), 0) <= RARE
        causes["in a rare word"] = rare[starts][1:]
    causes["new line or space"] = np.array([c.isspace() for c in first])[1:]
    causes["punctuation"] = np.array([_is_mark(c) for c in first])[1:]
    if len(text) == len(symbols):
        letters = np.full(len(text), -1)
        for match in _IN_WORD.finditer(text):
            letters[match.start() : match.end()] = np.arange(match.end() - match.start())
        letters = letters[1:]
        if (letters >= 0).any():  # a text of Chinese has no words of letters
            causes["first letter of a word"] = letters == 0
            causes["second or third letter"] = (letters == 1) | (letters == 2)
    return causes
