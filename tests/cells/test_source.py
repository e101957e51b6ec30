"""Cells from a person's own file."""

import pytest

import unrolled
from unrolled.cells.source import load_cell, source_of
from unrolled.errors import UsageError

SOURCE = """
import torch, unrolled

class Leaky(unrolled.Cell):
    state = ("h",)

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("a", input_size, hidden_size)
        self.h = unrolled.Gates("a", hidden_size, hidden_size, bias=False)

    def step(self, x, h):
        return 0.5 * h + 0.5 * torch.tanh(self.x(x) + self.h(h))

class NoCell:
    pass
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def test_loads_the_class_and_its_source(file):
    cell = load_cell(f"{file}:Leaky")
    assert issubclass(cell, unrolled.Cell)
    assert cell(3, 2).output_size == 2
    assert source_of(cell) == SOURCE


def test_two_files_of_one_name_and_a_file_that_changes(tmp_path):
    cells = []
    for folder, factor in (("a", "0.5"), ("b", "0.25")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(SOURCE.replace("0.5", factor))
        cells.append(load_cell(f"{tmp_path / folder / 'mine.py'}:Leaky"))
    (tmp_path / "a" / "mine.py").write_text("changed")
    assert [source_of(cell) for cell in cells] == [SOURCE, SOURCE.replace("0.5", "0.25")]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("leaky", "expected lstm, gru, elman, lstm1997 or FILE.py:Class, got 'leaky'"),
        ("{file}:Missing", "has no class Missing; its cells: Leaky"),
        ("{file}:NoCell", "not a subclass of unrolled.Cell"),
        ("{file}x:Leaky", "does not exist"),
    ],
)
def test_says_what_is_wrong(file, spec, message):
    with pytest.raises(UsageError, match=message):
        load_cell(spec.format(file=file))


def test_a_file_that_does_not_run(tmp_path):
    (tmp_path / "bad.py").write_text("1 / 0")
    with pytest.raises(UsageError, match="cannot be imported: ZeroDivisionError"):
        load_cell(f"{tmp_path / 'bad.py'}:Leaky")
