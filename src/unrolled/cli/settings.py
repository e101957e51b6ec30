"""Options of a command from options classes: each default and each line of help is written once, there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click

from unrolled.cli.shared import NAME
from unrolled.cli.threads import THREADS
from unrolled.errors import UsageError
from unrolled.options import flag, kinds

_CLICK = {int: click.INT, float: click.FLOAT, str: click.STRING}


def settings(kind: type) -> list[click.Option]:
    """One option for each setting, in their order; None where the person says nothing."""
    return [_option(one) for one in fields(kind)]


def _option(one: Field) -> click.Option:
    help, metavar = one.metadata["help"], one.metadata["metavar"]
    if kinds(one) - {type(None)} == {bool}:
        names = f"{flag(one.name)}/{flag('no_' + one.name)}"
        return click.Option([names, one.name], default=None, help=help)
    known = kinds(one) - {type(None)}
    value: Any = NAME if one.metadata["is_name"] else _CLICK[str if str in known else next(iter(known))]
    if one.name == "threads":
        value = THREADS
    return click.Option([flag(one.name), one.name], type=value, metavar=metavar, help=help)


_TITLED = "unrolled.settings"
"""Where a call keeps the options of its task."""


def _options(titled: list[tuple[str, list[click.Option]]]) -> list[click.Option]:
    return [option for _, options in titled for option in options]


class SettingsCommand(click.Command):
    """A command some of whose options are those of the task that its arguments name.

    Arguments:
        sections: the title and the options class of each part, given the command's arguments.
        hint: given the arguments and an option that is not there, a sentence that helps, or None.
    """

    def __init__(
        self,
        *args: Any,
        sections: Callable[[list[str]], list[tuple[str, type]]],
        hint: Callable[[list[str], str], str | None] = lambda args, option: None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._sections, self._hint = sections, hint
        self._own = list(self.params)
        self._usual = self._titled([])
        self.params = [*self._own, *_options(self._usual)]

    def _titled(self, args: list[str]) -> list[tuple[str, list[click.Option]]]:
        return [(title, settings(kind)) for title, kind in self._sections(args)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_TITLED] = self._titled(args)
        named = [argument for argument in args[:1] if not argument.startswith("-")]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if named and not Path(named[0]).exists():  # which options there are depends on it
                raise UsageError(f"there is no file or folder {named[0]}") from error
            if (hint := self._hint(args, error.option_name)) is not None:
                raise UsageError(hint) from error
            raise

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own, and those of the task of this call; nothing of it stays behind."""
        parameters = [p for p in super().get_params(ctx) if not any(p is one for one in _options(self._usual))]
        help_option = parameters[len(self._own) :]
        return [*self._own, *_options(ctx.meta.get(_TITLED, self._usual)), *help_option]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        titled = ctx.meta.get(_TITLED, self._usual)
        known = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        own = [p for p in known if not any(p is one for one in _options(titled))]
        for title, options in [("Options", own), *titled]:
            rows = [row for p in options if (row := p.get_help_record(ctx)) is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def task_of_arguments(args: list[str]) -> str:
    """The task that the arguments name, or that the run or the data among them has.

    It is found before the arguments are read, since its options say how to read them.
    """
    from unrolled.tasks.registry import DEFAULT, recognised

    places = []
    for argument, following in zip_longest(args, args[1:], fillvalue=""):
        if argument == "--":
            break
        if argument == "--task":
            return following
        if argument.startswith("--task="):
            return argument.partition("=")[2]
        places.append(argument)
    for place in (Path(place) for place in places if not place.startswith("-")):
        if (task := task_of_folder(place)) is not None:
            return task
    return next((recognised(Path(p)) for p in places[:1] if not p.startswith("-") and Path(p).exists()), DEFAULT)


def task_of_folder(folder: Path) -> str | None:
    """The task of a run; None where there is no run, or where its task's file was not named."""
    import tomllib

    from unrolled.tasks.registry import is_own

    try:
        name = tomllib.loads((folder / "config.toml").read_bytes().decode("utf-8", "replace")).get("task")
    except (OSError, ValueError):
        return None
    return name if isinstance(name, str) and not is_own(name) else None
