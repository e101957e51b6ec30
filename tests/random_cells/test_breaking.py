"""Random cells find a compiler that is broken on purpose, pass by pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from random_cells.compare import run
from unrolled.compiler import differentiate, lower
from unrolled.engine import compiled, prepared

FEW = range(5_000_000, 5_000_080)


def tanh_without_slope(monkeypatch):
    monkeypatch.setitem(differentiate._RULES, ("tanh", 0), lambda t, op, d: d)


def sum_to_one_side(monkeypatch):
    monkeypatch.setitem(differentiate._RULES, ("sub", 1), lambda t, op, d: d)


def a_saved_value_elsewhere(monkeypatch):
    whole = compiled.lower_forward

    def lowered(loop, saved=(), keep="all"):
        forward = whole(loop, saved, keep)
        if len(forward.saved) < 2:
            return forward
        (a, i), (b, j), *others = forward.saved
        return replace(forward, saved=((a, j), (b, i), *others))

    monkeypatch.setattr(compiled, "lower_forward", lowered)


def fused_in_another_order(monkeypatch):
    whole = lower.fuse

    def fused(ops, kept):
        return tuple(replace(op, args=op.args[::-1]) if op.kind == "fma" else op for op in whole(ops, kept))

    monkeypatch.setattr(lower, "fuse", fused)


def merged_in_another_order(monkeypatch):
    whole = prepared.merge

    def merged(program):
        made = whole(program)
        ops = [op if op.kind != "slice" or not op.start else replace(op, start=op.start - 1) for op in made.ops]
        return replace(made, ops=tuple(ops))

    monkeypatch.setattr(prepared, "merge", merged)


def hoisted_and_forgotten(monkeypatch):
    whole = prepared.evaluate.run

    def outer(ops, values, parameters, like):
        whole(ops, values, parameters, like=like)
        values.update({op.out: values[op.out].detach() for op in ops})

    monkeypatch.setattr(prepared.evaluate, "run", outer)


@pytest.mark.parametrize(
    "broken",
    [
        tanh_without_slope,
        sum_to_one_side,
        a_saved_value_elsewhere,
        fused_in_another_order,
        merged_in_another_order,
        hoisted_and_forgotten,
    ],
)
def test_a_broken_pass_is_found(monkeypatch, broken):
    for seed in FEW:
        compiled._compiled.cache_clear()
        with monkeypatch.context() as patch:
            broken(patch)
            found = run(seed)
        compiled._compiled.cache_clear()
        if found.kind in ("different", "raised") and run(seed).kind == "equal":
            assert f"seed {seed}" in found.report() and found.source.text in found.report()
            return
    pytest.fail("no random cell noticed")
