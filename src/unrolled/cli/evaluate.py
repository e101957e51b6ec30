"""The verb ``evaluate``."""

from __future__ import annotations

import click

from unrolled.cli.shared import NAME, json_option, print_rows, trained_run
from unrolled.cli.threads import threaded, work_of_run
from unrolled.cli.waiting import waiting


@click.command(epilog="Example: unrolled evaluate runs/shakespeare --on test")
@trained_run
@click.argument("data", required=False, type=NAME)
@click.option("--on", metavar="PART", help="Part of the run's own data: validation (default), test or training.")
@threaded(work_of_run)
@json_option
def evaluate(
    run: str, data: str | None, on: str | None, as_json: bool, cell: str | None, task: str | None, allow_code: bool
) -> None:
    """Measure how well the model in RUN does on DATA.

    DATA is a file or folder (- for standard input). Without it, a part of the run's
    own data is scored; with --on, DATA is the new path of the run's own data. A text
    is read as one stream from the zero state, and each symbol but the first is scored
    once.
    """
    from unrolled.tasks.load import load

    model = load(run, cell, allow_code, task)
    with waiting("scoring") as tell:
        figures = model.evaluate(data, on, tell)
    if as_json:
        from json import dumps

        from unrolled.runs.numbers import finite

        print(dumps(finite(figures)))
    else:
        print_rows(model.rows(figures), 12)
