"""Cells from a person's own file: load the class, keep its text."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from pathlib import Path

from unrolled.cells.cell import Cell
from unrolled.errors import UsageError

_SOURCE = "__unrolled_source__"


def load_cell(spec: str) -> type[Cell]:
    """The cell class that ``FILE.py:Class`` names. Runs the file.

    Raises:
        UsageError: no such file or class, the file does not run, or the class is no `Cell`.
    """
    file, colon, name = spec.rpartition(":")
    if not colon or not file or not name.isidentifier():
        raise UsageError(f"--cell: expected lstm, gru, elman or FILE.py:Class, got {spec!r}")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"--cell: the file {file} does not exist")
    return class_from_source(path.read_text(encoding="utf-8"), name, path)


def class_from_source(source: str, name: str, path: Path) -> type[Cell]:
    """Run ``source`` as a module of its own; the cell class called ``name`` in it."""
    module_name = f"unrolled_cell_{hashlib.sha256(f'{path}{source}'.encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_loader(module_name, loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    module.__dict__[_SOURCE] = source
    sys.modules[module_name] = module  # dataclasses and inspect look a class's module up there
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except Exception as error:
        raise UsageError(f"--cell: {path} cannot be imported: {type(error).__name__}: {error}") from error
    cell = getattr(module, name, None)
    if cell is None:
        cells = [n for n, c in vars(module).items() if _is_cell(c) and c.__module__ == module_name]
        raise UsageError(f"--cell: {path} has no class {name}; its cells: {', '.join(cells) or 'none'}")
    if not _is_cell(cell):
        raise UsageError(f"--cell: {name} in {path} is not a subclass of unrolled.Cell")
    return cell


def source_of(cell: type[Cell]) -> str | None:
    """The text of the file that defines ``cell``; None where there is none (typed at a prompt)."""
    kept = getattr(sys.modules.get(cell.__module__), _SOURCE, None)
    if kept is not None:  # what ran, whatever the file says now
        return kept
    try:
        file = inspect.getsourcefile(cell)
        return Path(file).read_text(encoding="utf-8") if file else None
    except (OSError, TypeError, UnicodeDecodeError):
        return None


def _is_cell(candidate: object) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, Cell) and candidate is not Cell
