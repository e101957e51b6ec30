"""A mark of the program that outcomes come from: outcomes of another program are not used."""

from __future__ import annotations

import ast
import hashlib
import inspect
from functools import cache
from importlib import import_module
from importlib.util import find_spec

from unrolled.cells.registry import CELLS
from unrolled.cells.source import source_of
from unrolled.lab.experiment import Experiment
from unrolled.lab.network import cell_class


def mark(experiment: Experiment, cell: str) -> str:
    """What an outcome of an experiment and a cell depends on, in twelve digits.

    It covers the experiment's module and all modules of the package that it imports, itself or through others, and
    the file of a cell of one's own: their programs, without comments and docstrings. Pictures and what the experiment
    says of itself are left out, and so is the compiled engine, which tests hold to the equations.

    Raises:
        UsageError: there is no such cell.
    """
    module = inspect.getmodule(experiment.run)
    programs = [program(name)[0] for name in reached(module.__name__ if module is not None else "")]
    own = "" if cell in CELLS else ast.dump(_bare(source_of(cell_class(cell)) or ""))
    return hashlib.sha256("".join([*programs, own]).encode()).hexdigest()[:12]


def reached(module: str) -> list[str]:
    """A module, and those of the package that it imports, itself or through others, without pictures; sorted."""
    known: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        known.add(name)
        waiting |= program(name)[1] - known
    return sorted(known)


@cache
def program(module: str) -> tuple[str, frozenset[str]]:
    """A module's program, and the modules of the package that it imports, without pictures."""
    tree = _bare(inspect.getsource(import_module(module)))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and _is_ours(node.module or ""):
            names |= {home for alias in node.names for home in _homes(node.module or "", alias.name)}
    parts = [name.split(".") for name in names]  # and the packages around them, which Python runs first
    names |= {".".join(part[:k]) for part in parts for k in range(2, len(part))}
    return ast.dump(tree), frozenset(name for name in names if _is_ours(name) and not _draws(name))


def _is_ours(module: str) -> bool:
    """Whether a module is of the package and has a text, as the compiled engine has not."""
    spec = find_spec(module) if module.split(".")[0] == "unrolled" else None
    return spec is not None and str(spec.origin).endswith(".py")


def _draws(module: str) -> bool:
    """Whether a module makes pictures: its name says so, or it is what all that make some share."""
    return module == "unrolled.drawing" or module.endswith(("figure", "figures"))


def _homes(module: str, name: str) -> set[str]:
    """The modules that say what ``name`` is where it is imported from ``module``: packages hand names on."""
    origin = import_module(module)
    if not hasattr(origin, "__path__"):
        return {module}
    if find_spec(f"{module}.{name}") is not None:
        return {f"{module}.{name}"}
    return {module, str(getattr(getattr(origin, name), "__module__", module))}


def _bare(text: str) -> ast.Module:
    """A program without docstrings, and without the description of an experiment."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _says(part)]  # type: ignore[attr-defined]
    return tree


def _says(part: ast.AST) -> bool:
    """Whether a statement is a docstring, or the description of an experiment."""
    if isinstance(part, ast.Expr):
        return isinstance(part.value, ast.Constant)
    named = part.targets if isinstance(part, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id == "EXPERIMENT" for target in named)
