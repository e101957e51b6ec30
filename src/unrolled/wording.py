"""Numbers in sentences: the same everywhere that a person reads."""

from __future__ import annotations

import math
import shutil
import textwrap
from collections.abc import Iterable


def counted(count: int, noun: str) -> str:
    """So many of something, in the singular for one; ``noun`` is the plural with its s.

    >>> counted(1, "threads"), counted(2, "threads"), counted(12_000, "parameters")
    ('1 thread', '2 threads', '12,000 parameters')
    >>> counted(1, "vertices"), counted(1, "copies")
    ('1 vertex', '1 copy')
    """
    return f"{count:,} {noun if count != 1 else singular(noun)}"


def singular(noun: str) -> str:
    """One of them.

    >>> singular("characters"), singular("bytes")
    ('character', 'byte')
    """
    for plural, one in (("vertices", "vertex"), ("ies", "y"), ("s", "")):
        if noun.endswith(plural):
            return noun.removesuffix(plural) + one
    return noun


def short(value: float, places: int) -> str:
    """A number with so many places, or as a power of ten where that would be long.

    >>> short(4.4531, 3), short(1.07e264, 3)
    ('4.453', '1.07e+264')
    """
    return f"{value:.{places}f}" if abs(value) < 1e6 else f"{value:.3g}"


def shortened(text: str, most: int = 40) -> str:
    """The beginning of a long text.

    >>> shortened("a long text", 8)
    'a lon...'
    """
    return text if len(text) <= most else text[: most - 3] + "..."


def columns() -> int:
    """How wide the terminal is; a narrower one than 40 has to scroll."""
    return max(40, shutil.get_terminal_size().columns)


def wrapped(text: str, mark: str = "", indent: str = "  ") -> str:
    """``text`` behind a mark, in lines that fit the terminal, all but the first indented.

    >>> print(wrapped("the loss is not finite; " * 4, "! "))
    ! the loss is not finite; the loss is not finite; the loss is not finite; the
      loss is not finite;
    """
    return textwrap.fill(
        text, columns(), initial_indent=mark, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def perplexity(loss: float) -> float:
    """exp of a loss in nats; infinite where a float is too small for it.

    >>> perplexity(0.0), perplexity(710.0)
    (1.0, inf)
    """
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def harmless(text: str) -> str:
    """A terminal obeys control characters; a model's text must not give it orders.

    >>> harmless("a\\x1b[31mb")
    'a�[31mb'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def aligned(rows: Iterable[tuple[str, str]], width: int) -> list[str]:
    """Names, and beside each what there is to say, in lines that fit the terminal and give it no orders.

    >>> aligned([("text", "5 characters"), ("", "of one file")], 6)
    ['text   5 characters', '       of one file']
    >>> aligned([("", "")], 6)
    ['']
    """
    made = []
    for name, text in rows:
        text = harmless(text)
        lines = textwrap.wrap(text, columns() - width - 1, break_long_words=False, break_on_hyphens=False) or [""]
        names = [name, *[""] * (len(lines) - 1)]
        made += [f"{start:<{width}} {line}".rstrip() for start, line in zip(names, lines, strict=True)]
    return made
