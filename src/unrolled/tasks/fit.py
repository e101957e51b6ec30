"""fit: train a model on data, into a run folder."""

from __future__ import annotations

import difflib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from unrolled.cells import Cell
from unrolled.cells.registry import CELLS
from unrolled.cells.source import source_of
from unrolled.compiler.stored import store
from unrolled.errors import UsageError
from unrolled.models.build import cells_of
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions
from unrolled.options import option_names
from unrolled.runs.folder import RunFolder
from unrolled.tasks.data import file_name
from unrolled.tasks.load import check_cell, load, resolve_cell
from unrolled.tasks.opening import check_data, configuration, with_data
from unrolled.tasks.piped import at_hand, resumed_on
from unrolled.tasks.prepare import Listener, built, setting, started, use_threads
from unrolled.tasks.registry import DEFAULT, recognised, task_class, task_name, task_of_run
from unrolled.tasks.resume import begin_again
from unrolled.tasks.resume import resume as resume_run
from unrolled.tasks.source import Source, open_again, open_source, take_over
from unrolled.training.loop import Trainer
from unrolled.training.options import TrainingOptions
from unrolled.training.show import showing
from unrolled.training.task import Task


def fit(
    data: str | os.PathLike | None,
    run: str | os.PathLike,
    *,
    task: str | type[Task] | None = None,
    resume: bool = False,
    from_run: str | os.PathLike | None = None,
    allow_code: bool = False,
    listen: Listener | None = None,
    quiet: bool = False,
    **options: Any,
) -> Any:
    """Train a model on ``data`` and keep it in the folder ``run``; the trained model.

    Arguments:
        data: a file or folder, or ``-`` for standard input. When resuming, None for the same one, or where it
            lies now.
        run: a new folder.
        task: ``"text"``, a class of your own, or ``FILE.py:Class``; None for the one that knows such data.
        resume: go on with an unfinished run from its last checkpoint, as if it had not stopped. Its
            settings are its own; options given again must be the same. A finished run is trained further if
            ``epochs`` or ``minutes``, counted from its start, are more than before; ``lr`` and ``warmup`` may
            be given for that budget.
        from_run: start from the best weights of this run. Sizes, units and cell are its own; the option
            ``vocabulary`` says which symbols the new model knows.
        allow_code: when resuming, or starting from, a run with a cell of your own: run the source that it keeps.
        listen: called with each event, a dictionary, instead of showing progress; see `training.loop.Trainer`.
        quiet: show no progress.
        options: the settings of ``unrolled train``, with underscores: ``minutes``, ``epochs``, ``hidden``,
            ``cell`` (also a class), and so on.

    Raises:
        UsageError: a setting is wrong. DataError: the data cannot be used. RunError: the folder cannot.
        KeyboardInterrupt: on Ctrl-C, after everything was saved.

    >>> unrolled.fit(None, "somewhere", sizes=3)
    Traceback (most recent call last):
    unrolled.errors.UsageError: there is no option 'sizes'
    """
    folder = RunFolder(run)
    data = None if data is None else file_name(data)
    given = {name: value for name, value in options.items() if value is not None}
    if listen is not None and not callable(listen):
        raise UsageError(f"listen: expected a function of one event, got {listen!r}")
    if not isinstance(given.get("cell", ""), str):
        check_cell(given["cell"])
    begun = None
    with showing(listen, quiet) as show, folder.locked():
        if resume and folder.exists:
            kind = _own_task(folder, task)
            _check_names(kind, given)
            _check_from(folder, from_run)
            data = resumed_on(data, folder)
            if folder.has_checkpoint:
                return resume_run(folder, kind, data, given, allow_code, show)
            data, given = begin_again(folder, kind, data, given)
            begun = folder
        else:
            kind = _task_for(task, data)
            _check_names(kind, given)
            folder.check_free()
        if data is None:
            raise UsageError(f"there is no run in {folder.path} to resume: name a file or folder to train on")
        cell = given.pop("cell", None)
        source = _source(from_run, begun, kind, cell, allow_code)
        with at_hand(data, folder) as file:
            return _start(folder, file, kind, task, given, cell, source, begun, show)


def _start(
    folder: RunFolder,
    data: str,
    kind: type[Task],
    named: str | type[Task] | None,
    given: dict[str, Any],
    own: str | type[Cell] | None,
    source: Source | None,
    begun: RunFolder | None,
    listen: Listener,
) -> Any:
    if source is None:
        name, cell = resolve_cell(own or "lstm")
    else:
        name, cell = source.cell_name, source.cell
        given = kind.take_over(source.task.options, take_over(source.model, given, source.where), source.where)
    task = kind(kind.options_class(**_of(kind.options_class, given)))
    sizes = ModelOptions(cell=name, **_of(ModelOptions, given))
    training = TrainingOptions(**_of(TrainingOptions, given))
    with setting(training):
        if source is not None:
            task.begin_from(source.task, source.where)
        task = with_data(task, data, sizes, training)
        if begun is not None:
            check_data(begun, task, data)
        model = built(task, cell)
        task.training = replace(task.training, threads=use_threads(task.training, model))
        config = configuration(task, task_name(kind, named), data)
        if source is not None:
            file = str(source.folder.path / "model.safetensors")
            config["from"] = source.about() | task.carry_over(model, source.arrays, file)
        folder.create(config)
        folder.cut_history(0)
        task.save(folder)
        if source is not None and source.is_program:
            source.keep_cell(folder)
        elif name not in CELLS:
            _keep_cell(folder, cell, model)
        trainer = Trainer(task, model, task.training, folder, listen)
        trainer.progress.watch.fresh = source is None
        chosen = [name for name in ("hidden", "layers", "dropout", "batch", "lr", "ema") if name not in given]
        listen(started(task, config, chosen, trainer))
        trainer.run()
    return load(folder.path, cell=cell, task=kind)


def _task_for(task: str | type[Task] | None, data: str | None) -> type[Task]:
    """The class of the task that is named, or that the data are for."""
    if isinstance(task, type) and issubclass(task, Task):
        return task
    if task is None:
        task = DEFAULT if data is None or not Path(data).exists() else recognised(Path(data))
    return cast(type[Task], task_class(task))


def _own_task(folder: RunFolder, task: str | type[Task] | None) -> type[Task]:
    """The class of a run's own task."""
    name = folder.config()["task"]
    if isinstance(task, type):
        return task
    return cast(type[Task], task_of_run(name, task, str(folder.path)))


def _source(
    from_run: str | os.PathLike | None,
    begun: RunFolder | None,
    kind: type[Task],
    cell: str | type[Cell] | None,
    allow_code: bool,
) -> Source | None:
    """The run to start from, if any: the one that is named, or that the run was begun from."""
    if begun is not None and "from" in (config := begun.config()):
        return open_again(config["from"], kind, cell, allow_code)
    return None if from_run is None else open_source(from_run, kind, cell, allow_code)


def _keep_cell(folder: RunFolder, cell: type[Cell], model: Model) -> None:
    """A cell of one's own: its text, for a person to read, and its program, which runs without it."""
    if source := source_of(cell):
        folder.write_text("cell.py", source)
    if (kept := store(cells_of(model.stack))) is not None:
        folder.write_json("program.json", kept)


def _check_from(folder: RunFolder, from_run: str | os.PathLike | None) -> None:
    """A run that goes on may name again what it started from, and nothing else."""
    if from_run is None:
        return
    begun = folder.config().get("from", {}).get("run")
    if str(Path(from_run).resolve()) != begun:
        was = f"from {begun}" if begun else "from fresh weights"
        raise UsageError(
            f"--from: {folder.path} was started {was}, got {from_run}; a resumed run keeps its own weights"
        )


def _check_names(kind: type[Task], given: dict[str, Any]) -> None:
    known = option_names(TrainingOptions) | option_names(ModelOptions) | option_names(kind.options_class)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UsageError(f"there is no option {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _of(kind: type, given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in option_names(kind)}
