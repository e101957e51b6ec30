"""The verb ``sample``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

import click

from unrolled.cli.shared import trained_run
from unrolled.cli.threads import threaded, work_of_run
from unrolled.wording import harmless


@click.command(epilog='Example: unrolled sample runs/shakespeare --prime "ROMEO:" --temperature 0.8')
@trained_run
@click.option("--length", default=500, show_default=True, help="Number of symbols to write.")
@click.option("--prime", default="", metavar="TEXT", help="Text to continue.")
@click.option(
    "--temperature", default=1.0, show_default=True, help="Below 1 safer, above 1 bolder; 0 takes the most likely."
)
@click.option("--top-k", type=int, help="Only the k most likely symbols.")
@click.option("--top-p", type=float, help="Only the most likely symbols, up to probability p.")
@click.option("--stop", metavar="TEXT", help="Stop before this text.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=1,
    show_default=True,
    help="The same seed gives the same text.",
)
@click.option("--raw", is_flag=True, help="Write a byte model's output unchanged, without a final newline.")
@threaded(work_of_run)
def sample(
    run: str,
    cell: str | None,
    allow_code: bool,
    length: int,
    prime: str,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    stop: str | None,
    seed: int,
    raw: bool,
) -> None:
    """Generate text with the model in RUN, one symbol at a time."""
    from unrolled.errors import UsageError
    from unrolled.tasks.load import load

    if raw and sys.stdout.isatty():
        raise UsageError(
            "--raw: a terminal would act on some of the bytes; redirect the output to a file or a program"
        )
    model = load(run, cell, allow_code)
    settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "stop": stop, "seed": seed}
    try:
        if raw:
            _write_bytes(model.stream_bytes(length, prime, **settings))
            return
        pieces = model.stream(length, prime, **settings)
    except ValueError as error:
        raise UsageError(_as_options(str(error))) from error
    try:
        for piece in pieces:
            sys.stdout.write(harmless(piece) if sys.stdout.isatty() else piece)
            sys.stdout.flush()
    except KeyboardInterrupt:
        pass
    sys.stdout.write("\n")


def _write_bytes(pieces: Iterable[bytes]) -> None:
    sys.stdout.flush()
    try:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        pass


def _as_options(message: str) -> str:
    """A sentence of the library that begins with an argument's name, with the option's in its place.

    >>> _as_options("top_k must be 1 or more")
    '--top-k must be 1 or more'
    """
    from unrolled.options import flag

    return re.sub(r"^(length|prime|temperature|top_k|top_p|stop|seed)\b", lambda found: flag(found[0]), message)
