"""The verb ``evaluate``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from unrolled.cli.shared import NAME, json_option, print_rows, trained_run
from unrolled.cli.threads import threaded, work_of_run
from unrolled.cli.waiting import waiting


@click.command(epilog="Example: unrolled evaluate runs/shakespeare --on test")
@trained_run
@click.argument("data", required=False, type=NAME)
@click.option("--on", metavar="PART", help="Part of the run's own data: validation (default), test or training.")
@click.option("--pictures", type=NAME, metavar="DIR", help="Write pictures of the scores here, if the task has any.")
@threaded(work_of_run)
@json_option
def evaluate(
    run: str,
    data: str | None,
    on: str | None,
    pictures: str | None,
    as_json: bool,
    cell: str | None,
    task: str | None,
    allow_code: bool,
) -> None:
    """Measure how well the model in RUN does on DATA.

    DATA is a file or folder (- for standard input). Without it, a part of the run's
    own data is scored; with --on, DATA is the new path of the run's own data. A text
    is read as one stream from the zero state, and each symbol but the first is scored
    once.
    """
    from unrolled.errors import UsageError
    from unrolled.tasks.load import load

    model = load(run, cell, allow_code, task)
    if pictures is not None and not model.has_pictures:
        raise UsageError(f"--pictures: the task {model.task.name} has no pictures of its scores")
    with waiting("scoring") as tell:
        figures = model.evaluate(data, on, tell)
    if as_json:
        from json import dumps

        from unrolled.runs.numbers import finite

        print(dumps(finite(figures)))
    else:
        rows = model.rows(figures)
        print_rows(rows, max(12, 1 + max(len(label) for label, _ in rows)))
    if pictures is not None:
        for file in _written(model.pictures(figures, data), pictures):
            print(f"wrote {file}", file=sys.stderr if as_json else sys.stdout)


def _written(made: dict[str, bytes], folder: str) -> Iterator[str]:
    """The files that were written."""
    from pathlib import Path

    from unrolled.runs.files import write_atomically

    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, content in made.items():
        write_atomically(Path(folder) / name, content)
        yield str(Path(folder) / name)
