"""The verb ``score``."""

from __future__ import annotations

import click

from unrolled.cli.shared import NAME, json_option, trained_run
from unrolled.cli.threads import threaded, work_of_run
from unrolled.cli.waiting import waiting


@click.command(epilog='Example: unrolled score runs/shakespeare --text "the king" --text "the gnik"')
@trained_run
@click.option("--text", multiple=True, help="Text to score; can be repeated.")
@click.option(
    "--file", "files", type=NAME, multiple=True, metavar="FILE", help="File to score; - for standard input."
)
@click.option("--given", default="", metavar="TEXT", help="Text that comes before it.")
@click.option("--each", is_flag=True, help="Print the probability of each symbol as well.")
@threaded(work_of_run)
@json_option
def score(
    run: str,
    text: tuple[str, ...],
    files: tuple[str, ...],
    given: str,
    each: bool,
    as_json: bool,
    cell: str | None,
    task: str | None,
    allow_code: bool,
) -> None:
    """Print the probability of a text under the model in RUN.

    Without --given, the first symbol's probability is its frequency in training.
    """
    from unrolled.errors import UsageError
    from unrolled.tasks.load import load

    if not text and not files:
        raise UsageError("name a text to score: --text TEXT or --file FILE")
    model = load(run, cell, allow_code, task)
    if not hasattr(model, "score"):
        raise model.cannot("does not score a text")
    with waiting("scoring"):
        scored = [model.score(one, given) for one in (*text, *map(model.read, files))]
    for one in scored:
        if as_json:
            from json import dumps

            print(dumps(one.numbers()))
        else:
            print("\n".join(one.lines(each)))
