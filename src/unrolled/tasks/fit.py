"""fit: train a model on data, into a run folder."""

from __future__ import annotations

import os
from typing import Any

from unrolled.errors import UsageError
from unrolled.runs.folder import RunFolder
from unrolled.tasks.data import file_name
from unrolled.tasks.load import check_cell
from unrolled.tasks.piped import at_hand, resumed_on
from unrolled.tasks.prepare import Listener
from unrolled.tasks.registry import own_task, task_for
from unrolled.tasks.resume import begin_again
from unrolled.tasks.resume import resume as resume_run
from unrolled.tasks.source import check_from, source_of
from unrolled.tasks.start import check_names, start
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
            kind = own_task(folder, task)
            check_names(kind, given)
            check_from(folder, from_run)
            data = resumed_on(data, folder)
            if folder.has_checkpoint:
                return resume_run(folder, kind, data, given, allow_code, show)
            data, given = begin_again(folder, kind, data, given)
            begun = folder
        else:
            kind = task_for(task, data)
            check_names(kind, given)
            folder.check_free()
        if data is None:
            raise UsageError(f"there is no run in {folder.path} to resume: name a file or folder to train on")
        cell = given.pop("cell", None)
        source = source_of(from_run, begun, kind, cell, allow_code)
        with at_hand(data, folder) as file:
            return start(folder, file, kind, task, given, cell, source, begun, show)
