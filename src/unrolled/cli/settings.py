"""Options of a command from options classes: each default and each line of help is written once, there."""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any

import click

from unrolled.cli.shared import NAME
from unrolled.cli.threads import THREADS
from unrolled.options import flag, kinds

_CLICK = {int: click.INT, float: click.FLOAT, str: click.STRING}


def settings(kind: type) -> list[click.Option]:
    """One option for each setting, in their order; None where the person says nothing."""
    return [_option(one) for one in fields(kind)]


def _option(one: Field) -> click.Option:
    help, metavar = one.metadata["help"], one.metadata["metavar"]
    if kinds(one) == {bool}:
        names = f"{flag(one.name)}/{flag('no_' + one.name)}"
        return click.Option([names, one.name], default=None, help=help)
    known = kinds(one) - {type(None)}
    value: Any = NAME if one.metadata["is_name"] else _CLICK[str if str in known else next(iter(known))]
    if one.name == "threads":
        value = THREADS
    return click.Option([flag(one.name), one.name], type=value, metavar=metavar, help=help)


class SettingsCommand(click.Command):
    """A command some of whose options are those of the task that its arguments name.

    Arguments:
        sections: the title and the options class of each part, given the task's name.
    """

    def __init__(self, *args: Any, sections: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sections = sections
        self._own = list(self.params)
        self._titled: list[tuple[str, list[click.Option]]] = []
        self._take("text")

    def _take(self, task: str) -> None:
        """The options of one task in place of those of another."""
        self._titled = [(title, settings(kind)) for title, kind in self._sections(task)]
        self.params = [*self._own, *(option for _, options in self._titled for option in options)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        self._take(_task_of(args))
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        titled = [option for _, options in self._titled for option in options]
        known = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        own = [p for p in known if not any(p is one for one in titled)]
        for title, options in [("Options", own), *self._titled]:
            rows = [row for p in options if (row := p.get_help_record(ctx)) is not None]
            with formatter.section(title):
                formatter.write_dl(rows)


def _task_of(args: list[str], default: str = "text") -> str:
    """The task that the arguments name, before they are read: its options say how to read them."""
    name = default
    for argument, following in zip(args, [*args[1:], default], strict=True):
        if argument == "--":
            break
        if argument == "--task":
            name = following
        elif argument.startswith("--task="):
            name = argument.partition("=")[2]
    return name
