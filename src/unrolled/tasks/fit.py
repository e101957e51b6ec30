"""fit: train a model on data, into a run folder."""

from __future__ import annotations

import difflib
import inspect
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from unrolled.cells import Cell
from unrolled.cells.source import source_of
from unrolled.compiler.stored import store
from unrolled.engine import native
from unrolled.errors import RunError, UsageError
from unrolled.layers import Recurrent
from unrolled.layers.paths import usual
from unrolled.models import Model
from unrolled.runs.folder import RunFolder
from unrolled.tasks.load import cell_of_run, check_cell, load, resolve_cell
from unrolled.tasks.piped import at_hand, resumed_on
from unrolled.tasks.registry import task_class
from unrolled.tasks.text.build import CELLS
from unrolled.tasks.text.files import file_name
from unrolled.training.loop import Trainer, torch_threads
from unrolled.training.options import TrainingOptions, flag, option_names
from unrolled.training.show import showing

Listener = Callable[[dict[str, Any]], None]


def fit(
    data: str | os.PathLike | None,
    run: str | os.PathLike,
    *,
    task: str = "text",
    resume: bool = False,
    allow_code: bool = False,
    listen: Listener | None = None,
    quiet: bool = False,
    **options: Any,
) -> Any:
    """Train a model on ``data`` and keep it in the folder ``run``; the trained model.

    Arguments:
        data: a file or folder, or ``-`` for standard input; None when resuming on the same one.
        run: a new folder.
        task: ``"text"``.
        resume: go on with an unfinished run from its last checkpoint, as if it had not stopped. Its
            settings are its own; options given again must be the same.
        allow_code: when resuming a run with a cell of your own, run the source that it keeps.
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
    _check_names(task, given)
    if listen is not None and not callable(listen):
        raise UsageError(f"listen: expected a function of one event, got {listen!r}")
    if not isinstance(given.get("cell", ""), str):
        check_cell(given["cell"])
    with showing(listen, quiet) as show, folder.locked():
        if resume and folder.exists:
            data = resumed_on(data, folder.config(task), folder)
        if resume and folder.exists and folder.has_checkpoint:
            return _resume(folder, data, task, given, allow_code, show)
        if resume and folder.exists:
            data, given = _as_begun(folder, data, task, given)
        else:
            folder.check_free()
        if data is None:
            raise UsageError("name the data: there is no run to go on with")
        with at_hand(data, folder) as file:
            return _start(folder, file, task, given, show)


def _start(folder: RunFolder, data: str, task: str, given: dict[str, Any], listen: Listener) -> Any:
    kind = task_class(task)
    given = dict(given)
    name, cell = resolve_cell(given.pop("cell", "lstm"))
    text = kind.options_class(cell=name, **_of(kind.options_class, given))
    training = TrainingOptions(**_of(TrainingOptions, given))
    _check_device(training.device)
    with _setting(training) as threads:
        job = kind(data, text, replace(training, threads=threads))
        model = _built(job, cell, name)
        config = {"task": task, **job.config(), "training": asdict(job.training)}
        folder.create(config)
        folder.cut_history(0)
        job.save(folder)
        if name not in CELLS:
            _keep_cell(folder, cell, model)
        trainer = Trainer(job, model, job.training, folder, listen)
        chosen = [name for name in ("hidden", "layers", "dropout", "batch", "lr", "ema") if name not in given]
        listen(_started(job, model, config, chosen, trainer))
        trainer.run()
    return load(folder.path, cell=cell)


def _as_begun(
    folder: RunFolder, data: str | os.PathLike | None, task: str, given: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The data and the settings of a run that never came to a checkpoint."""
    config = folder.config(task)
    settings = config[task] | config["training"]
    if settings["cell"] not in CELLS:
        if "cell" not in given:
            raise UsageError(f"--cell: name the cell again: {folder.path} was begun with {settings['cell']}")
        settings["cell"] = given["cell"]
    _check_same(folder, config, task, data, given, resolve_cell(settings["cell"])[1])
    return config["data"]["path"], settings


def _resume(
    folder: RunFolder,
    data: str | os.PathLike | None,
    task: str,
    given: dict[str, Any],
    allow_code: bool,
    listen: Listener,
) -> Any:
    config = folder.config(task)
    own = given.get("cell")
    cell = cell_of_run(folder, config, own if own not in CELLS else None, allow_code)
    if folder.finished:
        listen({"event": "already finished", "run": str(folder.path)})
        return load(folder.path, cell=cell)
    kind = task_class(task)
    _check_same(folder, config, task, data, given, cell)
    training = folder.options(TrainingOptions, "training")
    _check_device(training.device)
    with _setting(training):
        job = kind(config["data"]["path"], folder.options(kind.options_class, task), training)
        if job.config()["data"]["sha256"] != config["data"].get("sha256"):
            raise RunError(
                f"{config['data']['path']} has changed since {folder.path} was begun: the run cannot go on as it was"
            )
        trainer = Trainer(job, _built(job, cell, config[task]["cell"]), training, folder, listen)
        trainer.restore()
        listen(_started(job, trainer.model, config, [], trainer))
        trainer.run()
    return load(folder.path, cell=cell)


def _keep_cell(folder: RunFolder, cell: type[Cell], model: Model) -> None:
    """A cell of one's own: its text, for a person to read, and its program, which runs without it."""
    if source := source_of(cell):
        folder.write_text("cell.py", source)
    cells = [layer.cell for layer in model.stack.layers if isinstance(layer, Recurrent)]
    if (kept := store(cells)) is not None:
        folder.write_json("program.json", kept)


@contextmanager
def _setting(training: TrainingOptions) -> Iterator[int]:
    """Threads and random numbers as the run has them; the caller's are as before afterwards."""
    with torch_threads(training.threads) as threads, torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        yield threads


def _built(job: Any, cell: type[Cell], name: str) -> Model:
    """The model, tried for one step, so that a mistake in a cell shows before anything is written."""
    try:
        model = job.build(cell).to(job.training.device)
        with torch.no_grad():
            model(torch.zeros(1, 2, dtype=torch.long, device=job.training.device))
    except UsageError:
        raise
    except Exception as error:
        if "allocate memory" in str(error):
            fewer = " or --layers" if job.settings().get("layers", 1) > 1 else ""
            raise UsageError(f"the model does not fit into memory: choose a smaller --hidden{fewer}") from error
        if name in CELLS:
            raise
        raise UsageError(f"--cell {name}: {type(error).__name__}: {error}{_line(error, cell)}") from error
    return model


def _line(error: Exception, cell: type[Cell]) -> str:
    """Where in the cell's own file it happened, if it did there."""
    file = inspect.getmodule(cell)
    own = getattr(file, "__file__", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    return f" ({own}, line {lines[-1]})" if lines else ""


def _started(job: Any, model: Any, config: dict[str, Any], chosen: list[str], trainer: Trainer) -> dict[str, Any]:
    """The first event: what is trained on what, and which settings were chosen for the person."""
    settings = config[config["task"]] | config["training"]
    return {
        "event": "started",
        "run": str(trainer.run_folder.path),
        "parameters": sum(p.numel() for p in model.parameters()),
        "settings": {name: value for name, value in settings.items() if value is not None},
        "chosen": chosen,
        "updates": trainer.budget.updates,
        "from_update": trainer.progress.update,
        "path": usual(model.stack.layers[0].cell) if trainer.options.device == "cpu" else "",
        "engine_missing": native.missing,
        "data": config["data"] | job.describe(),
    }


def _check_names(task: str, given: dict[str, Any]) -> None:
    known = option_names(TrainingOptions) | option_names(task_class(task).options_class)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UsageError(f"there is no option {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _of(kind: type, given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in option_names(kind)}


def _check_device(device: str) -> None:
    try:
        torch.zeros(1, device=device).item()  # the meta device makes tensors, and no numbers
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0][:60]
        raise UsageError(f"--device {device}: torch cannot use it here ({reason})") from error


def _check_same(
    folder: RunFolder,
    config: dict[str, Any],
    task: str,
    data: str | os.PathLike | None,
    given: dict[str, Any],
    cell: type[Cell],
) -> None:
    """A resumed run keeps its settings; what is given again must agree."""
    if data is not None and str(Path(data).resolve()) != config["data"]["path"]:
        raise UsageError(f"{folder.path} was begun on {config['data']['path']}, not on {data}")
    kept = config[task] | config["training"]
    for name, value in given.items():
        if name == "cell":
            if (value in CELLS or kept["cell"] in CELLS) and value != kept["cell"]:
                raise UsageError(f"--cell: {folder.path} was begun with {kept['cell']}; a resumed run keeps its cell")
        elif kept.get(name) != value and str(kept.get(name)) != str(value):
            raise UsageError(
                f"{flag(name)}: {folder.path} was begun with {kept.get(name)}, got {value}; "
                "a resumed run keeps its settings"
            )
    source = folder.path / "cell.py"
    if kept["cell"] not in CELLS and source.is_file() and source_of(cell) not in (None, source.read_text("utf-8")):
        raise RunError(
            f"the source of {cell.__name__} has changed since {folder.path} was begun; its own copy is "
            f"{source}: go on with --cell {source}:{cell.__name__}, or begin a new run"
        )
