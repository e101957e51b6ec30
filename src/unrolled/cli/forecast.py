"""The verb ``forecast``."""

from __future__ import annotations

import sys

import click

from unrolled.cli.output import STDOUT, keep_forms
from unrolled.cli.shared import NAME, trained_run
from unrolled.cli.threads import threaded, work_of_run
from unrolled.cli.waiting import waiting
from unrolled.wording import harmless, wrapped


@click.command(epilog="Example: unrolled forecast runs/sunspots --out next.csv")
@trained_run
@click.argument("data", required=False, type=NAME)
@click.option("--horizon", type=int, metavar="H", help="Steps to forecast (default: as the model was trained).")
@click.option(
    "--out",
    type=NAME,
    metavar="FILE",
    help="Write the table here, and a picture beside it; NAME.gz packs the table, - prints it.",
)
@click.option("--seed", type=int, default=1, help="The same seed gives the same forecast (1).")
@threaded(work_of_run)
def forecast(
    run: str,
    data: str | None,
    cell: str | None,
    task: str | None,
    allow_code: bool,
    horizon: int | None,
    out: str | None,
    seed: int,
) -> None:
    """Say what comes after the end of DATA, with the model in RUN.

    DATA is a file or folder; without it, the run's own data are continued. Prints a
    table, or with --out writes it, and what else there is to see, under the same name
    with another ending.
    """
    from unrolled.drawing import check_folder
    from unrolled.tasks.load import load

    if out is not None:
        check_folder(out)
    model = load(run, cell, allow_code, task)
    with waiting("forecasting"):
        table, *others = model.forecast(data, horizon, seed)
    if table.note:
        print(wrapped(harmless(table.note)), file=sys.stderr)
    if out is None or out == STDOUT:
        print(harmless(table.text or ""), end="")
        return
    keep_forms(out, table, others)
