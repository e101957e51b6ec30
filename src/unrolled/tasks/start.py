"""The beginning of a run: task, model, folder, trainer."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Any

import torch

from unrolled.cells import Cell
from unrolled.cells.registry import CELLS
from unrolled.cells.source import source_of
from unrolled.compiler.stored import store
from unrolled.errors import UsageError
from unrolled.insight.watcher import GradientWatcher
from unrolled.models.build import cells_of
from unrolled.models.model import Model
from unrolled.models.options import ModelOptions
from unrolled.options import chosen_of, option_names
from unrolled.runs.folder import RunFolder
from unrolled.tasks.folds import Recipe, begin, cross_validate, select
from unrolled.tasks.load import load, resolve_cell
from unrolled.tasks.opening import check_data, configuration, with_data
from unrolled.tasks.prepare import Listener, built, setting, started, use_threads
from unrolled.tasks.registry import is_own, task_name
from unrolled.tasks.source import Source, take_over
from unrolled.training.checkpoints import check_finite
from unrolled.training.loop import Trainer
from unrolled.training.options import TrainingOptions
from unrolled.training.task import Task

_CHOSEN = ("hidden", "layers", "dropout", "batch", "lr", "weight_decay", "ema")
"""Settings that the program chooses where a person leaves them open."""


def start(
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
    """Begin a run, and train until its budget is used; the trained model.

    Arguments:
        folder: where the run is to be.
        data: a file or folder.
        kind: the task's class; named: as the person named it.
        given: the settings that were given, without the cell, which is ``own``.
        source: the run that it starts from.
        begun: the folder again, if the run was begun there and came to no checkpoint.
    """
    if source is None:
        name, cell = resolve_cell(own or "lstm")
    else:
        name, cell = source.cell_name, source.cell
        given = kind.take_over(source.task.options, take_over(source.model, given, source.where), source.where)
    task = kind(kind.options_class(**chosen_of(kind.options_class, given)))
    sizes = ModelOptions(cell=name, **chosen_of(ModelOptions, given))
    training = TrainingOptions(**chosen_of(TrainingOptions, given))
    with setting(training):
        if source is not None:
            task.begin_from(source.task, source.where)
        task = with_data(task, data, sizes, training)
        folds = task.folds
        if folds and source is not None:
            raise UsageError("--folds: every fold begins with fresh weights: leave out --from")
        if begun is not None:
            check_data(begun, task, data)
        model = built(task, cell)
        kind_named, sizes_given = named if named is not None else kind, chosen_of(ModelOptions, given)
        recipe = Recipe(kind_named, data, sizes_given, own or "lstm", training)
        if task.candidates:
            select(task, recipe, listen)
            torch.manual_seed(training.seed)
            model = built(task, cell)
        task.training = replace(task.training, threads=use_threads(task.training, model))
        chosen = [name for name in _CHOSEN if name not in given]
        config = configuration(task, task_name(kind, named), data) | {"chosen": chosen}
        if source is not None:
            file = str(source.folder.path / "model.safetensors")
            config["from"] = source.about() | task.carry_over(model, source.arrays, file)
            check_finite(model, file)
        if folds and begun is None:
            begin(folder, task, recipe)
        folder.create(config)
        folder.cut_history(0)
        task.save(folder)
        if source is not None and source.is_program:
            source.keep_cell(folder)
        elif name not in CELLS:
            keep_cell(folder, cell, model)
        if is_own(config["task"]) and (text := source_of(kind)):
            folder.write_text("task.py", text)
        if folds:
            cross_validate(folder, task, recipe, listen)
        watchers, fresh = [GradientWatcher()], source is None
        trainer = Trainer(task, model, task.training, folder, listen, watchers, fresh, chosen)
        listen(started(task, config, chosen, trainer))
        trainer.run()
    return load(folder.path, cell=cell, task=kind)


def keep_cell(folder: RunFolder, cell: type[Cell], model: Model) -> None:
    """A cell of one's own: its text, for a person to read, and its program, which runs without it."""
    if source := source_of(cell):
        folder.write_text("cell.py", source)
    if (kept := store(cells_of(model))) is not None:
        folder.write_json("program.json", kept)


def check_names(kind: type[Task], given: dict[str, Any]) -> None:
    """UsageError if there is no setting of one of these names."""
    known = option_names(TrainingOptions) | option_names(ModelOptions) | option_names(kind.options_class)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UsageError(f"there is no option {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
