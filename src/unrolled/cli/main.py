"""The command ``unrolled``: its verbs, and what happens when something goes wrong."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from unrolled.cli import doctor, evaluate, lesson, runs, sample, score, train
from unrolled.errors import DataError, RunError, UsageError
from unrolled.version import __version__

app = typer.Typer(
    help="Train recurrent networks on your own sequences, look inside, take them away.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with: unrolled train FILE.txt --run runs/first",
)
app.command("train", epilog=train.EXAMPLE)(train.train)
app.command("sample", epilog=sample.EXAMPLE)(sample.sample)
app.command("evaluate", epilog=evaluate.EXAMPLE)(evaluate.evaluate)
app.command("score", epilog=score.EXAMPLE)(score.score)
app.command("runs", epilog=runs.EXAMPLE)(runs.runs)
app.command("doctor", epilog=doctor.EXAMPLE)(doctor.doctor)
app.add_typer(lesson.app, name="lesson")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"unrolled {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; errors that a person can mend are one sentence, and exit status 2 or 1."""
    try:
        app()
    except BrokenPipeError:  # the reader has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (UsageError, DataError, RunError, ValueError) as error:
        if "--debug" in sys.argv[1:2] or not _mendable(error):
            raise
        print(f"unrolled: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)


def _mendable(error: Exception) -> bool:
    """Our own errors; a ValueError from elsewhere is a fault of the program, and shows where."""
    return isinstance(error, UsageError | DataError | RunError)
