"""The verb ``evaluate``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from unrolled.cli.sample import AllowCode, OwnCell, Run

EXAMPLE = "Example: unrolled evaluate runs/shakespeare --on test"


def evaluate(
    run: Run,
    data: Annotated[str | None, typer.Argument(help="Another text; by default the run's own.")] = None,
    on: Annotated[str, typer.Option(help="The part of the run's own text: validation or test.")] = "validation",
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    cell: OwnCell = None,
    allow_code: AllowCode = False,
) -> None:
    """How well a model predicts a text: one stream from the zero state, each symbol but the first."""
    from unrolled.tasks.load import load

    model = load(run, cell, allow_code)
    figures = model.evaluate(data, on)
    if json:
        from json import dumps

        print(dumps(figures))
    else:
        print(_table(figures, model.options.units[:-1]))


def _table(figures: dict[str, Any], unit: str) -> str:
    unknown = sum(figures["unknown"].values())
    rows = [
        ("on", f"{figures['on']}, {figures['symbols']:,} {unit}s scored"),
        ("loss", f"{figures['loss']:.4f} nats a {unit}"),
        ("", f"{figures['bits_per_character']:.4f} bits per character"),
        ("perplexity", f"{figures['perplexity']:.3f}"),
        ("accuracy", f"{figures['accuracy']:.2%}"),
    ]
    for key, name in (("unigram_loss", "frequencies"), ("bigram_loss", "pairs")):
        if key in figures:
            rows.append((name, f"{figures[key]:.4f} nats a {unit}, from a table of the training part"))
    if unknown:
        most = sorted(figures["unknown"].items(), key=lambda item: -item[1])
        shown = ", ".join(repr(symbol) for symbol, _ in most[:8]) + (", ..." if len(most) > 8 else "")
        rows.append(("unknown", f"{unknown:,} {unit}s that the model never saw, scored as unknown: {shown}"))
    return "\n".join(f"{name:<12} {text}" for name, text in rows)
