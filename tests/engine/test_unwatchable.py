"""What an equation reads and nothing can watch: it is refused with its line, and the equation runs step by step."""

import datetime
import itertools
import os
import random
import time
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import unrolled
from engine.looped import outputs
from unrolled import Recurrent
from unrolled.engine.prepared import Prepared, prepared


def unwatchable():
    """Each as the text of an expression, and what the refusal says."""
    yield "s.count()", "changes self.n"
    yield "s.append()", "changes self.log"
    yield "s.store()", "changes self.table"
    yield "s.classwide()", "changes"
    yield "globally()", "changes COUNT"
    yield "s.write()", "changes self.numbers"
    yield "random.random()", "draws a random number"
    yield "random.gauss(0, 1)", "draws a random number"
    yield "s.rng.random()", "draws a random number"
    yield "float(np.random.rand())", "changes the random numbers of numpy"
    yield "float(s.generator.random())", "changes self.generator"
    yield "float(np.random.default_rng().random())", "draws a random number"
    yield "time.time() * 1e-9", "reads the clock"
    yield "time.perf_counter() * 1e-9", "reads the clock"
    yield "datetime.datetime.now().year * 1e-4", "reads the clock"
    yield "float(os.environ['RATE'])", "calls the operating system"
    yield "float(os.getenv('RATE'))", "calls the operating system"
    yield "s.file()", "reads or writes files"
    yield "print('') or 0.5", "prints"
    yield "next(s.turns)", "changes cannot be detected"
    yield "s.hook(h)", "puts a hook on a tensor"
    yield "Straight.apply(h)", "defines its own gradient"
    yield "float(torch.is_grad_enabled())", "checks whether gradients are enabled"


COUNT = 0


def globally():
    global COUNT
    COUNT += 1
    return COUNT


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h):
        return h * 1

    @staticmethod
    def backward(ctx, d):
        return 3 * d


class Unwatchable(unrolled.Cell):
    seen = 0

    def __init__(self):
        super().__init__(2, 3)
        self.x = nn.Linear(2, 3)
        self.n, self.log, self.table, self.numbers = 0, [], {}, np.zeros(1)
        self.rng, self.generator, self.turns = random.Random(0), np.random.default_rng(0), itertools.count()

    def count(self):
        self.n += 1
        return self.n

    def append(self):
        self.log.append(1)
        return len(self.log)

    def store(self):
        self.table[len(self.table)] = 1
        return len(self.table)

    def classwide(self):
        type(self).seen = self.seen + 1
        return self.seen

    def write(self):
        self.numbers[0] += 1
        return float(self.numbers[0])

    def file(self):
        with open(os.devnull) as file:
            return len(file.read()) + 0.5

    def hook(self, h):
        if h.requires_grad:
            h.register_hook(lambda d: 2 * d)
        return h


@pytest.mark.parametrize(("text", "reason"), list(unwatchable()))
def test_what_cannot_be_watched_is_refused_with_its_line(text, reason, tmp_path, monkeypatch):
    monkeypatch.setenv("RATE", "0.5")
    monkeypatch.setitem(globals(), "COUNT", 0)
    monkeypatch.setattr("warnings.filters", list(warnings.filters))
    file = tmp_path / "cell.py"
    file.write_text(
        f"class Own(Unwatchable):\n    def step(s, x, h):\n        a = s.x(x)\n        rate = {text}\n"
        "        return torch.tanh(a + h) * rate\n"
    )
    made = []
    for _ in range(2):
        space = {}
        exec(compile(file.read_text(), str(file), "exec"), globals(), space)
        torch.manual_seed(0)
        made.append(space["Own"]())
    x = torch.randn(3, 1, 2)  # one sequence: such an equation knows how often it ran
    with pytest.warns(RuntimeWarning, match="runs step by step") as said:
        found = Recurrent(made[0])(x)[0]
    message = str(said[0].message)
    assert reason in message, message
    within = {"s.count": "self.n += 1", "s.append": "self.log.append", "s.store": "self.table[len", "s.write": "+= 1"}
    within |= {
        "s.classwide": "type(self).seen",
        "globally": "COUNT += 1",
        "s.hook": "h.register_hook",
        "s.file": "with open(os.devnull)",
    }
    assert within.get(text.partition("(")[0], text) in message, message
    if not any(word in text for word in ("random", "time")):
        monkeypatch.setitem(globals(), "COUNT", 0)
        torch.testing.assert_close(found, outputs(made[1], x))
    assert not isinstance(prepared(made[0]), Prepared)


def test_tracing_leaves_no_trace(monkeypatch):
    class Writing(Unwatchable):
        def step(self, x, h):
            self.last = h
            self.count(), self.append(), self.store(), self.classwide(), self.write()
            float(np.random.rand())  # noqa: NPY002
            return torch.tanh(self.x(x) + h)

    cell, numbers = Writing(), np.random.get_state()[2]  # noqa: NPY002
    assert not isinstance(prepared(cell), Prepared)
    assert (cell.n, cell.log, cell.table, Writing.seen, float(cell.numbers[0])) == (0, [], {}, 0, 0.0)
    assert not hasattr(cell, "last") and np.random.get_state()[2] == numbers  # noqa: NPY002


_ = (datetime, random, time)  # the texts above name them
