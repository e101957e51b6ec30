"""Arguments that several verbs have."""

from __future__ import annotations

import io
import shutil
import textwrap
from collections.abc import Callable
from typing import TextIO

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


def never_fail_to_encode(*streams: TextIO) -> None:
    """Let the streams replace what their encoding lacks: a letter is not worth a run."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")


def wrapped(text: str, mark: str = "") -> str:
    """``text`` behind a mark, in lines that fit the terminal, all but the first indented."""
    width = max(40, shutil.get_terminal_size().columns)
    return textwrap.fill(
        text, width, initial_indent=mark, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
