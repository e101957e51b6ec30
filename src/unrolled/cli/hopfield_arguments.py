"""What the commands of ``hopfield`` are given: sizes, loads, and names of files that are read."""

from __future__ import annotations


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


def only_of_a_random_graph(*names: str) -> None:
    """Options that a graph from a file has no use for."""
    import click
    from click.core import ParameterSource

    from unrolled.errors import UsageError

    for name in names:
        if click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name}: applies only to a random graph; leave out --{name} or GRAPH")


def not_an_input(written: list[str], *given: str) -> None:
    """Nothing that is read is to be written over."""
    from pathlib import Path

    from unrolled.errors import UsageError

    for path in written:
        if Path(path).resolve() in {Path(one).resolve() for one in given}:
            raise UsageError(f"-o: {path} is an input and would be overwritten; choose another name")
