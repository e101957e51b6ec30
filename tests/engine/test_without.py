"""Where the engine was not built, and for cells that it cannot run: everything works, and says how."""

import os
import subprocess
import sys
import textwrap
import warnings

import pytest
import torch
from click.testing import CliRunner
from torch import nn

import unrolled
import unrolled.engine.native
from engine.own_cells import Attending
from helpers import PATIENCE
from unrolled import Recurrent
from unrolled.cli.doctor import doctor

HIDDEN = """
    import sys
    sys.modules["unrolled.engine._native"] = None
"""


def run_hidden(program):
    """A process in which the engine's module cannot be imported."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(HIDDEN) + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=os.environ | {"COLUMNS": "80"},
        check=False,
    )


def test_layers_and_the_doctor_work_without_the_engine():
    done = run_hidden("""
        import torch, unrolled
        from unrolled.engine import native
        from unrolled.layers.paths import usual
        assert not native.available() and native.paths() == [] and native.path() == native.threads() == ""
        x = torch.randn(4, 2, 3)
        for cell in (unrolled.LSTMCell(3, 5), unrolled.GRUCell(3, 5), unrolled.GRUCell(3, 5, reset="after")):
            y, last = unrolled.Recurrent(cell)(x, lengths=[4, 0])
            torch.testing.assert_close(y, unrolled.Recurrent(cell, backend="eager")(x, lengths=[4, 0])[0])
            y.sum().backward()
            assert all(p.grad is not None for p in cell.parameters())
            print(usual(cell))
        try:
            unrolled.Recurrent(unrolled.GRUCell(3, 5), backend="engine")(x)
        except ValueError as error:
            print(error)
        sys.argv = ["unrolled", "doctor"]
        from unrolled.cli.main import main
        main()
    """)
    assert done.returncode == 0, done.stderr
    *paths, why = done.stdout.splitlines()[:4]
    assert paths == ["torch", "eager", "torch"]
    assert "the engine cannot run this call" in why and "not built" in why and "_native" in why
    doctor_says = " ".join(done.stdout.split())
    assert "engine not built" in doctor_says and "C++ compiler" in doctor_says
    assert "gru eager" in doctor_says and "lstm torch" in doctor_says


def test_the_doctor_names_the_path_of_the_engine():
    said = CliRunner().invoke(doctor).output
    assert unrolled.engine.native.path() in said and "not built" not in said


class Sorting(unrolled.Cell):
    """An operation that no program has."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("h", input_size, hidden_size)

    def step(self, x, h):
        h = torch.sort(self.x.h(x) + h, dim=1).values
        return torch.tanh(h)


class OfItself(unrolled.Cell):
    """The value of a number decides."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = nn.Linear(input_size, hidden_size)

    def step(self, x, h):
        if h.sum() > 0:
            return torch.tanh(self.x(x))
        return torch.relu(self.x(x))


class AcrossTheBatch(unrolled.Cell):
    """Sequences that see each other."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = nn.Linear(input_size, hidden_size)

    def step(self, x, h):
        return torch.tanh(self.x(x) + h - h.mean(0, keepdim=True))


CANNOT = [
    (Sorting, "aten::sort", "h = torch.sort(self.x.h(x) + h, dim=1).values"),
    (OfItself, "", "if h.sum() > 0:"),
    (AcrossTheBatch, "across the sequences", "return torch.tanh(self.x(x) + h - h.mean(0, keepdim=True))"),
]


@pytest.mark.parametrize(("kind", "operation", "line"), CANNOT)
def test_a_cell_that_the_compiler_cannot_take_warns_once(kind, operation, line):
    cell, x = kind(3, 4), torch.randn(5, 2, 3)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        y, _ = Recurrent(cell)(x)
        Recurrent(cell)(x)
        Recurrent(kind(3, 4))(x)
    assert [w.category for w in seen] == [RuntimeWarning]
    message = str(seen[0].message)
    assert kind.__name__ in message and operation in message and line in message
    torch.testing.assert_close(y, Recurrent(cell, backend="eager")(x)[0])
    with pytest.raises(ValueError, match="the engine cannot run this call"):
        Recurrent(cell, backend="engine")(x)


def test_what_has_four_dimensions_runs_step_by_step_and_says_so_once():
    class Image(unrolled.Cell):
        constants = ("image",)

        def step(self, x, h, image):
            return torch.tanh(x + h + image.mean((2, 3)))

    torch.manual_seed(0)
    cell, x, image = Image(2, 2), torch.randn(5, 2, 2, requires_grad=True), torch.randn(2, 2, 3, 3)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        y, _ = Recurrent(cell)(x, constants=(image,))
        Recurrent(cell)(x, constants=(image,))
    torch.testing.assert_close(y, Recurrent(cell, backend="eager")(x, constants=(image,))[0])
    y.sum().backward()
    assert [w.category for w in seen] == [RuntimeWarning]
    assert "Image" in str(seen[0].message) and "image" in str(seen[0].message)


def test_attention_over_vectors_runs_in_the_engine():
    torch.manual_seed(0)
    cell, x, memory = Attending(3, 4), torch.randn(5, 2, 3), torch.randn(2, 6, 2)
    y, _ = Recurrent(cell, backend="engine")(x, constants=(memory,))
    torch.testing.assert_close(y, Recurrent(cell, backend="eager")(x, constants=(memory,))[0])
