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
@click.option("--on", metavar="PART", help="Of the run's own text: validation (default), test or training.")
@threaded(work_of_run)
@json_option
def evaluate(run: str, data: str | None, on: str | None, as_json: bool, cell: str | None, allow_code: bool) -> None:
    """How well the model of RUN predicts a text.

    The text is DATA (- for standard input), or a part of the run's own; with --on,
    DATA is where the run's own text lies now. One stream from the zero state; each
    symbol but the first is scored once.
    """
    from unrolled.tasks.load import load

    model = load(run, cell, allow_code)
    with waiting("scoring") as tell:
        figures = model.evaluate(data, on, tell)
    if as_json:
        from json import dumps

        print(dumps(figures))
    else:
        print_rows(_rows(figures, model.options.units), 12)


def _rows(figures: dict[str, Any], units: str) -> list[tuple[str, str]]:
    unit = singular(units)
    unknown = sum(figures["unknown"].values())
    rows = [
        ("on", f"{figures['on']}, {counted(figures['symbols'], units)} scored"),
        ("loss", f"{figures['loss']:.4f} nats a {unit}"),
        ("", f"{figures['bits_per_character']:.4f} bits per character"),
        ("perplexity", short(figures["perplexity"], 3)),
        ("accuracy", f"{figures['accuracy']:.2%}"),
    ]
    for key, name in (("unigram_loss", "frequencies"), ("bigram_loss", "pairs")):
        if key in figures:
            rows.append((name, f"{figures[key]:.4f} nats a {unit}, from a table of the training part"))
    if unknown:
        most = sorted(figures["unknown"].items(), key=lambda item: -item[1])
        shown = ", ".join(repr(symbol) for symbol, _ in most[:8]) + (", ..." if len(most) > 8 else "")
        rows.append(("unknown", f"{counted(unknown, units)} that the model never saw, scored as unknown: {shown}"))
    return rows
