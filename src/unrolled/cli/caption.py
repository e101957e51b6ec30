"""The verb ``caption``."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from unrolled.cli.shared import NAME, json_option, trained_run
from unrolled.cli.threads import threaded, work_of_run
from unrolled.wording import harmless


@click.command(epilog="Example: unrolled caption runs/scenes picture.png --count 3")
@trained_run
@click.argument("images", nargs=-1, required=True, type=NAME)
@click.option("--beam", type=int, metavar="B", help="Width of the search (default: that of the run); 1 is greedy.")
@click.option("--count", type=int, default=1, metavar="K", help="Captions for each picture (1).")
@click.option("--temperature", type=float, metavar="T", help="Draw each word, instead of a search.")
@click.option("--length-penalty", type=float, metavar="P", help="Of the search; 0 prefers short captions.")
@click.option("--seed", type=click.IntRange(0), default=1, help="The same seed draws the same captions (1).")
@threaded(work_of_run)
@json_option
def caption(
    run: str,
    images: tuple[str, ...],
    cell: str | None,
    task: str | None,
    allow_code: bool,
    as_json: bool,
    **search: Any,
) -> None:
    """Describe IMAGES, with the model in RUN.

    IMAGES are picture files, or folders of them.
    """
    from unrolled.errors import DataError
    from unrolled.tasks.load import load

    model = load(run, cell, allow_code, task)
    if not hasattr(model, "caption"):
        raise model.cannot("does not describe pictures")
    files, failed = model.images(images), 0
    for file, made in model.caption(files, **search):
        if isinstance(made, DataError):
            if len(files) == 1:
                raise made
            failed += 1
            print(f"unrolled: {made}", file=sys.stderr)
        elif as_json:
            print(json.dumps({"file": str(file), "captions": made}))
        else:
            for text in made:
                line = text if len(files) == 1 else f"{file}\t{text}"
                print(harmless(line) if sys.stdout.isatty() else line)
    if failed:
        sys.exit(1)
