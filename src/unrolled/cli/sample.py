"""The verb ``sample``."""

from __future__ import annotations

import sys

import click

from unrolled.cli.shared import trained_run
from unrolled.cli.threads import threaded, work_of_run


@click.command(epilog='Example: unrolled sample runs/shakespeare --prime "ROMEO:" --temperature 0.8')
@trained_run
@click.option("--length", default=500, show_default=True, help="Symbols to write.")
@click.option("--prime", default="", metavar="TEXT", help="Text to go on from.")
@click.option(
    "--temperature", default=1.0, show_default=True, help="Below 1 safer, above 1 bolder, 0 the most likely."
)
@click.option("--top-k", type=int, help="Only the k most likely symbols.")
@click.option("--top-p", type=float, help="Only the likeliest symbols, up to probability p.")
@click.option("--stop", metavar="TEXT", help="End before this text.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, help="The same seed, the same text."
)
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
) -> None:
    """Let the model of RUN write, one symbol at a time."""
    from unrolled.errors import UsageError
    from unrolled.tasks.load import load

    model = load(run, cell, allow_code)
    settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "stop": stop, "seed": seed}
    try:
        pieces = model.stream(length, prime, **settings)
    except ValueError as error:
        raise UsageError(str(error)) from error
    try:
        for piece in pieces:
            sys.stdout.write(_harmless(piece) if sys.stdout.isatty() else piece)
            sys.stdout.flush()
    except KeyboardInterrupt:
        pass
    sys.stdout.write("\n")


def _harmless(text: str) -> str:
    """A terminal obeys control characters; a model's text must not give it orders."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
