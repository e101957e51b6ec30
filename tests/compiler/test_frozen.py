"""Programs that call gc.freeze(): what was frozen is not searched, and functions are found all the same."""

import functools
import gc
import sys

import pytest
import torch

import unrolled
from unrolled.cells import Gates, VariationalDropout
from unrolled.compiler.traced import UnsupportedError
from unrolled.compiler.watching import watched

SLOPE = 0.5


def twice(function):
    @functools.wraps(function)
    def made(x):
        return 2 * function(x)

    return made


@twice
def leaky(a):
    return torch.maximum(a, SLOPE * a)


class Leaky(unrolled.Cell):
    state = ("h",)

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = Gates("a", input_size, hidden_size)
        self.h = Gates("a", hidden_size, hidden_size, bias=False)

    @staticmethod
    def shape(a):
        return torch.tanh(leaky(a))

    @property
    def gain(self):
        return 0.5

    def step(self, x, h):
        return self.gain * self.shape(self.x.a(x) + self.h.a(h))


class Unreachable(Leaky):
    def step(self, x, h):
        return torch.hidden_from_view(self.x.a(x) + self.h.a(h))


@pytest.fixture
def frozen():
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


CELLS = {
    "of the package": lambda: VariationalDropout(unrolled.LSTMCell(3, 4), 0.2),
    "of a person": lambda: Leaky(3, 4),
}


@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS.keys())
def test_a_frozen_program_compiles_to_the_same(request, monkeypatch, make):
    cell = make()
    constants = (4,) if isinstance(cell, VariationalDropout) else ()
    before = watched(cell, constants)[0]
    request.getfixturevalue("frozen")
    traced, reads = watched(cell, constants)
    assert not isinstance(traced, UnsupportedError), traced
    assert str(traced.program) == str(before.program) and reads.hold()
    monkeypatch.setattr(sys.modules[__name__], "SLOPE", 0.1)  # read by a function behind a decorator
    assert reads.hold() == (not isinstance(cell, Leaky))


def test_what_is_not_found_is_said(request, monkeypatch):
    monkeypatch.setattr(torch, "hidden_from_view", eval("lambda a: a.tanh()"), raising=False)
    request.getfixturevalue("frozen")
    reason, _ = watched(Unreachable(3, 4))
    assert isinstance(reason, UnsupportedError) and "cannot be found behind gc.freeze()" in str(reason)
