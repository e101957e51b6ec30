"""The command ``unrolled``: its verbs, and what happens when something goes wrong."""

from __future__ import annotations

import sys

import click

from unrolled.cli.basecall import basecall
from unrolled.cli.caption import caption
from unrolled.cli.classify import classify
from unrolled.cli.doctor import doctor
from unrolled.cli.evaluate import evaluate
from unrolled.cli.forecast import forecast
from unrolled.cli.hopfield import hopfield
from unrolled.cli.inspect import inspect
from unrolled.cli.lab import lab
from unrolled.cli.lesson import lesson
from unrolled.cli.runs import runs
from unrolled.cli.sample import sample
from unrolled.cli.score import score
from unrolled.cli.shared import complaint, never_fail_to_encode, plain_warnings
from unrolled.cli.simulate import simulate
from unrolled.cli.train import train
from unrolled.cli.transcribe import transcribe
from unrolled.errors import DataError, RunError, UsageError
from unrolled.threads import wait_briefly
from unrolled.version import __version__


@click.group(
    commands=[
        train,
        sample,
        forecast,
        classify,
        transcribe,
        basecall,
        caption,
        evaluate,
        score,
        inspect,
        runs,
        lesson,
        lab,
        simulate,
        hopfield,
        doctor,
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="Example: unrolled train FILE.txt --run runs/first",
)
@click.version_option(__version__, message="unrolled %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def app(debug: bool) -> None:
    """Train recurrent networks on your own sequences, and look inside them."""


def main() -> None:
    """Run the command; errors that a person can mend are one sentence, and exit status 2 or 1."""
    never_fail_to_encode(sys.stdout, sys.stderr)
    wait_briefly()
    try:
        with plain_warnings():
            app(prog_name="unrolled")
    except (UsageError, DataError, RunError) as error:
        if "--debug" in sys.argv[1:2]:
            raise
        print(complaint(str(error), sys.argv[1:]), file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except OSError as error:
        if "--debug" in sys.argv[1:2]:
            raise
        said = f"{error.filename or 'cannot continue'}: {error.strerror or error}"
        print(complaint(said, sys.argv[1:]), file=sys.stderr)
        sys.exit(1)
