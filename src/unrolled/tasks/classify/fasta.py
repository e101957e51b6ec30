"""Labels of the records of FASTA and FASTQ files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from unrolled.errors import UsageError
from unrolled.tasks.classify.records import Record, composed
from unrolled.tasks.fasta import fasta_records

_NAMED = re.compile(r"(?:^|[\s|;])(?:label|class)\s*[=:]\s*([^\s|;]+)", re.IGNORECASE)


def read_fasta(path: Path, pattern: str | None) -> Iterator[Record]:
    """The records of a file, with labels out of their headers.

    Arguments:
        pattern: a regular expression whose first group is the label; None for ``label=X`` or ``class=X``, else the
            only word behind the name, else what stands behind the last ``|``.

    Raises:
        UsageError: the library is missing, or the pattern is none. DataError: it is no such file.
    """
    wanted = _compiled(pattern)
    for one in fasta_records(path):
        name, comment = composed(one.name), composed(one.comment)
        yield Record(one.name, one.sequence, _label(f"{name} {comment}".strip(), name, comment, wanted), one.where)


def is_pattern(label: str) -> bool:
    r"""Whether a person's word for the label is a pattern for headers, rather than the name of a column.

    >>> is_pattern(r"class=(\w+)"), is_pattern("class")
    (True, False)
    """
    try:
        return re.compile(label).groups > 0
    except re.error:
        return False


def _label(header: str, name: str, comment: str, wanted: re.Pattern | None) -> str | None:
    if wanted is not None:
        found = wanted.search(header)
        return found.group(1) if found else None
    if found := _NAMED.search(header):
        return found.group(1)
    words = comment.split()
    if len(words) == 1:
        return words[0]
    return (name.rpartition("|")[2] or None) if "|" in name and not words else None


def _compiled(pattern: str | None) -> re.Pattern | None:
    if pattern is None:
        return None
    try:
        made = re.compile(composed(pattern))
    except re.error as error:
        raise UsageError(f"--label {pattern!r}: not a regular expression: {error}") from error
    if not made.groups:
        raise UsageError(f"--label {pattern!r}: expected a group in brackets, such as 'class=(\\w+)'")
    return made
