"""Cells that do what a step should not: the right result, or one sentence that names the cell and the line."""

import re
import warnings

import pytest
import torch
from torch import nn

import unrolled
from unrolled.engine import prepared

N, H = 2, 3


def cell(step, state=("h",)):
    class Own(unrolled.Cell):
        def __init__(self):
            super().__init__(H, H)
            self.U, self.W = nn.Linear(H, H), nn.Linear(H, H)
            self.w = nn.Parameter(torch.randn(H))

    Own.state = state
    Own.step = step
    return Own().double()


def deep(self, x, h):
    u = self.U(x)
    for _ in range(500):
        h = torch.tanh(1.001 * h + u)
    return h


def recursive(self, x, h, depth=5):
    return h if depth == 0 else recursive(self, x, torch.tanh(self.W(h) + self.U(x)), depth - 1)


def in_place_on_its_own(self, x, h):
    u = self.U(x)
    u += h
    return torch.tanh(u)


def plastic(self, x, h):
    with torch.no_grad():
        self.w.mul_(0.5)
    return h * self.w + self.U(x)


RIGHT = {
    "a thousand operations": (deep, ("h",)),
    "recursion": (recursive, ("h",)),
    "the same tensor twice": (lambda c, x, h, m: ((a := torch.tanh(c.U(x) + h)), a), ("h", "m")),
    "its input": (lambda c, x, h: x, ("h",)),
    "its state": (lambda c, x, h: h, ("h",)),
    "states exchanged": (lambda c, x, h, m: (m, h), ("h", "m")),
    "a view of a parameter": (lambda c, x, h: c.w.expand_as(h), ("h",)),
    "rows of a parameter": (lambda c, x, h: c.W.weight[:1].expand_as(h), ("h",)),
    "a number": (lambda c, x, h: torch.full_like(h, 0.5), ("h",)),
    "in place on its own": (in_place_on_its_own, ("h",)),
    "across the batch": (lambda c, x, h: c.U(x).sum(0, keepdim=True).expand_as(h), ("h",)),
}


@pytest.mark.parametrize(("step", "state"), RIGHT.values(), ids=RIGHT)
def test_right_whatever_it_is(step, state):
    own = cell(step, state)
    x = torch.randn(4, N, H, dtype=torch.float64, requires_grad=True)
    s = [torch.randn(N, H, dtype=torch.float64) for _ in state]
    outputs, now = [], tuple(s)
    for t in range(4):
        made = own.step(x[t], *now)
        now = made if isinstance(made, tuple) else (made,)
        outputs.append(now[0])
    wanted = torch.stack(outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some run step by step
        found = unrolled.Recurrent(own)(x, tuple(s))[0]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    if wanted.requires_grad:
        of = [x, *own.parameters()]
        for p, a, b in zip(
            of,
            torch.autograd.grad(found.sin().sum(), of, allow_unused=True),
            torch.autograd.grad(wanted.sin().sum(), of, allow_unused=True),
            strict=True,
        ):
            a, b = (torch.zeros_like(p) if d is None else d for d in (a, b))
            torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


def _raise(error):
    raise error


WRONG = {
    "raises": (lambda c, x, h: _raise(ArithmeticError("too much")), ArithmeticError, "too much"),
    "two states": (lambda c, x, h: (h, h), ValueError, r"Own: step returned 2 states, expected 1: h"),
    "a width": (lambda c, x, h: h[:, :2], ValueError, r"returned h with shape \(2, 2\), expected \(2, 3\)"),
    "a list of numbers": (lambda c, x, h: [1, 2], ValueError, "step returned list, expected a tensor"),
    "nothing": (lambda c, x, h: None, ValueError, "step returned NoneType, expected a tensor"),
    "whole numbers": (
        lambda c, x, h: (h > 0).long(),
        ValueError,
        "h with dtype torch.int64, expected torch.fl",
    ),
    "conditions": (lambda c, x, h: h > 0, ValueError, r"h with dtype torch.bool, expected torch.float64"),
    "its state in place": (lambda c, x, h: h.mul_(0.5) + c.U(x), ValueError, r"step \(line \d+ of .*\) changes h in"),
    "its input in place": (
        lambda c, x, h: h + x.mul_(0.5),
        ValueError,
        r"step \(line \d+ of .*\) changes x in",
    ),
    "a parameter in place": (plastic, ValueError, r"step \(line \d+ of .*\) changes the parameter w in place"),
    "endless recursion": (lambda c, x, h: c.step(x, h), RecursionError, "recursion"),
    "another width": (lambda c, x, h: torch.tanh(c.U(h[:, :2])), RuntimeError, "shapes cannot be multiplied"),
}


@pytest.mark.parametrize(("step", "error", "message"), WRONG.values(), ids=WRONG)
def test_one_sentence_and_no_word_of_running_slowly(step, error, message):
    own = cell(step)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(error, match=message):
            unrolled.Recurrent(own)(torch.randn(4, N, H, dtype=torch.float64))


def test_what_it_prints_is_printed_at_each_step(capsys):
    def loud(self, x, h):
        print("a step")
        return h + self.U(x)

    with pytest.warns(
        RuntimeWarning, match=r"Own runs step by step, many times slower: step prints \(line \d+: print"
    ):
        unrolled.Recurrent(cell(loud))(torch.zeros(4, N, H, dtype=torch.float64))
    assert capsys.readouterr().out == "a step\n" * 4


def test_a_refusal_is_a_sentence_with_the_line(monkeypatch):
    monkeypatch.setattr(prepared, "_warned", set())
    own = cell(RIGHT["across the batch"][0])
    with pytest.warns(RuntimeWarning) as told:
        unrolled.Recurrent(own)(torch.zeros(4, N, H, dtype=torch.float64))
    said = str(told[0].message)
    assert re.fullmatch(r"Own runs step by step, many times slower: step sums across .* batch \(line \d+: .*\)", said)
