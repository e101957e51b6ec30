"""Verification on first use: a compiler that is broken on purpose, pass by pass, is not believed."""

import time
import warnings
from dataclasses import replace

import pytest
import torch
from torch import nn

import unrolled
from unrolled.cli.doctor import doctor
from unrolled.compiler import aten, builder, differentiate, fuse, hoist, lower, merge, tidy
from unrolled.compiler.program import Op
from unrolled.engine import compiled, native, prepared, verify
from unrolled.engine.prepared import Prepared


class Gated(unrolled.Cell):
    """Two states, gates, a map of the input that the gradient needs, a cat, slices, a norm."""

    state = ("h", "c")

    def __init__(self, input_size=3, hidden_size=4):
        super().__init__(input_size, hidden_size)
        H = hidden_size
        self.x, self.h = unrolled.Gates("i g u", input_size, H), unrolled.Gates("i g", H, H, bias=False)
        self.V, self.mix = nn.Linear(input_size, H, bias=False), nn.Linear(2 * H, H)
        self.norm = nn.LayerNorm(H)

    def step(self, x, h, c):
        i = torch.sigmoid(self.x.i(x) + self.h.i(h))
        g = torch.tanh(self.x.g(x) + self.h.g(h))
        u = self.V(x) * self.x.u(x).exp()
        kept = i * c + (1 - i) * g * u
        mixed = self.mix(torch.cat([kept, h], 1))
        new = torch.where(mixed > 0, torch.tanh(mixed), 0.1 * mixed) + self.V(x) * h
        return self.norm(new), kept


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    """What was compiled and verified before is forgotten, before and after."""
    monkeypatch.delenv("UNROLLED_VERIFY", raising=False)
    for _ in range(2):
        compiled._compiled.cache_clear()
        verify._known.clear()
        prepared._warned.clear()
        yield
        break
    compiled._compiled.cache_clear()
    verify._known.clear()


def _swapped(function):
    """A pass whose result has the first two arguments of its last subtraction or product the wrong way round."""

    def broken(*args, **kwargs):
        made = function(*args, **kwargs)
        ops = list(made.ops)
        k = max(k for k, op in enumerate(ops) if op.kind == "mul")
        ops[k] = replace(ops[k], args=(ops[k].args[0], ops[k].args[0]))
        return replace(made, ops=tuple(ops))

    return broken


def _handler(r, result, a):
    return aten._each(r, result, "tanh", a)


def _break_trace(patch):
    patch.setitem(aten.HANDLERS, torch.ops.aten.sigmoid, _handler)


def _break_tidy(patch):
    patch.setattr(tidy, "share", _swapped(tidy.share))


def _break_slices(patch):
    sliced = tidy._sliced

    def broken(op, source, *rest):
        made = sliced(op, source, *rest)
        if made and made[-1].view is not None and made[-1].kind == "linear":
            made = [*made[:-1], replace(made[-1], view=replace(made[-1].view, offset=0))]
        return made

    patch.setattr(tidy, "_sliced", broken)


def _break_cats(patch):
    split = tidy.split_cats

    def broken(program):
        made = split(program)
        ops = [replace(op, args=op.args[:1] * 2) if op.kind == "add" and op.out == "%0" else op for op in made.ops]
        for k, op in enumerate(ops):
            if op.kind == "linear" and op.view.parameter == "mix.weight" and op.view.offset:
                ops[k] = replace(op, view=replace(op.view, offset=0))
        return replace(made, ops=tuple(ops))

    patch.setattr(tidy, "split_cats", broken)


def _break_hoist(patch):
    whole = hoist.hoist

    def broken(program):
        made = whole(program)
        outer = tuple(replace(op, kind="tanh") if op.kind == "exp" else op for op in made.outer)
        return replace(made, outer=outer)

    patch.setattr(prepared, "hoist", broken)


def _break_merge(patch):
    joined = merge._joined

    def broken(run, names):
        whole, starts = joined(run, names)
        return whole, dict(zip(starts, reversed(starts.values()), strict=True))

    patch.setattr(merge, "_joined", broken)


def _break_differentiate(patch):
    patch.setitem(differentiate._RULES, ("sigmoid", 0), lambda t, op, d: d)


def _break_needed(patch):
    patch.setattr(
        differentiate, "_wanting", lambda loop, constants: {i.name for i in loop.inputs} | set(loop.outputs)
    )


def _break_fuse(patch):
    patch.setitem(fuse._PATTERNS, ("add", 0, "mul"), ("fma", "p0 p0 u1"))
    patch.setitem(fuse._PATTERNS, ("add", 1, "mul"), ("fma", "p0 p0 u0"))


def _break_places(patch):
    place = lower._place

    def broken(*args):
        placed, sizes = place(*args)
        return {value: (array, 0) for value, (array, _) in placed.items()}, sizes  # pieces over one another

    patch.setattr(lower, "_place", broken)


def _break_saving(patch):
    forward = lower.lower_forward

    def broken(loop, saved=(), keep="all"):
        made = forward(loop, saved, keep)
        first, *rest = made.plan.before
        return (
            replace(made, plan=replace(made.plan, before=(*rest, first._replace(add=not first.add))))
            if saved
            else made
        )

    patch.setattr(compiled, "lower_forward", broken)


def _break_builder(patch):
    instructions = builder.Builder._instructions

    def broken(self, op, out, args):
        made = instructions(self, op, out, args)
        return [i._replace(sum=None) for i in made]

    patch.setattr(builder.Builder, "_instructions", broken)


def _break_failing(patch):
    def broken(*args):
        raise AssertionError("no such value")

    patch.setattr(compiled, "lower_backward", broken)


BREAKS = {name.removeprefix("_break_"): f for name, f in globals().items() if name.startswith("_break_")}


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
def test_a_broken_pass_is_found_and_the_equation_runs(broken, monkeypatch):
    torch.manual_seed(0)
    x = torch.randn(4, 3, 3, dtype=torch.float64)
    cell = Gated().double()
    assert isinstance(prepared.prepared(cell), Prepared)
    wanted = unrolled.Recurrent(cell, backend="eager")(x)[0]
    compiled._compiled.cache_clear()
    verify._known.clear()
    again = Gated().double()
    again.load_state_dict(cell.state_dict())
    broken(monkeypatch)
    with pytest.warns(RuntimeWarning, match="Gated runs step by step.*(differs|compiler failed)"):
        found = unrolled.Recurrent(again)(x)[0]
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    with pytest.raises(ValueError, match="cannot run this call"):
        unrolled.Recurrent(again, backend="engine")(x)


def test_the_value_and_its_line_are_named(monkeypatch):
    _break_trace(monkeypatch)
    made = prepared.prepared(Gated())
    assert "i differs from the equation (line" in str(made)
    assert "i = torch.sigmoid(self.x.i(x) + self.h.i(h))" in str(made)


@pytest.mark.parametrize(("mode", "verified"), [("first", True), ("always", True), ("off", False), ("", True)])
def test_what_is_asked_for(mode, verified, monkeypatch):
    monkeypatch.setenv("UNROLLED_VERIFY", mode)
    assert prepared.prepared(Gated()).verified is verified
    assert prepared.prepared(unrolled.LSTMCell(3, 4)).verified is (mode == "always")
    said = str(unrolled.explain(Gated()))
    assert ("Verified against its equation" in said) is verified and ("UNROLLED_VERIFY=off" in said) is not verified
    assert "Built in" in str(unrolled.explain(unrolled.GRUCell(3, 4))) or mode == "always"


def test_the_doctor_says_what_is_verified(monkeypatch, capsys):
    for mode, said in (("first", "each cell of your own"), ("always", "every cell"), ("off", "no cell")):
        monkeypatch.setenv("UNROLLED_VERIFY", mode)
        doctor.main([], standalone_mode=False)
        assert f"{said}" in capsys.readouterr().out


def test_another_wish_is_refused(monkeypatch):
    monkeypatch.setenv("UNROLLED_VERIFY", "sometimes")
    with pytest.raises(ValueError, match="UNROLLED_VERIFY is 'sometimes', expected one of first, always, off"):
        unrolled.Recurrent(Gated())(torch.zeros(2, 2, 3))


def test_once_a_process(monkeypatch):
    calls = []
    draw = verify._Draw
    monkeypatch.setattr(verify, "_Draw", lambda *a: calls.append(a) or draw(*a))
    for _ in range(3):
        unrolled.Recurrent(Gated())(torch.zeros(2, 2, 3))
    assert len(calls) == 1


def test_nothing_of_the_caller_changes():
    cell = Gated()
    before = {name: p.clone() for name, p in cell.state_dict().items()}
    random = torch.get_rng_state()
    unrolled.Recurrent(cell)(torch.zeros(2, 2, 3))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(p, before[name]) for name, p in cell.state_dict().items())
    assert all(p.grad is None for p in cell.parameters())


@pytest.mark.parametrize(
    "step",
    [
        lambda c, x, h: (h + c.w * torch.zeros_like(h)) / torch.zeros_like(h),
        lambda c, x, h: torch.log(h) * c.w,
        lambda c, x, h: torch.sign(h) + c.w * x,
        lambda c, x, h: (h > 0) * 0.1 + c.w * x,
        lambda c, x, h: c.w.expand_as(h),
    ],
    ids=["no number", "NaN", "steps", "a float32 in between", "a parameter"],
)
def test_right_cells_are_believed_whatever_they_compute(step):
    class Odd(unrolled.Cell):
        def __init__(self):
            super().__init__(3, 3)
            self.w = nn.Parameter(torch.randn(3))

    Odd.step = step
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(prepared.prepared(Odd()), Prepared)


def test_a_cell_of_usual_size_costs_little():
    """Not timed to the millisecond: ten times what it takes on a quiet machine."""
    cell = Gated(256, 256)
    made = prepared.prepared(cell)
    verify._known.clear()
    began = time.process_time()
    assert not verify.fault(cell, made, ())
    assert time.process_time() - began < 5


def test_the_plan_holds_what_the_test_breaks():
    """The cell above has all that is broken: maps before the loop, saved projections, sums, a cat, a norm."""
    made = prepared.prepared(Gated())
    kinds = {op.kind for op in made.traced.program.ops}
    assert {"linear", "sigmoid", "mul", "where", "layernorm"} <= kinds and made.hoisted.outer
    assert isinstance(made.loop.ops[0], Op) and native.available()
