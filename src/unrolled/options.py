"""Options as dataclasses: each default, its help and its checks stand in one place. No torch: help is instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, get_args

from unrolled.errors import UsageError

_KINDS: dict[str, tuple[type, str]] = {
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "str": (str, "text"),
    "bool": (bool, "true or false"),
    "None": (type(None), ""),
}


@dataclass(frozen=True)
class NoOptions:
    """Of a task that has no settings of its own."""


def option(default: Any, help: str, *, metavar: str | None = None, is_name: bool = False) -> Any:
    """A field of an options class.

    Arguments:
        default: None where the program is to choose.
        help: one line for the command line.
        metavar: what stands for the value there, if not its type.
        is_name: it names a file, and must not be empty.
    """
    return field(default=default, metadata={"help": help, "metavar": metavar, "is_name": is_name})


def option_names(kind: type) -> set[str]:
    """The names of the settings of an options class."""
    return {one.name for one in fields(kind)}


def chosen_of(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the given settings that an options class has."""
    return {name: value for name, value in given.items() if name in option_names(kind)}


def kinds(one: Field) -> set[type]:
    """The types that a setting may have, as its annotation says."""
    return {_KINDS[name][0] for name in _type_names(one)}


def _type_names(one: Field) -> list[str]:
    """The parts of its annotation, which is a type or its text."""
    text = one.type.__name__ if isinstance(one.type, type) and not get_args(one.type) else str(one.type)
    return text.split(" | ")


def is_asked(one: Field) -> bool:
    """Whether a person can be asked for a setting of that type on the command line."""
    names = set(_type_names(one))
    return names <= set(_KINDS) and names != {"None"}


def flag(name: str) -> str:
    """A setting as the command line spells it."""
    return "--" + name.replace("_", "-")


def check(holds: bool, name: str, problem: str) -> None:
    """UsageError with the setting's name, unless it holds."""
    if not holds:
        raise UsageError(f"{flag(name)}: {problem}")


def check_types(options: Any) -> None:
    """UsageError where a setting of a dataclass is not of the kind that its annotation says."""
    for one in fields(options):
        value = getattr(options, one.name)
        known = kinds(one)
        if float in known:
            known |= {int}
        if not isinstance(value, tuple(known)) or (isinstance(value, bool) and bool not in known):
            names = (_KINDS[name] for name in _type_names(one))
            expected = " or ".join(sorted(text for kind, text in names if kind is not type(None)))
            raise UsageError(f"{flag(one.name)}: expected {expected}, got {value!r}")


def check_one_of(options: Any, name: str, known: tuple[str, ...]) -> None:
    """UsageError unless the setting is one of the known ones."""
    value = getattr(options, name)
    check(value in known, name, f"must be one of {', '.join(known)}, got {value!r}")


def check_share(options: Any, name: str) -> None:
    """UsageError unless the setting is left open or lies in [0, 1)."""
    value = getattr(options, name)
    check(value is None or 0 <= value < 1, name, f"must lie in [0, 1), got {value}")


def percentages(split: str, usual: str) -> tuple[int, int, int]:
    """The training, validation and test part of ``--split`` in whole percent.

    Arguments:
        usual: an example, for errors.

    Raises:
        UsageError: they are no such three numbers.

    >>> percentages("90/5/5", "80/10/10")
    (90, 5, 5)
    """
    try:
        training, validation, test = (int(part) for part in split.split("/"))
    except ValueError:
        training = validation = test = -1
    if training < 1 or validation < 0 or test < 0 or training + validation + test != 100:
        raise UsageError(
            "--split: expected training/validation/test in percent, with a sum of 100 and training above 0, "
            f"such as {usual}; got {split!r}"
        )
    return training, validation, test
