"""A compiled program never goes stale: each place where a number can live, and each way to change it there.

The truth is a plain loop over ``step``.
"""

import argparse
import array
import collections
import dataclasses
import datetime
import functools
import gc
import sys
import time
import types
import weakref

import numpy as np
import pytest
import torch
from torch import nn

import unrolled
from engine.looped import outputs
from unrolled import Recurrent
from unrolled.cells.wrappers import _MaskedGates
from unrolled.compiler.watching import watched
from unrolled.engine.prepared import Prepared, prepared

RATE = 0.5
TABLE = {"rate": 0.5}


def helper(h):
    return RATE * h


class Slots:
    __slots__ = ("rate",)

    def __init__(self):
        self.rate = 0.5


@dataclasses.dataclass
class Config:
    rate: float = 0.5
    inner: types.SimpleNamespace = dataclasses.field(default_factory=lambda: types.SimpleNamespace(rate=0.5))

    @property
    def doubled(self):
        return 2 * self.rate


class Static:
    rate = 0.5


class Base(unrolled.Cell):
    bound = 0.5

    def __init__(self):
        super().__init__(2, 3)
        self.x = unrolled.Gates("a", 2, 3)
        self.h = nn.Linear(3, 3)

    def rate(self):
        raise NotImplementedError

    def step(self, x, h):
        return torch.tanh(self.x.a(x) + self.h(h)) * self.rate() + h * 0.5


def number(value):
    return float(value)


PLACES = {
    "attribute": ("s.cfg", "0.5", "s.cfg", ["s.cfg = 0.1"]),
    "dataclass": ("s.cfg", "Config()", "s.cfg.rate", ["s.cfg.rate = 0.1", "s.cfg = Config(0.1)"]),
    "nested": ("s.cfg", "Config()", "s.cfg.inner.rate", ["s.cfg.inner.rate = 0.1", "s.cfg.inner = Slots1()"]),
    "property": ("s.cfg", "Config()", "s.cfg.doubled", ["s.cfg.rate = 0.1"]),
    "namespace": (
        "s.cfg",
        "types.SimpleNamespace(rate=0.5)",
        "s.cfg.rate",
        ["s.cfg.rate = 0.1", "del s.cfg.rate; s.cfg.rate = 0.2"],
    ),
    "argparse": (
        "s.cfg",
        "argparse.Namespace(rate=0.5)",
        "s.cfg.rate",
        ["s.cfg.rate = 0.1", "vars(s.cfg)['rate'] = 0.1"],
    ),
    "slots": ("s.cfg", "Slots()", "s.cfg.rate", ["s.cfg.rate = 0.1"]),
    "list": (
        "s.cfg",
        "[0.5]",
        "s.cfg[0]",
        ["s.cfg[0] = 0.1", "s.cfg = [0.1]", "s.cfg.insert(0, 0.1)", "s.cfg.__setitem__(0, np.float64(0.1))"],
    ),
    "tuple": ("s.cfg", "(0.5, 1)", "s.cfg[0]", ["s.cfg = (0.1, 1)"]),
    "deque": ("s.cfg", "collections.deque([0.5])", "s.cfg[0]", ["s.cfg.appendleft(0.1)"]),
    "dict": (
        "s.cfg",
        "{'rate': 0.5}",
        "s.cfg['rate']",
        ["s.cfg['rate'] = 0.1", "s.cfg = {'rate': 0.1}", "s.cfg.update(rate=-0.0)"],
    ),
    "proxy": ("s.cfg", "types.MappingProxyType(TABLE)", "s.cfg['rate']", ["TABLE['rate'] = 0.1"]),
    "object in a list": ("s.cfg", "[Config()]", "s.cfg[0].rate", ["s.cfg[0].rate = 0.1", "s.cfg[0] = Config(0.1)"]),
    "object in a dict": ("s.cfg", "{1: [Slots()]}", "s.cfg[1][0].rate", ["s.cfg[1][0].rate = 0.1"]),
    "set": ("s.cfg", "{0.5}", "max(s.cfg)", ["s.cfg.add(1.5)", "s.cfg = {0.1}"]),
    "array": (
        "s.cfg",
        "np.array([0.5])",
        "float(s.cfg[0])",
        ["s.cfg[0] = 0.1", "s.cfg = np.array([0.1])", "s.cfg *= 2"],
    ),
    "large array": ("s.cfg", "np.full(20000, 0.5)", "float(s.cfg[7])", ["s.cfg[7] = 0.1"]),
    "scalar of numpy": ("s.cfg", "np.float32(0.5)", "float(s.cfg)", ["s.cfg = np.float32(0.1)"]),
    "array of objects": ("s.cfg", "np.array([Config(), None])", "s.cfg[0].rate", ["s.cfg[0] = Config(0.1)"]),
    "array of Python": ("s.cfg", "array.array('d', [0.5])", "s.cfg[0]", ["s.cfg[0] = 0.1"]),
    "bytes": ("s.cfg", "bytearray(b'ab')", "s.cfg[0] / 200", ["s.cfg[0] = 7"]),
    "tensor read as a list": (
        "s.cfg",
        "torch.tensor([0.5])",
        "s.cfg.tolist()[0]",
        ["s.cfg.fill_(0.1)", "s.cfg = torch.tensor([0.1])"],
    ),
    "class attribute": ("Cell.own", "0.5", "s.own", ["Cell.own = 0.1", "s.own = 0.1"]),
    "attribute of a base": ("s.cfg", "0", "s.bound", ["Base.bound = 0.1", "Cell.bound = 0.1", "s.bound = 0.1"]),
    "class of a helper": ("s.cfg", "Static()", "s.cfg.rate", ["Static.rate = 0.1", "s.cfg.rate = 0.1"]),
    "a class": ("s.cfg", "Static", "s.cfg.rate", ["Static.rate = 0.1"]),
    "global": ("s.cfg", "0", "RATE", ["globals().__setitem__('RATE', 0.1)"]),
    "global table": ("s.cfg", "0", "TABLE['rate']", ["TABLE['rate'] = 0.1"]),
    "global of a function": (
        "s.cfg",
        "0",
        "helper(1.0)",
        ["globals().__setitem__('RATE', 0.1)", "globals().__setitem__('helper', lambda h: 0.1)"],
    ),
    "name computed": ("s.cfg", "Config()", "getattr(s.cfg, 'ra' + 'te')", ["s.cfg.rate = 0.1"]),
    "vars": ("s.cfg", "Slotless()", "max(vars(s.cfg).values())", ["s.cfg.other = 0.9"]),
    "closure": ("s.cfg", "closed(k := [0.5])", "s.cfg()", ["s.cfg.__closure__[0].cell_contents = 0.1"]),
    "list in a closure": ("s.cfg", "closed_list()", "s.cfg()", ["s.cfg.__closure__[0].cell_contents[0] = 0.1"]),
    "default": ("s.cfg", "defaulted()", "s.cfg()", ["s.cfg.__defaults__ = (0.1,)"]),
    "default by keyword": ("s.cfg", "keyworded()", "s.cfg()", ["s.cfg.__kwdefaults__['rate'] = 0.1"]),
    "default that changes": ("s.cfg", "listed()", "s.cfg()", ["s.cfg.__defaults__[0][0] = 0.1"]),
    "partial": ("s.cfg", "functools.partial(first, Config())", "s.cfg()", ["s.cfg.args[0].rate = 0.1"]),
    "method": ("s.cfg", "Config().inner.__class__(rate=0.5)", "s.cfg.rate", ["s.cfg.rate = 0.1"]),
    "weak reference": ("s.cfg", "weakref.ref(STATIC)", "s.cfg().rate", ["STATIC.rate = 0.1"]),
    "code": ("s.cfg", "defaulted()", "s.cfg()", ["s.cfg.__code__ = (lambda rate=0: 0.1).__code__"]),
    "wrapped": (
        "s.cfg",
        "functools.cache(defaulted())",
        "s.cfg.__wrapped__()",
        ["s.cfg.__wrapped__.__defaults__ = (0.1,)"],
    ),
}
STATIC = Static()


class Slotless:
    def __init__(self):
        self.rate = 0.5


def Slots1():  # noqa: N802
    made = Slots()
    made.rate = 0.1
    return made


def closed(values):
    rate = values[0]
    return lambda: rate


def closed_list():
    rates = [0.5]
    return lambda: rates[0]


def defaulted():
    def f(rate=0.5):
        return rate

    return f


def keyworded():
    def f(*, rate=0.5):
        return rate

    return f


def listed():
    def f(rates=[0.5]):  # noqa: B006
        return rates[0]

    return f


def first(config):
    return config.rate


@pytest.fixture
def _kept(monkeypatch):
    """What a change may reach of this file is as before after it."""
    for owner, name in ((Base, "bound"), (Static, "rate")):
        monkeypatch.setattr(owner, name, 0.5)
    for name in ("RATE", "helper", "STATIC"):
        monkeypatch.setitem(globals(), name, globals()[name])
    monkeypatch.setitem(TABLE, "rate", 0.5)
    vars(STATIC).clear()


def expressed(where, text):
    return eval(text, globals(), where)


CASES = [(place, change) for place, (_, _, _, changes) in PLACES.items() for change in changes]


@pytest.mark.usefixtures("_kept")
@pytest.mark.parametrize(("place", "change"), CASES)
def test_a_change_is_seen(place, change):
    target, value, read, _ = PLACES[place]
    space = {}
    exec(f"class Cell(Base):\n    def rate(s):\n        return {read}", globals(), space)
    Cell = space["Cell"]
    torch.manual_seed(0)
    cell, x = Cell(), torch.randn(4, 2, 2)
    where = {"s": cell, "Cell": Cell}
    exec(f"{target} = {value}", globals() | where)
    layer = Recurrent(cell, backend="engine")
    before = layer(x)[0]
    torch.testing.assert_close(before, outputs(cell, x))
    made = prepared(cell)
    layer(x)
    assert prepared(cell) is made
    exec(change, globals() | where if "globals()" not in change else globals(), where)
    after = layer(x)[0]
    torch.testing.assert_close(after, outputs(cell, x))
    assert not torch.allclose(before, after)


@pytest.mark.parametrize("owner", ["instance", "class"])
def test_step_itself_may_be_exchanged(owner, monkeypatch):
    for make in (lambda: unrolled.LSTMCell(2, 3), lambda: unrolled.Zoneout(unrolled.LSTMCell(2, 3), 0.5).eval()):
        torch.manual_seed(0)
        cell, x = make(), torch.randn(4, 2, 2)
        layer, inner = Recurrent(cell), getattr(cell, "cell", cell)
        layer(x)

        def other(self, x, h, c):
            return torch.tanh(self.x.i(x)), c + 1

        if owner == "class":
            monkeypatch.setattr(unrolled.LSTMCell, "step", other)
        else:
            inner.step = types.MethodType(other, inner)
        torch.testing.assert_close(layer(x), Recurrent(cell, backend="eager")(x))
        monkeypatch.undo()


def test_equal_numbers_do_not_compile_again():
    class Rated(Base):
        def rate(self):
            return self.cfg[0]

    cell = Rated()
    cell.cfg = [0.25]
    made = prepared(cell)
    cell.cfg = [float("0.25")]
    cell.note = "unread"
    assert prepared(cell) is made


def test_a_cell_goes_when_nobody_holds_it():
    def used():
        cell = Base()
        cell.rate = lambda: cell.bound
        assert isinstance(prepared(cell), Prepared)
        return weakref.ref(cell)

    gone = used()
    gc.collect()
    assert gone() is None


def test_copies_are_their_own():
    import copy

    class Rated(Base):
        def rate(self):
            return self.cfg.rate

    cell, x = Rated(), torch.randn(3, 2, 2)
    cell.cfg = Config()
    Recurrent(cell)(x)
    for other in (copy.deepcopy(cell), copy.copy(cell)):
        other.cfg = Config(0.1)
        torch.testing.assert_close(Recurrent(other)(x)[0], outputs(other, x))
        torch.testing.assert_close(Recurrent(cell)(x)[0], outputs(cell, x))


def test_what_hears_of_garbage_is_not_the_equations():
    """Collected in the middle of it, by a library that measures how long that takes."""
    heard = []

    def hear(phase, info):
        heard.append(time.perf_counter())

    class Rated(Base):
        def step(self, x, h):
            made = [[k] for k in range(50)]
            return torch.tanh(self.x.a(x) + h) + 0.0 * len(made)

    cell, before = Rated(), gc.get_threshold()
    gc.callbacks.append(hear)
    gc.set_threshold(1)
    try:
        found = prepared(cell)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(hear)
    assert isinstance(found, Prepared) and heard and gc.isenabled()


def test_what_another_thread_runs_meanwhile_is_not_this_cells():
    """A function that the equation makes as it runs is another one in each thread, with values of its own."""
    elsewhere = _MaskedGates(unrolled.LSTMCell(3, 3).h, torch.ones(1, 3))
    running = elsewhere.i  # as if a thread were in the midst of a step
    cell = unrolled.VariationalDropout(unrolled.LSTMCell(3, 3), 0.5)
    reads = watched(cell, (3,))[1]
    marked = [*reads.marks.same, *reads.marks.equal]
    assert marked and all(m.owner is not elsewhere and m.owner is not vars(elsewhere) for m in marked)
    assert running(torch.zeros(1, 3)).shape == (1, 3)


def test_sys_profile_is_as_before():
    before = sys.getprofile()
    prepared(Base())
    assert sys.getprofile() is before


_ = (argparse, array, collections, datetime, functools, np, time)  # the texts above name them
