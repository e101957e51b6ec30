"""fit: train a model on data, into a run folder."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from unrolled.cells import Cell
from unrolled.cells.source import source_of
from unrolled.compiler.stored import store
from unrolled.errors import RunError, UsageError
from unrolled.layers import Recurrent
from unrolled.models import Model
from unrolled.runs.folder import RunFolder
from unrolled.tasks.load import cell_of_run, load, resolve_cell
from unrolled.tasks.registry import task_class
from unrolled.tasks.text.build import CELLS
from unrolled.threads import limited, suited, using
from unrolled.training.loop import Trainer
from unrolled.training.options import TrainingOptions, flag, option_names

Listener = Callable[[dict[str, Any]], None]

_WAITS = 16
"""How often, about, threads wait for one another in an update: in the scans, the head, the loss, the optimizer."""


def fit(
    data: str | os.PathLike | None,
    run: str | os.PathLike,
    *,
    task: str = "text",
    resume: bool = False,
    allow_code: bool = False,
    listen: Listener | None = None,
    **options: Any,
) -> Any:
    """Train a model on ``data`` and keep it in the folder ``run``; the trained model.

    Arguments:
        data: a file or folder; None when resuming on the same one.
        run: a new folder.
        task: ``"text"``.
        resume: go on with an unfinished run from its last checkpoint, as if it had not stopped. Its
            settings are its own; options given again must be the same.
        allow_code: when resuming a run with a cell of your own, run the source that it keeps.
        listen: called with each event, a dictionary; see `training.loop.Trainer`.
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
    listen = listen or _ignore
    given = {name: value for name, value in options.items() if value is not None}
    _check_names(task, given)
    with folder.locked():
        if resume and folder.exists and folder.has_checkpoint:
            return _resume(folder, data, task, given, allow_code, listen)
        if resume and folder.exists:
            data, given = _as_begun(folder, data, task, given)
        else:
            folder.check_free()
        if data is None:
            raise UsageError("name the data: there is no run to go on with")
        return _start(folder, str(data), task, given, listen)


def _start(folder: RunFolder, data: str, task: str, given: dict[str, Any], listen: Listener) -> Any:
    kind = task_class(task)
    given = dict(given)
    name, cell = resolve_cell(given.pop("cell", "lstm"))
    text = kind.options_class(cell=name, **_of(kind.options_class, given))
    training = TrainingOptions(**_of(TrainingOptions, given))
    _check_device(training.device)
    with _setting(training):
        job = kind(data, text, training)
        model = _built(job, cell, name)
        threads = _threads(job.training, model)
        torch.set_num_threads(threads)
        job.training = replace(job.training, threads=threads)
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
def _setting(training: TrainingOptions) -> Iterator[None]:
    """Threads and random numbers as the run has them; the caller's are as before afterwards."""
    with using(training.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        yield


def _threads(training: TrainingOptions, model: Model) -> int:
    """What was asked for, one a core at most; else what is suited to the work of an update."""
    if training.threads is not None:
        return limited(training.threads)
    assert training.batch is not None
    steps = training.batch * (training.update_every or training.bptt or 100)
    operations = 6.0 * steps * sum(p.numel() for p in model.parameters())  # forward, and backward twice as many
    return suited(limited(torch.get_num_threads()), operations / _WAITS)


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
            raise UsageError("the model does not fit into memory: choose a smaller --hidden or --layers") from error
        if name in CELLS:
            raise
        raise UsageError(f"--cell {name}: {type(error).__name__}: {error}") from error
    return model


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
        elif name == "threads" and kept.get(name) == limited(value):
            continue
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


def _ignore(event: dict[str, Any]) -> None:
    pass
