"""The tasks by name, imported when used. Options are found without torch, so that help is instant."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

from unrolled.errors import RunError, UsageError


class _Home(NamedTuple):
    """Where the parts of a task are: the class that trains it, that of its trained models, its options."""

    task: str
    trained: str
    options: str


_HOMES = {
    "text": _Home(
        "unrolled.tasks.text.task:TextTask",
        "unrolled.tasks.text.trained:TrainedText",
        "unrolled.tasks.text.options:TextOptions",
    )
}


def task_class(name: str) -> Any:
    """The class that trains a task; UsageError if there is none of that name."""
    return _imported(_home(name).task)


def options_class(name: str) -> type:
    """The class of a task's options; UsageError if there is none of that name."""
    kind: type = _imported(_home(name).options)
    return kind


def trained_class(name: str, where: str) -> Any:
    """The class of a task's trained models; RunError if this version has no such task."""
    if name not in _HOMES:
        raise RunError(f"{where} is a run of the task {name!r}, which this version of unrolled does not support")
    return _imported(_HOMES[name].trained)


def task_names() -> tuple[str, ...]:
    """All tasks."""
    return tuple(_HOMES)


def _home(name: str) -> _Home:
    if not isinstance(name, str) or name not in _HOMES:
        raise UsageError(f"--task: must be {' or '.join(_HOMES)}, got {name!r}")
    return _HOMES[name]


def _imported(home: str) -> Any:
    module, _, name = home.partition(":")
    return getattr(import_module(module), name)
