"""The tasks by name, imported when used. Options are found without torch, so that help is instant."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from unrolled.errors import RunError, UsageError
from unrolled.options import is_asked, option_names

if TYPE_CHECKING:
    from unrolled.runs.folder import RunFolder


class _Home(NamedTuple):
    """Where the parts of a task are: its class, that of its trained models, its options, those of ``sample``.

    And what tells whether data are of its kind, which is also found without torch; None for `DEFAULT`.
    """

    task: str
    trained: str
    options: str
    sample: str
    recognises: str | None


_HOMES = {  # in the order of asking: a table with labels may have numbers that could be forecast
    "text": _Home(
        "unrolled.tasks.text.task:TextTask",
        "unrolled.tasks.text.trained:TrainedText",
        "unrolled.tasks.text.options:TextOptions",
        "unrolled.tasks.text.options:SampleOptions",
        None,
    ),
    "music": _Home(
        "unrolled.tasks.music.task:MusicTask",
        "unrolled.tasks.trained:Trained",
        "unrolled.tasks.music.options:MusicOptions",
        "unrolled.tasks.music.options:SampleOptions",
        "unrolled.tasks.music.reading:is_music",
    ),
    "transcribe": _Home(
        "unrolled.tasks.transcribe.task:TranscribeTask",
        "unrolled.tasks.transcribe.trained:TrainedTranscriber",
        "unrolled.tasks.transcribe.options:TranscribeOptions",
        "unrolled.options:NoOptions",
        "unrolled.tasks.transcribe.recognising:is_recorded",
    ),
    "caption": _Home(
        "unrolled.tasks.caption.task:CaptionTask",
        "unrolled.tasks.caption.trained:TrainedCaptioner",
        "unrolled.tasks.caption.options:CaptionOptions",
        "unrolled.options:NoOptions",
        "unrolled.tasks.caption.recognising:is_captioned",
    ),
    "classify": _Home(
        "unrolled.tasks.classify.task:ClassifyTask",
        "unrolled.tasks.trained:Trained",
        "unrolled.tasks.classify.options:ClassifyOptions",
        "unrolled.options:NoOptions",
        "unrolled.tasks.classify.sources:is_labelled",
    ),
    "series": _Home(
        "unrolled.tasks.series.task:SeriesTask",
        "unrolled.tasks.trained:Trained",
        "unrolled.tasks.series.options:SeriesOptions",
        "unrolled.options:NoOptions",
        "unrolled.tasks.series.reading:looks_like_series",
    ),
}
_TRAIN = {"data", "run", "task", "resume", "from_run", "allow_code", "as_json", "json", "help", "listen", "quiet"}
_SAMPLE = {"run", "cell", "task", "allow_code", "out", "threads", "help"}
"""What the verbs themselves are told."""

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
    """The class of a task's options; UsageError if there is none of that name, or it cannot be used."""
    return _settings(name, "options")


def sample_class(name: str) -> type:
    """The class of what ``sample`` can be told; UsageError if there is no task of that name, or it cannot be used."""
    return _settings(name, "sample")


def _settings(name: str, part: str) -> type:
    if not is_own(name):
        return cast(type, _imported(getattr(_home(name), part)))
    kind = task_class(name)
    check_options(kind)
    return cast(type, getattr(kind, f"{part}_class"))


def check_options(kind: Any) -> None:
    """UsageError where a task has a setting that the program has already, or one that it cannot ask for."""
    from unrolled.models.options import ModelOptions
    from unrolled.training.options import TrainingOptions

    trains = option_names(ModelOptions) | option_names(TrainingOptions)
    for of, taken in ((kind.options_class, trains | _TRAIN), (kind.sample_class, _SAMPLE)):
        if not is_dataclass(of):
            raise UsageError(f"--task: {of.__name__} of {kind.__name__} must be a dataclass")
        for one in fields(of):
            where = f"--task: {kind.__name__}'s setting {one.name}"
            if one.name in taken:
                raise UsageError(f"{where} has the name of one of the program's own: give it another")
            if "help" not in one.metadata:
                raise UsageError(f"{where} must have a default and a line of help: option(default, help)")
            if not is_asked(one):
                raise UsageError(
                    f"{where} must be of int, float, str or bool, or one of them or None, got {one.type}"
                )


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
            kept = Path(where) / "task.py"
            raise RunError(
                f"{where} has the custom task {class_name}, whose code is not run by default: give "
                f"--task FILE.py:{class_name}"
                + (f", or --task {kept}:{class_name} if you trust the folder" if kept.is_file() else "")
            )
        return task_class(given)
    if name not in _HOMES:
        raise RunError(f"{where} is a run of the task {name!r}, which this version of unrolled does not support")
    return task_class(name)


def task_for(task: Any, data: str | None) -> Any:
    """The class of the task that is named, or given as a class, or else that the data are for."""
    if _is_task(task):
        check_options(task)
        return task
    if task is None:
        task = DEFAULT if data is None or not Path(data).exists() else recognised(Path(data))
    return task_class(task)


def own_task(folder: RunFolder, task: Any) -> Any:
    """The class of a run's own task; ``task`` as in `task_of_run`, or a class."""
    name = folder.config()["task"]
    if not _is_task(task):
        return task_of_run(name, task, str(folder.path))
    if not is_own(name) and task_name(task, None) != name:
        raise UsageError(f"--task: {folder.path} has the task {name}, got {task.__name__}: leave out --task")
    return task


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
    for name, home in _HOMES.items():
        if home.recognises is not None and _imported(home.recognises)(data):
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
