"""The verb ``sample``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

EXAMPLE = 'Example: unrolled sample runs/shakespeare --prime "ROMEO:" --temperature 0.8'

Run = Annotated[str, typer.Argument(help="A run folder.")]
OwnCell = Annotated[str | None, typer.Option("--cell", help="FILE.py:Class, for a run with a cell of your own.")]
AllowCode = Annotated[bool, typer.Option("--allow-code", help="Run the cell's source that the run keeps.")]


def sample(
    run: Run,
    length: Annotated[int, typer.Option(help="Symbols to write.")] = 500,
    prime: Annotated[str, typer.Option(help="Text to go on from.")] = "",
    temperature: Annotated[float, typer.Option(help="Below 1 safer, above 1 bolder, 0 the most likely.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Only the k most likely symbols.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Only the likeliest, up to probability p.")] = None,
    stop: Annotated[str | None, typer.Option(help="End before this text.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same text.")] = 1,
    cell: OwnCell = None,
    allow_code: AllowCode = False,
) -> None:
    """Let a trained model write, one symbol at a time."""
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
            sys.stdout.write(piece)
            sys.stdout.flush()
    except KeyboardInterrupt:
        pass
    sys.stdout.write("\n")
