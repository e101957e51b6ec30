"""Where a command writes: to a file, packed if its name ends in .gz, or to standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unrolled.errors import UsageError
from unrolled.wording import harmless

if TYPE_CHECKING:
    from unrolled.training.task import Shown

STDOUT = "-"
"""The name of standard output."""
_PACKED = ".gz"
"""How the name of a packed file ends."""

Write = Callable[[str | bytes], object]
"""Takes the next piece: text, which is written in UTF-8, or bytes."""


@contextmanager
def written(out: str) -> Iterator[Write]:
    """What is written becomes the file once it is whole; the same content is the same bytes, also packed.

    Raises:
        RunError: the file cannot be written.
    """
    if out == STDOUT:
        yield put
        return
    from unrolled.runs.files import replacing

    with ExitStack() as stack:
        file: Any = stack.enter_context(open(stack.enter_context(replacing(Path(out))), "wb"))
        if _is_packed(out):
            from gzip import GzipFile

            file = stack.enter_context(GzipFile("", "wb", fileobj=file, mtime=0))
        # what is not Unicode, such as a part of a file's name, becomes a question mark, as it does in a terminal
        yield lambda piece: file.write(piece if isinstance(piece, bytes) else piece.encode("utf-8", "replace"))


def put(piece: str | bytes) -> None:
    """To standard output, and to no terminal what gives it orders.

    Raises:
        UsageError: bytes for a terminal.
    """
    if isinstance(piece, str):
        sys.stdout.write(harmless(piece) if sys.stdout.isatty() else piece)
    elif sys.stdout.isatty():
        raise UsageError("a terminal would act on some of the bytes; write them to a file with --out FILE")
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def keep_forms(out: str, made: Shown, others: Sequence[Shown]) -> None:
    """Write what a model made, and say so: files of one name, each with the ending of its form.

    Arguments:
        out: the name, which packs ``made``; its ending is the person's own, unless it is that of another form.
    """
    packing = Path(out).suffix if _is_packed(out) else ""
    file = Path(out).with_suffix("") if packing else Path(out)
    if file.suffix.lower() in {one.suffix for one in others}:
        file = file.with_suffix(made.suffix)
    keep(f"{file}{packing}", [made.content])
    for one in others:
        keep(str(file.with_suffix(one.suffix)), [one.content])


def keep(out: str, pieces: Iterable[str] | Iterable[bytes]) -> None:
    """Write a file, and say so."""
    with written(out) as write:
        for piece in pieces:
            write(piece)
    tell(out)


def tell(out: str, more: str = "") -> None:
    """Say what was written; not among what was."""
    print(f"wrote {out}{more}", file=sys.stderr if out == STDOUT else sys.stdout)


def _is_packed(out: str) -> bool:
    return Path(out).suffix.lower() == _PACKED
