"""Arguments that several verbs have."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from unrolled.errors import UsageError
from unrolled.wording import aligned, harmless, wrapped

_KEPT = "\ue000"
"""Stands for a blank that no line is broken at."""


class Name(click.ParamType):
    """The name of a file or folder. An empty one would be the current folder, which nobody means by it."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            named = "" if param is None else f"{_label(param)}: "
            raise UsageError(f"{named}the name is empty")
        return value


NAME = Name()


def _label(param: click.Parameter) -> str:
    """What the help calls it."""
    return param.opts[-1] if isinstance(param, click.Option) else param.human_readable_name.upper()


def trained_run(function: Callable) -> Callable:
    """A run folder to load: RUN, --cell, --task, --allow-code."""
    for decorate in (
        click.option("--allow-code", is_flag=True, help="Run the cell's source code kept in the run."),
        click.option("--task", type=NAME, metavar="FILE.py:Class", help="For a run with a task of your own."),
        click.option("--cell", type=NAME, metavar="FILE.py:Class", help="For a run with a cell of your own."),
        click.argument("run", type=NAME),
    ):
        function = decorate(function)
    return function


def never_fail_to_encode(*streams: TextIO) -> None:
    """Let the streams replace what their encoding lacks: a letter is not worth a run."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Inside, what the library warns of is one sentence on stderr, without its place in the code, and once."""
    said = set()

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        sentence = str(message)
        if sentence not in said:
            said.add(sentence)
            click.echo(f"warning: {sentence}", err=True)

    with warnings.catch_warnings():
        for category in (RuntimeWarning, UserWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = show
        yield


def complaint(said: str, arguments: Iterable[str]) -> str:
    """An error in lines that fit the terminal; the names that a person typed stay whole.

    >>> print(complaint("there is no file my own data.csv in " + "a folder " * 6, ["train", "my own data.csv"]))
    unrolled: there is no file my own data.csv in a folder a folder a folder a
      folder a folder a folder
    """
    said = harmless(said)
    for name in arguments:
        if " " in name and harmless(name) in said:
            said = said.replace(harmless(name), harmless(name).replace(" ", _KEPT))
    lines = [wrapped(line, "unrolled: " if k == 0 else "  ") for k, line in enumerate(said.splitlines() or [""])]
    return "\n".join(lines).replace(_KEPT, " ")


def print_rows(rows: Iterable[tuple[str, str]], width: int) -> None:
    """Names, and beside each what there is to say, in lines that fit the terminal."""
    print("\n".join(aligned(rows, width)))


def print_table(table: Any) -> None:
    """A table of rich's; where it is wider than the terminal, its rows one below the other."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(highlight=False, markup=False)
    if Measurement.get(console, console.options.update(max_width=10_000), table).maximum <= console.width:
        console.print(table)
        return
    if table.title:
        console.print(table.title)
    heads = [str(column.header) for column in table.columns]
    for cells in zip(*([str(cell) for cell in column.cells] for column in table.columns), strict=True):
        first, *rest = cells
        print(first)
        print_rows([(f"  {head}", " ".join(cell.split())) for head, cell in zip(heads[1:], rest, strict=True)], 14)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
