"""Arguments that several verbs have."""

from __future__ import annotations

from collections.abc import Callable

import click


def trained_run(function: Callable) -> Callable:
    """A run folder to load: RUN, --cell, --allow-code."""
    for decorate in (
        click.option("--allow-code", is_flag=True, help="Run the cell's source that the run keeps."),
        click.option("--cell", metavar="FILE.py:Class", help="For a run with a cell of your own."),
        click.argument("run"),
    ):
        function = decorate(function)
    return function


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
