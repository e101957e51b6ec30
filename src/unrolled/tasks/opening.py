"""Tasks made ready: with the side files of a run, and with data."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np

from unrolled.errors import DataError, RunError, UsageError
from unrolled.models.options import ModelOptions
from unrolled.runs.folder import RunFolder
from unrolled.tasks.data import fingerprint, opened, same_data, same_parts
from unrolled.tasks.piped import KEPT, is_piped, own_data
from unrolled.training.options import TrainingOptions
from unrolled.training.task import Task

SECTION = "options"
"""Where ``config.toml`` has a task's settings."""

T = TypeVar("T", bound=Task)


def restored(kind: type[T], run: RunFolder) -> T:
    """The task of a run, with its side files, and without data.

    Raises:
        RunError: one of them, or the configuration, is damaged.
    """
    try:
        task = kind(run.options(kind.options_class, SECTION))
    except UsageError as error:
        raise RunError(f"{run.path / 'config.toml'} is damaged: section [{SECTION}]: {error}") from error
    try:
        task.restore(run)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run.path} is damaged: its side files: {type(error).__name__}: {error}") from error
    return task


def with_data(task: T, data: str, model: ModelOptions, training: TrainingOptions) -> T:
    """The task with its data read and all choices made."""
    steps = _steps(task, "read", data)
    if task.fingerprint is None:
        task.fingerprint = fingerprint(data)
    if task.parts_digest is not None:
        task.fingerprint = {**task.fingerprint, "parts": task.parts_digest}
    task.settle(model, training, steps)
    return task


def with_all(task: T, data: str, model: ModelOptions, training: TrainingOptions) -> T:
    """The task with data that are to be scored whole."""
    if is_piped(data) and not task.reads_pipes:
        with TemporaryDirectory() as folder:
            file = Path(folder) / KEPT
            with opened(data) as stream, open(file, "wb") as copy:
                shutil.copyfileobj(stream, copy)
            return with_all(task, str(file), model, training)
    task.settle(model, training, _steps(task, "read_all", data))
    return task


def _steps(task: Task, method: str, data: str) -> int:
    """The number of steps that a task has read.

    Raises:
        DataError: the data are no text where the task wants some, or cannot be read.
        TypeError: the task gave no number.
    """
    try:
        steps = getattr(task, method)(data)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(f"{data} is not UTF-8 text: byte {error.start:,} of what was read is 0x{byte:02x}") from error
    except OSError as error:
        raise DataError(f"cannot read {data}: {error.strerror or error}") from error
    if not isinstance(steps, int | np.integer):
        raise TypeError(f"{type(task).__name__}.{method} must return how many steps it has read, got {steps!r}")
    return int(steps)


def data_section(task: Task, data: str) -> dict[str, Any]:
    """What ``config.toml`` says of the data."""
    return {"path": str(Path(data).resolve()), **(task.fingerprint or {})}


def configuration(task: Task, name: str, data: str) -> dict[str, Any]:
    """What ``config.toml`` says of a run.

    Arguments:
        name: the task's, as the run is to keep it.
    """
    return {
        "task": name,
        "unit": task.step_unit,
        "criterion": task.criterion.name,
        "percent": task.criterion.percent,
        "data": data_section(task, data),
        "model": asdict(task.model),
        SECTION: asdict(task.options),
        "training": asdict(task.training),
    }


def check_data(run: RunFolder, task: Task, data: str) -> None:
    """See that these are the data that the run was begun on.

    Raises:
        RunError: they have changed. UsageError: they are others.
    """
    kept = run.config()["data"]
    if same_data(kept, task.fingerprint or {}):
        check_parts(run, task, data)
        return
    if str(Path(data).resolve()) == kept["path"]:
        raise RunError(f"{data} has changed since {run.path} was started: the run cannot be resumed")
    raise UsageError(
        f"{run.path} was started on {kept['path']}, and {data} is not the same {task.noun}: leave it out to resume "
        f"on the run's own {task.noun}, or start a new run on it with --from {run.path}"
    )


def check_parts(run: RunFolder, task: Task, data: str) -> None:
    """RunError if other parts of the data can be used now than when the run was begun: training may be tested on."""
    if not same_parts(run.config()["data"], task.fingerprint or {}):
        raise RunError(
            f"{data} is what {run.path} was started on, but not the same of it can be used now: files that it names "
            "are missing, damaged or back, or their parts are others, so that what was trained on may be in the test "
            "part"
        )


def data_of(run: RunFolder, kind: type[Task], data: str | None) -> str:
    """Where the data of a run lie: ``data``, or where they lay; RunError if they are not there any more."""
    path = own_data(run)
    if data is None and not Path(path).exists():
        raise RunError(
            f"the {kind.noun} of {run.path} is no longer at {path}: give its new path, "
            f"unrolled train FILE --run {run.path} --resume"
        )
    return data or path
