"""Rows of text between tabs: a row is a line, and only quotes around all of a cell are not part of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator


def tabbed(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    r"""The cells of each line that has any, with its number.

    >>> list(tabbed(['a\t"b"\n', '\n', '"c\t"d" e\n']))
    [(1, ['a', 'b']), (3, ['"c', '"d" e'])]
    """
    for number, line in enumerate(lines, 1):
        if row := line.strip("\r\n"):
            yield number, [_unquoted(cell) for cell in row.split("\t")]


def _unquoted(cell: str) -> str:
    """A cell without the quotes around it, those in it being doubled.

    >>> _unquoted('"say ""go"" now"'), _unquoted('"go" he said "on"')
    ('say "go" now', '"go" he said "on"')
    """
    inside = cell[1:-1].replace('""', "")
    return cell[1:-1].replace('""', '"') if re.fullmatch('"(.*)"', cell) and '"' not in inside else cell
