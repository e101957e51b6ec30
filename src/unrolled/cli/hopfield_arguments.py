"""What the commands of ``hopfield`` are given: sizes, loads, and names of files that are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from click.core import ParameterSource


class Range(click.FloatRange):
    """A range that refuses what is not a number, too."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        made = super().convert(value, param, ctx)
        return self.fail(f"{value} is not a number.", param, ctx) if made != made else made


def size_of(text: str | None) -> tuple[int, int] | None:
    import re

    from unrolled.errors import UsageError

    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not found:
        raise UsageError(f"--size: expected a width and a height such as 32x32, got {text!r}")
    return int(found[1]), int(found[2])


def loads_of(text: str | None) -> list[int]:
    from unrolled.errors import UsageError

    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError as error:
        raise UsageError(
            f"--loads: expected whole numbers separated by commas, such as 5,10,20; got {text!r}"
        ) from error


def unused(why: str, *names: str) -> None:
    """UsageError for an option that is given where it changes nothing; ``why`` says where it would."""
    from unrolled.errors import UsageError

    context = click.get_current_context()
    for one in context.command.params:
        if one.name in names and context.get_parameter_source(one.name) is ParameterSource.COMMANDLINE:
            raise UsageError(f"{one.opts[-1]}: applies only to {why}; leave out {one.opts[-1]}")


def names_of(pictures: Sequence[str]) -> list[str]:
    """What the pictures are called: by their files, or by their whole paths where two files have one name.

    >>> names_of(["a/1.png", "a/2.png"]), names_of(["a/1.png", "b/1.png"])
    (['1.png', '2.png'], ['a/1.png', 'b/1.png'])
    """
    from pathlib import Path

    names = [Path(picture).name for picture in pictures]
    return names if len(set(names)) == len(set(pictures)) else list(pictures)


def not_an_input(written: list[str], *given: str) -> None:
    """Nothing that is read is to be written over."""
    from pathlib import Path

    from unrolled.errors import UsageError

    for path in written:
        if Path(path).resolve() in {Path(one).resolve() for one in given}:
            raise UsageError(f"-o: {path} is an input and would be overwritten; choose another name")
