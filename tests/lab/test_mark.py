"""The mark of an outcome: it changes with whatever the experiment imports, and not with pictures or words."""

import inspect

import pytest

from helpers import OWN_CELL, in_forks
from unrolled.errors import UsageError
from unrolled.lab import mark as marks
from unrolled.lab.catalogue import experiment
from unrolled.lab.experiment import Experiment
from unrolled.lab.mark import mark, reached


@pytest.fixture(autouse=True)
def _read_anew():
    """Programs are read once a process; here they change."""
    marks.program.cache_clear()
    yield
    marks.program.cache_clear()


def changed(monkeypatch, name: str, by: str = "CHANGED = 1") -> None:
    """As if somebody had added a line to a module."""
    true = inspect.getsource
    monkeypatch.setattr(
        marks.inspect, "getsource", lambda module: true(module) + (f"\n{by}\n" if module.__name__ == name else "")
    )
    marks.program.cache_clear()


@pytest.mark.parametrize(
    "module",
    [
        *(
            "lab.latch",
            "lab.answers",
            "lab.task",
            "training.loop",
            "training.schedule",
            "runs.memory",
            "models.build",
        ),
        *("models.heads.bernoulli", "layers.recurrent", "engine.eager", "compiler.trace", "cells.lstm", "errors"),
    ],
)
def test_a_change_of_what_an_experiment_imports_changes_the_mark(module, monkeypatch):
    before = mark(experiment("latch"), "lstm")
    changed(monkeypatch, f"unrolled.{module}")
    assert mark(experiment("latch"), "lstm") != before


@pytest.mark.parametrize(
    "module",
    ["drawing", "lab.figures", "insight.figures", "insight.gradient_figures", "lab.adding"],
)
def test_pictures_and_other_experiments_leave_it(module, monkeypatch):
    before = mark(experiment("latch"), "lstm")
    changed(monkeypatch, f"unrolled.{module}")
    assert mark(experiment("latch"), "lstm") == before


def test_words_leave_it(monkeypatch):
    before = mark(experiment("latch"), "lstm")
    changed(monkeypatch, "unrolled.lab.latch", '# a comment\n"""A docstring."""\nEXPERIMENT = 3')
    assert mark(experiment("latch"), "lstm") == before


def test_it_reaches_all_that_python_loads_for_an_experiment():
    modules = [f"unrolled.lab.{name}" for name in ("adding", "latch", "elman_lexicon", "depth", "rtrl")]
    names = "*(n for n, m in sys.modules.items() if not hasattr(m, '__path__'))"
    lines = in_forks(*(f"import sys, {module}; print({names})" for module in modules))
    for module, line in zip(modules, lines, strict=True):
        loaded = {n for n in line.split() if n.startswith("unrolled.") and "_native" not in n}
        loaded = {n for n in loaded if not n.endswith(("figures", "drawing"))}
        assert len(loaded) > 50 and loaded <= set(reached(module)), module


def test_a_program_by_itself(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    text = (
        "from unrolled.lab import grammar\nfrom unrolled.models.heads import Softmax\n\ndef f(s, n):\n    return 1\n"
    )

    def of(name: str, content: str) -> str:
        (tmp_path / f"{name}.py").write_text(content)
        return mark(Experiment("n", "", "", "", "", "", (), __import__(name).f, f), "lstm")

    def f(setting, generator):
        return 0.0

    as_it_is = of("mark_a", text)
    assert of("mark_b", text + "# more\n") == as_it_is
    assert of("mark_c", text.replace("return 1", "return 2")) != as_it_is
    assert of("mark_d", text.replace("grammar", "adding")) != as_it_is
    assert "unrolled.models.heads.softmax" in reached("mark_a")


def test_a_cell_of_ones_own_is_a_part_of_it(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN_CELL)
    first = mark(experiment("reber"), f"{file}:Own")
    assert first != mark(experiment("reber"), "lstm") == mark(experiment("reber"), "gru")
    file.write_text(OWN_CELL + "# a comment\n")
    assert mark(experiment("reber"), f"{file}:Own") == first
    file.write_text(OWN_CELL.replace("tanh", "sin"))
    assert mark(experiment("reber"), f"{file}:Own") != first
    with pytest.raises(UsageError, match="does not exist"):
        mark(experiment("reber"), f"{tmp_path / 'none.py'}:Own")
