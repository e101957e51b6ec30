"""The verb ``sample``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from unrolled.cli.settings import SettingsCommand, task_of_arguments
from unrolled.cli.shared import NAME, trained_run
from unrolled.cli.threads import threaded, work_of_run
from unrolled.wording import harmless, wrapped

if TYPE_CHECKING:
    from pathlib import Path


def _sections(args: list[str]) -> list[tuple[str, type]]:
    """What the task of the run can be told."""
    from unrolled.tasks.registry import sample_class

    task = task_of_arguments(args)
    return [(f"Task {task}", sample_class(task))]


@click.command(
    cls=SettingsCommand,
    sections=_sections,
    epilog='Example: unrolled sample runs/shakespeare --prime "ROMEO:" --temperature 0.8',
)
@trained_run
@click.option("--out", type=NAME, metavar="FILE", help="Write here instead of to the terminal.")
@threaded(work_of_run)
def sample(run: str, cell: str | None, task: str | None, allow_code: bool, out: str | None, **settings: Any) -> None:
    """Generate with the model in RUN, one step at a time.

    What can be set depends on the task of the run.
    """
    from unrolled.errors import UsageError
    from unrolled.tasks.load import load

    wanted = {name: value for name, value in settings.items() if value is not None}
    model = load(run, cell, allow_code, task)
    try:
        written = model.generate(**wanted)
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(_as_options(str(error), settings)) from error
    if out is None and isinstance(written, Iterator):
        _print(written)
    else:
        _keep(written, out)


def _print(pieces: Iterator[str] | Iterator[bytes]) -> None:
    """Text or bytes on standard output as they come."""
    from unrolled.errors import UsageError

    to_terminal = sys.stdout.isatty()
    end = "\n"
    sys.stdout.flush()
    try:
        for piece in pieces:
            if not isinstance(piece, bytes):
                sys.stdout.write(harmless(piece) if to_terminal else piece)
                sys.stdout.flush()
            elif to_terminal:
                raise UsageError("a terminal would act on some of the bytes; write them to a file with --out FILE")
            else:
                end = ""
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        pass
    sys.stdout.write(end)


def _keep(written: Any, out: str | None) -> None:
    """A file of what the model made; the name is chosen where none was given."""
    from pathlib import Path

    from unrolled.runs.files import write_atomically

    if isinstance(written, Iterator):
        pieces = [piece if isinstance(piece, bytes) else piece.encode("utf-8") for piece in written]
        content, suffix = b"".join(pieces), ""
    elif written.text is not None and out is None:
        print(written.text)
        return
    else:
        content, suffix = written.content, written.suffix
    beside = () if isinstance(written, Iterator) else written.beside
    file = Path(out) if out else _free(f"sample{suffix}", [one.suffix for one in beside])
    if file.suffix.lower() in {one.suffix for one in beside}:  # the name of another form
        file = file.with_suffix(suffix)
    for name, made in ((file, content), *((file.with_suffix(one.suffix), one.content) for one in beside)):
        write_atomically(name, made)
        print(f"wrote {name}")
    if not isinstance(written, Iterator) and written.note:
        print(wrapped(written.note))


def _free(name: str, others: list[str]) -> Path:
    """The file of that name in this folder, with a number behind it where it, or one with another suffix, exists."""
    from itertools import chain, count
    from pathlib import Path

    first = Path(name)
    names = chain([first], (first.with_stem(f"{first.stem}-{k}") for k in count(2)))
    return next(file for file in names if not any(file.with_suffix(s).exists() for s in (first.suffix, *others)))


def _as_options(message: str, settings: dict[str, Any]) -> str:
    """A sentence of the library that begins with an argument's name, with the option's in its place.

    >>> _as_options("top_k must be 1 or more", {"top_k": 0})
    '--top-k must be 1 or more'
    """
    from unrolled.options import flag

    return re.sub(rf"^({'|'.join(settings)})\b", lambda found: flag(found[0]), message)
