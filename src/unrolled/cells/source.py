"""Classes from a person's own file, cells above all: load them, keep their text."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any

from unrolled.cells.cell import Cell
from unrolled.cells.registry import CELLS
from unrolled.errors import UsageError

_SOURCE = "__unrolled_source__"


def load_cell(spec: str) -> type[Cell]:
    """The cell class that ``FILE.py:Class`` names. Runs the file.

    Raises:
        UsageError: no such file or class, the file does not run, or the class is no `Cell`.
    """
    return load_class(spec, Cell, "--cell", f"{', '.join(CELLS)} or ")


def load_class(spec: str, base: type, option: str, others: str = "") -> Any:
    """The class that ``FILE.py:Class`` names. Runs the file.

    Arguments:
        base: what it must be a subclass of.
        option: what the spec was given as, for errors; others: what else it may be.

    Raises:
        UsageError: no such file or class, the file does not run, or the class is of another kind.
    """
    file, colon, name = spec.rpartition(":")
    if not colon or not file or not name.isidentifier():
        raise UsageError(f"{option}: expected {others}FILE.py:Class, got {spec!r}")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"{option}: the file {file} does not exist")
    return class_from_source(path.read_text(encoding="utf-8"), name, path, base, option)


def class_from_source(source: str, name: str, path: Path, base: type = Cell, option: str = "--cell") -> Any:
    """Run ``source`` as a module of its own; the class called ``name`` in it. Arguments as in `load_class`."""
    module_name = f"unrolled_own_{hashlib.sha256(f'{path}{source}'.encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_loader(module_name, loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    module.__dict__[_SOURCE] = source
    sys.modules[module_name] = module  # dataclasses and inspect look a class's module up there
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except Exception as error:
        raise UsageError(f"{option}: {path} cannot be imported: {type(error).__name__}: {error}") from error
    found = getattr(module, name, None)
    if found is None:
        own = [n for n, c in vars(module).items() if _is_a(c, base) and c.__module__ == module_name]
        kinds = f"{base.__name__.lower()}s"
        raise UsageError(f"{option}: {path} has no class {name}; its {kinds}: {', '.join(own) or 'none'}")
    if not _is_a(found, base):
        raise UsageError(f"{option}: {name} in {path} is not a subclass of unrolled.{base.__name__}")
    return found


def source_of(cell: type) -> str | None:
    """The text of the file that defines a class; None where there is none (typed at a prompt)."""
    kept = getattr(sys.modules.get(cell.__module__), _SOURCE, None)
    if kept is not None:  # what ran, whatever the file says now
        return kept
    try:
        file = inspect.getsourcefile(cell)
        return Path(file).read_text(encoding="utf-8") if file else None
    except (OSError, TypeError, UnicodeDecodeError):
        return None


def _is_a(candidate: object, base: type) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, base) and candidate is not base
