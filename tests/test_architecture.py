"""The layout: imports flow one way, the public surface is what it is, files hold one thing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import unrolled

SOURCE = Path(unrolled.__file__).parent

MAY_IMPORT = {
    "cells": {"errors"},
    "compiler": {"cells"},
    "engine": {"cells", "compiler", "threads"},
    "layers": {"cells", "compiler", "engine"},
    "models": {"cells", "engine", "layers", "errors", "options"},
    "runs": {"errors", "version"},
    "training": {"cells", "engine", "layers", "models", "runs", "errors", "options", "wording"},
    "tasks": {"cells", "compiler", "engine", "layers", "models", "runs", "training"}
    | {"errors", "options", "threads", "wording"},
    "hopfield": {"cells", "runs", "drawing", "errors", "wording"},
    "insight": {"cells", "engine", "layers", "models", "runs", "drawing", "wording"},
    "lab": {"cells", "engine", "layers", "models", "runs", "training", "tasks", "insight", "drawing"}
    | {"errors", "threads", "wording"},
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
NO_TORCH += ["training/options.py", "tasks/text/options.py"]


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


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_flow_one_way(room):
    for file in (SOURCE / room).rglob("*.py"):
        rooms = {m.split(".")[1] for m in imports(file) if m.startswith("unrolled.")}
        assert rooms <= MAY_IMPORT[room] | {room}, file


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
            *("backward", "RTRL", "explain", "fit", "load", "Hopfield", "HopfieldLayer"),
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
