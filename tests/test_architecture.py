"""The layout: imports flow one way, the public surface is what it is, files hold one thing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import unrolled

SOURCE = Path(unrolled.__file__).parent

MAY_IMPORT = {
    "cells": {"errors"},
    "compiler": {"cells"},
    "engine": {"cells", "compiler", "errors", "threads"},
    "layers": {"cells", "compiler", "engine"},
    "models": {"cells", "engine", "layers", "errors", "options"},
    "runs": {"errors", "version"},
    "series": set(),
    "training": {"cells", "engine", "layers", "models", "runs", "errors", "memory", "options", "wording"},
    "tasks": {"cells", "compiler", "engine", "layers", "models", "runs", "training", "insight", "series"}
    | {"drawing", "errors", "options", "threads", "wording", "workers"},
    "hopfield": {"cells", "runs", "drawing", "errors", "wording"},
    "insight": {"cells", "engine", "layers", "models", "runs", "training", "drawing", "wording"},
    "lab": {"cells", "engine", "layers", "models", "runs", "training", "tasks", "insight", "drawing"}
    | {"errors", "threads", "wording", "workers"},
    "cli": {
        "cells",
        "engine",
        "layers",
        "models",
        "runs",
        "training",
        "tasks",
        "lab",
        "insight",
        "hopfield",
        "drawing",
        "errors",
        "options",
        "threads",
        "version",
        "wording",
    },
}
"""Which rooms a room may look into, besides itself."""

NO_TORCH = ["runs", "errors.py", "options.py", "models/options.py", "threads.py", "version.py", "wording.py", "cli"]
NO_TORCH += ["workers.py", "training/options.py", "training/metric.py"]
NO_TORCH += ["tasks/text/options.py", "tasks/music/options.py"]
NO_TORCH += ["tasks/series/options.py", "tasks/classify/options.py"]
NO_TORCH += ["tasks/caption/recognising.py", "tasks/caption/options.py"]


def imports(file: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module} if node.module != "unrolled" else {f"unrolled.{a.name}" for a in node.names}
    return found


def at_import(file: Path) -> set[str]:
    """The modules that are imported when the file is."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


def module(file: Path) -> str:
    """``cells/cell.py`` is unrolled.cells.cell."""
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(file: Path, known: set[str]) -> set[str]:
    """Those among the known ones that a file imports, wherever in it: also in functions, and for types alone."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if names <= known else names | {node.module}  # modules of a package, or names in it
    return found & known


def test_every_import_of_a_file_is_seen(tmp_path):
    file = tmp_path / "file.py"
    file.write_text(
        "import room.a\nif TYPE_CHECKING:\n    from room.b import B\ndef f():\n    from room import c\n    return c\n"
    )
    assert imported_modules(file, {f"room.{name}" for name in "abcd"}) == {"room.a", "room.b", "room.c"}


def test_no_imports_go_in_a_circle():
    files = {module(file): file for file in SOURCE.rglob("*.py")}
    graph = {name: imported_modules(file, set(files)) - {name} for name, file in files.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_flow_one_way(room):
    for file in (SOURCE / room).rglob("*.py"):
        rooms = {m.split(".")[1] for m in imports(file) if m.startswith("unrolled.")}
        assert rooms <= MAY_IMPORT[room] | {room}, file


GENERAL = ("training", "cli", "insight", "runs", "models")
"""Rooms that know no task: they print, plot and keep what a task declares."""


def keys_of_tasks() -> set[str]:
    """Names that only a task knows: of its settings, its metrics and its facts."""
    from dataclasses import fields

    from unrolled.tasks.registry import options_class, sample_class, task_class, task_names

    general = {"loss", "accuracy", "seed", "length", "prime"}
    keys = set()
    for name in task_names():
        keys |= {field.name for kind in (options_class(name), sample_class(name)) for field in fields(kind)}
        keys |= {metric.name for metric in task_class(name)().metrics}
    return keys - general | {"unigram_loss", "bigram_loss", "crlf", "byte_order_marks"}


def asked_for(file: Path) -> Iterator[object]:
    """The constants that a file takes something by: ``x["key"]``, ``x.get("key")``."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            yield node.slice.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            yield from (argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant))


def test_what_a_file_asks_for_is_seen(tmp_path):
    (tmp_path / "file.py").write_text("x['a'] + y.get('b', 'c') + z['d']['e'] + f('g')")
    assert sorted(asked_for(tmp_path / "file.py")) == ["a", "b", "d", "e"]


@pytest.mark.parametrize("room", GENERAL)
def test_general_rooms_know_no_task(room):
    keys = keys_of_tasks()
    assert {"units", "bits_per_character", "perplexity"} <= keys
    for file in (SOURCE / room).rglob("*.py"):
        own = {m for m in imports(file) if m.startswith("unrolled.tasks.") and m.count(".") > 2}
        assert not own, f"{file} imports {own}"
        asked = keys & set(asked_for(file))
        assert not asked, f"{file} asks for {asked}"


def test_every_room_is_listed():
    assert {p.parent.name for p in SOURCE.glob("*/__init__.py")} == set(MAY_IMPORT)


def test_rooms_without_torch():
    for place in NO_TORCH:
        files = (SOURCE / place).rglob("*.py") if (SOURCE / place).is_dir() else [SOURCE / place]
        for file in files:
            assert not {m for m in at_import(file) if m.split(".")[0] == "torch"}, file
    code = "import sys, unrolled.runs.folder, unrolled.cli.main; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_surface():
    assert sorted(unrolled.__all__) == sorted(
        [
            *("__version__", "Cell", "Gates", "ElmanCell", "LSTMCell", "LSTM1997Cell", "GRUCell", "HopfieldCell"),
            *("Zoneout", "VariationalDropout", "WeightDrop"),
            *("Recurrent", "Bidirectional", "Stack", "Elman", "LSTM", "GRU", "from_torch", "to_torch"),
            *("Model", "OneHot", "Embedding", "Linear", "Softmax", "Regression", "sample", "beam_search"),
            *("backward", "RTRL", "explain", "fit", "load", "Task", "Hopfield", "HopfieldLayer"),
        ]
    )
    for name in unrolled.__all__:
        assert getattr(unrolled, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = unrolled.nonsense


def test_importing_unrolled_is_instant():
    code = "import sys, unrolled; assert not {'torch', 'numpy', 'rich', 'matplotlib', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_thing_has_a_docstring_with_an_example():
    for name in set(unrolled.__all__) - {"__version__"}:
        thing = getattr(unrolled, name)
        assert thing.__doc__, name
        if name != "load":  # it needs a run
            assert ">>>" in thing.__doc__, name


def test_files_are_short():
    for file in SOURCE.rglob("*.py"):
        assert len(file.read_text().splitlines()) <= 400, file
