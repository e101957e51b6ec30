"""load: a trained model from its run folder."""

from __future__ import annotations

import os
from typing import Any

import torch

from unrolled import cells
from unrolled.cells import Cell
from unrolled.cells.registry import CELLS
from unrolled.cells.source import class_from_source, load_cell, source_of
from unrolled.compiler.stored import SizesError, StoredCell, stored_class
from unrolled.errors import RunError, UsageError
from unrolled.runs.folder import RunFolder
from unrolled.tasks.registry import own_task, trained_class
from unrolled.training.task import Task


def load(
    run: str | os.PathLike,
    cell: str | type[Cell] | None = None,
    allow_code: bool = False,
    task: str | type[Task] | None = None,
) -> Any:
    """The trained model of a run folder.

    Arguments:
        run: the folder.
        cell: for a run with a cell of your own: the class, or ``FILE.py:Class``. Without it the program is used
            that was made of the equation when the run was begun, which runs nobody's code.
        allow_code: run the cell's source that the folder keeps instead. Only for folders you trust.
        task: for a run with a task of your own: the class, or ``FILE.py:Class``.

    Returns:
        A `Trained`, with ``evaluate``, ``generate`` and ``evidence``; for text a `TrainedText`, with ``sample``,
        ``stream`` and ``score`` besides.

    Raises:
        RunError: no run there, a damaged or newer one, or one that needs ``cell``, ``task`` or ``allow_code``.
    """
    folder = RunFolder(run)
    if cell is not None and not isinstance(cell, str):
        check_cell(cell)
    config = folder.config()
    kind = own_task(folder, task)
    trained = trained_class(config["task"])
    with torch.random.fork_rng(devices=[]):  # fresh weights are drawn, and replaced at once
        own = None if cell is not None or allow_code else cell_from_program(folder, config)
        try:
            return trained(folder, kind, own or cell_of_run(folder, config, cell, allow_code))
        except SizesError as error:
            raise RunError(f"{folder.path / 'program.json'} does not fit config.toml: {error}") from error


def cell_from_program(folder: RunFolder, config: dict[str, Any]) -> type[Cell] | None:
    """The cell that the folder keeps as a program, if it does."""
    file, weights = folder.path / "program.json", folder.path / "model.safetensors"
    if config["model"].get("cell", "") in CELLS or not os.path.lexists(file):
        return None
    if not file.is_file():
        raise RunError(f"{file} is damaged: it is not a regular file")
    try:
        cell = stored_class(folder.read_json(file.name))
    except ValueError as error:
        raise RunError(f"{file} is damaged: {error}") from error
    if weights.is_file() and cell.numbers() > weights.stat().st_size:  # before memory is taken for them
        raise RunError(f"{file} is damaged: its tensors are larger than {weights}")
    return cell


def cell_of_run(
    folder: RunFolder, config: dict[str, Any], cell: str | type[Cell] | None, allow_code: bool
) -> type[Cell]:
    """The class of a run's cell, to train on with; see `load`.

    A run that was begun with the program of its source's cell goes on with it.
    """
    name = config["model"].get("cell", "")
    if name in CELLS:
        if cell is not None and cell not in (name, CELLS[name]):
            asked = cell if isinstance(cell, str) else cell.__name__
            raise UsageError(f"--cell: {folder.path} has {name}, got {asked}: leave out --cell")
        return CELLS[name]
    if cell is not None:
        if isinstance(cell, str):
            return load_cell(cell)
        check_cell(cell)
        return cell
    if not allow_code and config.get("from", {}).get("program") and (own := cell_from_program(folder, config)):
        return own
    class_name = name.rpartition(":")[2]
    source = folder.path / "cell.py"
    if allow_code and source.is_file():
        return class_from_source(source.read_text(encoding="utf-8"), class_name, source)
    raise RunError(
        f"{folder.path} uses the custom cell {class_name}, whose code is not run by default: give "
        f"--cell FILE.py:{class_name}" + (", or --allow-code if you trust the folder" if source.is_file() else "")
    )


def resolve_cell(cell: str | type[Cell]) -> tuple[str, type[Cell]]:
    """A cell's name for the configuration, and its class."""
    if not isinstance(cell, str):
        check_cell(cell)
        built_in = [name for name, known in CELLS.items() if cell is known]
        if built_in:
            return built_in[0], cell
        return f"{cell.__module__}:{cell.__name__}", cell
    if cell in CELLS:
        return cell, CELLS[cell]
    return cell, load_cell(cell)


def check_source(folder: RunFolder, own: type[Cell] | type[Task]) -> None:
    """RunError if the text of a person's own cell or task is not the one that the run keeps."""
    what = "cell" if issubclass(own, Cell) else "task"
    kept = folder.path / f"{what}.py"
    if own in CELLS.values() or issubclass(own, StoredCell) or not kept.is_file():
        return
    if source_of(own) not in (None, kept.read_text(encoding="utf-8")):
        raise RunError(
            f"the source of {own.__name__} has changed since {folder.path} was started. The run keeps a copy in "
            f"{kept}: resume with --{what} {kept}:{own.__name__}, or start a new run"
        )


def check_cell(cell: Any) -> None:
    """UsageError that says what ``cell`` is, unless it is a class of cells."""
    if isinstance(cell, type) and issubclass(cell, Cell) and cell is not Cell:
        return
    if isinstance(cell, Cell):
        name = type(cell).__name__
        raise UsageError(f"cell: expected a class, got an instance of {name}; give {name} itself")
    kind = cell if isinstance(cell, type) else type(cell)
    if cell is not Cell and issubclass(kind, torch.nn.Module):
        own = getattr(cells, f"{kind.__name__}Cell", None)
        advice = f"; its cell is unrolled.{own.__name__}" if own else ""
        raise UsageError(f"cell: {kind.__name__} is a layer, expected a class of cells{advice}")
    raise UsageError(
        f"cell: expected {', '.join(CELLS)}, FILE.py:Class, or a subclass of unrolled.Cell, got {cell!r}"
    )
