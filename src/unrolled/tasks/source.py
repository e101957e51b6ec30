"""Another run, whose weights a new run starts from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unrolled.cells import Cell
from unrolled.cells.registry import CELLS
from unrolled.errors import RunError, UsageError
from unrolled.models.options import ModelOptions
from unrolled.options import flag
from unrolled.runs.arrays import Arrays, digest
from unrolled.runs.folder import RunFolder
from unrolled.tasks.load import cell_from_program, cell_of_run, check_source, resolve_cell
from unrolled.tasks.opening import restored
from unrolled.training.kept import check_same, model_options
from unrolled.training.task import Task


@dataclass(frozen=True)
class Source:
    """A run as it is when another one starts from it.

    Fields:
        model: the settings of its model.
        task: its task, with its side files.
        arrays: its best weights; ``update`` is where they are from.
        cell_name, cell: its cell, as the new run is to have it.
        is_program: the cell is the program that the folder keeps.
    """

    folder: RunFolder
    model: ModelOptions
    task: Task
    arrays: Arrays
    update: int
    cell_name: str
    cell: type[Cell]
    is_program: bool

    @property
    def where(self) -> str:
        """Its folder."""
        return str(self.folder.path)

    def about(self) -> dict[str, Any]:
        """What the new run keeps of it."""
        return {
            "run": str(self.folder.path.resolve()),
            "update": self.update,
            "sha256": digest(self.arrays),
            "program": self.is_program,
        }

    def keep_cell(self, folder: RunFolder) -> None:
        """Copy a cell that is a program to the new run, with its text for a person to read."""
        folder.write_json("program.json", self.folder.read_json("program.json"))
        source = self.folder.path / "cell.py"
        if source.is_file():
            folder.write_text("cell.py", source.read_text(encoding="utf-8"))


def open_source(
    run: str | os.PathLike, kind: type[Task], cell: str | type[Cell] | None = None, allow_code: bool = False
) -> Source:
    """The run that a new one is to start from; it may be unfinished, as long as it has weights.

    Arguments:
        cell: given for the new run; it must be the source's.
        allow_code: run the cell's source that the folder keeps, in place of its program.

    Raises:
        RunError: no run there, a damaged one, of another task, or without weights.
        UsageError: another cell.
    """
    folder = RunFolder(run)
    config = folder.config()
    if config["task"].rpartition(":")[2] not in (kind.name, kind.__name__):
        raise RunError(f"{folder.path} is a run of the task {config['task']!r}, expected {kind.name!r}")
    model = model_options(folder)
    task = restored(kind, folder)
    arrays, about = folder.read_model()
    name, known, is_program = model.cell, None, False
    if cell is not None:
        name, known = resolve_cell(cell)
        if (name in CELLS or model.cell in CELLS) and name != model.cell:
            raise UsageError(
                f"--cell: {folder.path} has {model.cell}, got {name}; a run started from its weights must have the "
                "same cell: leave out --cell or --from"
            )
        check_source(folder, known)
    elif not allow_code:
        known = cell_from_program(folder, config)
        is_program = known is not None
    update = about.get("update")
    return Source(
        folder,
        model,
        task,
        arrays,
        update if isinstance(update, int) else 0,
        name,
        known or cell_of_run(folder, config, None, allow_code),
        is_program,
    )


_SAME = ("hidden", "layers", "direction", "layer_norm")
_TAKEN_OVER = ("dropout", "variational_dropout", "weight_drop", "zoneout")
_FIRST_WEIGHTS = ("recurrent_init", "forget_bias", "chrono")


def take_over(source: ModelOptions, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The settings of a run that starts from another's weights: those of its model are the source's.

    Raises:
        UsageError: a given setting contradicts the weights.
    """
    for name in _SAME:
        check_same(name, getattr(source, name), given, where)
    for name in _FIRST_WEIGHTS:
        if name in given and given[name] != getattr(ModelOptions(), name):
            raise UsageError(
                f"{flag(name)}: a run started from the weights of {where} has no initial weights to set: leave out "
                f"{flag(name)} or --from"
            )
    return {name: getattr(source, name) for name in (*_SAME, *_TAKEN_OVER)} | dict(given)


def source_of(
    from_run: str | os.PathLike | None,
    begun: RunFolder | None,
    kind: type[Task],
    cell: str | type[Cell] | None,
    allow_code: bool,
) -> Source | None:
    """The run to start from, if any: the one that is named, or that a run was begun from."""
    if begun is not None and "from" in (config := begun.config()):
        return open_again(config["from"], kind, cell, allow_code)
    return None if from_run is None else open_source(from_run, kind, cell, allow_code)


def check_from(folder: RunFolder, from_run: str | os.PathLike | None) -> None:
    """A run that goes on may name again what it started from, and nothing else."""
    if from_run is None:
        return
    begun = folder.config().get("from", {}).get("run")
    if str(Path(from_run).resolve()) != begun:
        was = f"from {begun}" if begun else "from fresh weights"
        raise UsageError(
            f"--from: {folder.path} was started {was}, got {from_run}; a resumed run keeps its own weights"
        )


def open_again(begun: dict[str, Any], kind: type[Task], cell: str | type[Cell] | None, allow_code: bool) -> Source:
    """The source of a run that was begun, and never came to a checkpoint.

    Raises:
        RunError: it is not there any more, or has other weights by now.
    """
    source = open_source(str(begun.get("run")), kind, cell, allow_code)
    if digest(source.arrays) != begun.get("sha256"):
        raise RunError(
            f"the weights of {source.folder.path} have changed since this run was started from them, and this "
            "run has made no update: delete its folder and start again"
        )
    return source
