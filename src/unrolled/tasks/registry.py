"""The tasks by name, imported when used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from unrolled.errors import RunError, UsageError

_HOMES = {"text": ("unrolled.tasks.text.task:TextTask", "unrolled.tasks.text.trained:TrainedText")}


def task_class(name: str) -> Any:
    """The class that trains a task; UsageError if there is none of that name."""
    if not isinstance(name, str) or name not in _HOMES:
        raise UsageError(f"--task: must be {' or '.join(_HOMES)}, got {name!r}")
    return _imported(_HOMES[name][0])


def trained_class(name: str, where: str) -> Any:
    """The class of a task's trained models; RunError if this version has no such task."""
    if name not in _HOMES:
        raise RunError(f"{where} is a run of the task {name!r}, which this version of unrolled does not support")
    return _imported(_HOMES[name][1])


def _imported(home: str) -> Any:
    module, _, name = home.partition(":")
    return getattr(import_module(module), name)
