"""The tasks by name, imported when used. Options are found without torch, so that help is instant."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unrolled.errors import RunError, UsageError

if TYPE_CHECKING:
    from unrolled.runs.folder import RunFolder


class _Home(NamedTuple):
    """Where the parts of a task are: its class, that of its trained models, its options, those of ``sample``."""

    task: str
    trained: str
    options: str
    sample: str


_HOMES = {
    "text": _Home(
        "unrolled.tasks.text.task:TextTask",
        "unrolled.tasks.text.trained:TrainedText",
        "unrolled.tasks.text.options:TextOptions",
        "unrolled.tasks.text.options:SampleOptions",
    )
}
DEFAULT = "text"
"""The task of data that no other one recognises."""


def is_own(name: object) -> bool:
    """Whether it names a task in a person's own file, as in ``FILE.py:Class``."""
    return isinstance(name, str) and ".py:" in name


def task_class(name: str) -> Any:
    """The class of a task, by its name or as ``FILE.py:Class``, whose file is run.

    Raises:
        UsageError: there is none.
    """
    if not is_own(name):
        return _imported(_home(name).task)
    from unrolled.cells.source import load_class
    from unrolled.training.task import Task

    return load_class(name, Task, "--task")


def options_class(name: str) -> type:
    """The class of a task's options; UsageError if there is none of that name."""
    kind: type = task_class(name).options_class if is_own(name) else _imported(_home(name).options)
    return kind


def sample_class(name: str) -> type:
    """The class of what ``sample`` can be told; UsageError if there is no task of that name."""
    kind: type = task_class(name).sample_class if is_own(name) else _imported(_home(name).sample)
    return kind


def trained_class(name: str) -> Any:
    """The class of a task's trained models."""
    return _imported("unrolled.tasks.trained:Trained" if is_own(name) else _home(name).trained)


def task_of_run(name: str, given: str | None, where: str) -> Any:
    """The class of the task of a run.

    Arguments:
        name: as the run has it; given: as the person names it again, where it is in a file of their own.
        where: the run's folder.

    Raises:
        RunError: this version has no such task, or nobody named it. UsageError: another one was given.
    """
    if given is not None and (given != name and not (is_own(given) and is_own(name))):
        raise UsageError(f"--task: {where} has the task {name}, got {given}: leave out --task")
    if is_own(name):
        if given is None:
            class_name = name.rpartition(":")[2]
            raise RunError(
                f"{where} has the custom task {class_name}, whose code is not run by default: give "
                f"--task FILE.py:{class_name}"
            )
        return task_class(given)
    if name not in _HOMES:
        raise RunError(f"{where} is a run of the task {name!r}, which this version of unrolled does not support")
    return task_class(name)


def task_for(task: Any, data: str | None) -> Any:
    """The class of the task that is named, or given as a class, or else that the data are for."""
    if _is_task(task):
        return task
    if task is None:
        task = DEFAULT if data is None or not Path(data).exists() else recognised(Path(data))
    return task_class(task)


def own_task(folder: RunFolder, task: Any) -> Any:
    """The class of a run's own task; ``task`` as in `task_of_run`, or a class."""
    return task if _is_task(task) else task_of_run(folder.config()["task"], task, str(folder.path))


def _is_task(task: object) -> bool:
    """Whether it is a class of tasks, rather than a name or nothing."""
    if not isinstance(task, type):
        return False
    from unrolled.training.task import Task

    return issubclass(task, Task)


def task_name(kind: type, named: object) -> str:
    """What a run keeps of its task: the name of a task of the package, else ``FILE.py:Class``.

    Arguments:
        named: the task as the person named it, a name, a class or nothing.
    """
    if isinstance(named, str):
        return named
    for name, home in _HOMES.items():
        if home.task.partition(":")[2] == kind.__name__ and kind.__module__ == home.task.partition(":")[0]:
            return name
    return f"{kind.__module__}.py:{kind.__name__}"


def recognised(data: Path) -> str:
    """The task that data are for, as far as can be told from them."""
    for name in _HOMES:
        if name != DEFAULT and task_class(name).recognises(data):
            return name
    return DEFAULT


def task_names() -> tuple[str, ...]:
    """All tasks that come with the package."""
    return tuple(_HOMES)


def _home(name: object) -> _Home:
    if not isinstance(name, str) or name not in _HOMES:
        raise UsageError(f"--task: must be {', '.join(_HOMES)} or FILE.py:Class, got {name!r}")
    return _HOMES[name]


def _imported(home: str) -> Any:
    module, _, name = home.partition(":")
    return getattr(import_module(module), name)
