"""The verb ``evaluate``."""

from __future__ import annotations

from typing import Any

import click

from unrolled.cli.shared import NAME, json_option, print_rows, trained_run
from unrolled.cli.threads import threaded, work_of_run
from unrolled.cli.waiting import waiting
from unrolled.wording import counted, short, singular


@click.command(epilog="Example: unrolled evaluate runs/shakespeare --on test")
@trained_run
@click.argument("data", required=False, type=NAME)
@click.option("--on", metavar="PART", help="Part of the run's own text: validation (default), test or training.")
@threaded(work_of_run)
@json_option
def evaluate(run: str, data: str | None, on: str | None, as_json: bool, cell: str | None, allow_code: bool) -> None:
    """Measure how well the model in RUN predicts a text.

    DATA is the text (- for standard input). Without it, a part of the run's own text
    is scored; with --on, DATA is the new path of the run's own text. The text is read
    as one stream from the zero state, and each symbol but the first is scored once.
    """
    from unrolled.tasks.load import load

    model = load(run, cell, allow_code)
    with waiting("scoring") as tell:
        figures = model.evaluate(data, on, tell)
    if as_json:
        from json import dumps

        from unrolled.runs.numbers import finite

        print(dumps(finite(figures)))
    else:
        print_rows(_rows(figures, model.options.units), 12)


def _rows(figures: dict[str, Any], units: str) -> list[tuple[str, str]]:
    unit = singular(units)
    unknown = sum(figures["unknown"].values())
    rows = [
        ("on", f"{figures['on']}, {counted(figures['symbols'], units)} scored"),
        ("loss", f"{short(figures['loss'], 4)} nats per {unit}"),
        ("", f"{short(figures['bits_per_character'], 4)} bits per character"),
        ("perplexity", short(figures["perplexity"], 3)),
        ("accuracy", f"{figures['accuracy']:.2%}"),
    ]
    for key, name in (("unigram_loss", "unigram"), ("bigram_loss", "bigram")):
        if key in figures:
            rows.append((name, f"{figures[key]:.4f} nats per {unit}, counted on the training part"))
    if unknown:
        most = sorted(figures["unknown"].items(), key=lambda item: -item[1])
        shown = ", ".join(repr(symbol) for symbol, _ in most[:8]) + (", ..." if len(most) > 8 else "")
        rows.append(("unknown", f"{counted(unknown, units)} that the model never saw, scored as unknown: {shown}"))
    return rows
