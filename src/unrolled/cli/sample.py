"""The verb ``sample``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from unrolled.cli.output import STDOUT, keep, keep_forms, put
from unrolled.cli.settings import SettingsCommand, task_of_arguments
from unrolled.cli.shared import NAME, trained_run
from unrolled.cli.threads import threaded, work_of_run
from unrolled.wording import wrapped


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
@click.option(
    "--out",
    type=NAME,
    metavar="FILE",
    help="Write here instead of to the terminal; NAME.gz packs it, - prints.",
)
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
        made = model.generate(**wanted)
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(_as_options(str(error), settings)) from error
    if not isinstance(made, Iterator):
        _keep(made, out)
    elif out is None or out == STDOUT:
        _print(made)
    else:
        keep(out, made)


def _print(pieces: Iterator[str] | Iterator[bytes]) -> None:
    """Text or bytes on standard output as they come."""
    end = "\n"
    sys.stdout.flush()
    try:
        for piece in pieces:
            put(piece)
            sys.stdout.flush()
            end = "" if isinstance(piece, bytes) else end
    except KeyboardInterrupt:
        pass
    sys.stdout.write(end)


def _keep(made: Any, out: str | None) -> None:
    """A file of what the model made, and of its other forms; the name is chosen where none was given."""
    if out == STDOUT or (out is None and made.text is not None):
        put(made.content if made.text is None else made.text + "\n")
        return
    keep_forms(out or str(_free(f"sample{made.suffix}", [one.suffix for one in made.beside])), made, made.beside)
    if made.note:
        print(wrapped(made.note))


def _free(name: str, others: list[str]) -> Path:
    """The file of that name in this folder, with a number behind it where it, or one with another suffix, exists."""
    from itertools import chain, count

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
