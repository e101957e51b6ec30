"""The verb ``classify``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import click

from unrolled.cli.output import STDOUT, keep, put
from unrolled.cli.shared import NAME, json_option, trained_run
from unrolled.cli.threads import threaded, work_of_run


@click.command(epilog="Example: unrolled classify runs/promoters new.fasta --out answers.csv")
@trained_run
@click.argument("data", type=NAME)
@click.option(
    "--out",
    type=NAME,
    metavar="FILE",
    help="Write here instead of to the terminal; NAME.gz packs it, - prints.",
)
@threaded(work_of_run)
@json_option
def classify(
    run: str, data: str, out: str | None, as_json: bool, cell: str | None, task: str | None, allow_code: bool
) -> None:
    """Name the label of each sequence in DATA with the model in RUN.

    DATA is a file or folder of the kind that the run was trained on, with or without
    labels. Prints a table in CSV, or with --json one object per line.
    """
    from unrolled.tasks.load import load

    answers = load(run, cell, allow_code, task).classify(data)
    lines = _as_json(answers) if as_json else _as_csv(answers)
    if out is None or out == STDOUT:
        for line in lines:
            put(line)
    else:
        keep(out, lines)


def _as_csv(answers: Any) -> Iterator[str]:
    yield _row(answers.columns)
    for row in answers.rows:
        yield _row([f"{cell:.4f}" if isinstance(cell, float) else cell for cell in row])


def _row(cells: Any) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _as_json(answers: Any) -> Iterator[str]:
    for row in answers.rows:
        yield json.dumps(dict(zip(answers.columns, row, strict=True))) + "\n"
