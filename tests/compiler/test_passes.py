"""Each pass keeps the value and the gradients of random programs, in double precision."""

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from programs import gradients, material, programs

import unrolled
from unrolled.compiler import evaluate
from unrolled.compiler.differentiate import differentiate
from unrolled.compiler.fuse import fuse
from unrolled.compiler.hoist import hoist, projections
from unrolled.compiler.merge import merge
from unrolled.compiler.program import Program, View, parse
from unrolled.compiler.tidy import split_norms, tidy

SEEDS = st.integers(0, 2**31)
EXACT = {"rtol": 1e-9, "atol": 1e-9}  # double precision; sums in another order


def same(a, b):
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, **EXACT)


def check_kept(program: Program, changed: Program, seed: int):
    given_, parameters = material(program, seed)
    upstream = [torch.randn_like(given_[s.name]) for s in program.of_role("state")]
    new, grads = gradients(program, given_, parameters, upstream)
    new2, grads2 = gradients(changed, given_, parameters, upstream)
    same(new, new2)
    for name, grad in grads.items():
        other = grads2[name]
        if grad is None or other is None:
            assert (grad is None or not grad.any()) and (other is None or not other.any()), name
        else:
            torch.testing.assert_close(grad, other, **EXACT)


@settings(max_examples=150, deadline=None)
@given(programs(), SEEDS)
def test_the_text_is_the_program(program, seed):
    assert parse(program.text) == program


@settings(max_examples=200, deadline=None)
@given(programs(), SEEDS)
def test_tidying_keeps_everything(program, seed):
    changed = tidy(program)
    assert tidy(changed) == changed
    check_kept(program, changed, seed)


@settings(max_examples=200, deadline=None)
@given(programs(), SEEDS)
def test_merging_keeps_everything(program, seed):
    check_kept(program, merge(tidy(program)), seed)


@settings(max_examples=200, deadline=None)
@given(programs(), SEEDS)
def test_splitting_norms_keeps_everything(program, seed):
    split = split_norms(tidy(program))
    assert all(op.kind != "layernorm" for op in split.ops)
    check_kept(program, split, seed)


def hoisted_step(hoisted, given_, parameters):
    """One step of a hoisted program: what goes before, then the loop."""
    values = dict(given_)
    evaluate.run(hoisted.outer, values, parameters, like=next(iter(given_.values())))
    loop_inputs = {i.name: values[i.name].expand(3, -1) for i in hoisted.loop.inputs}
    return loop_inputs, evaluate.step(hoisted.loop, loop_inputs, parameters)[1]


@settings(max_examples=200, deadline=None)
@given(programs(), SEEDS)
def test_hoisting_keeps_the_value_and_leaves_no_work_on_inputs_in_the_loop(program, seed):
    hoisted = hoist(tidy(program))
    given_, parameters = material(program, seed)
    _, new = hoisted_step(hoisted, given_, parameters)
    same(new, evaluate.step(program, given_, parameters)[1])
    assert {op.out for op in hoisted.loop.ops} >= set(hoisted.loop.outputs)
    loop_only = {i.name for i in hoisted.loop.of_role("state")}
    first = set(projections(hoisted.loop))
    for op in hoisted.loop.ops:
        if loop_only & set(op.values):
            loop_only.add(op.out)
        else:
            assert (
                op in first
                or op.kind in ("add", "sub", "mul", "neg", "slice", "cat", "row", "number", "copy")
                or (op.out in hoisted.loop.outputs)
            ), op


def backward_values(backward, loop, given_, parameters, upstream):
    """Everything that the backward program computes, from what it may see."""
    values, _ = evaluate.step(loop, given_, parameters)
    seen = {i.name: values[i.name].detach() for i in backward.program.inputs if i.role != "gradient"}
    seen |= {f"d:{s.name}": d for s, d in zip(loop.of_role("state"), upstream, strict=True)}
    return values, seen


@settings(max_examples=300, deadline=None)
@given(programs(), SEEDS, st.booleans())
def test_the_backward_step_is_what_autograd_finds(program, seed, fused):
    loop = merge(split_norms(hoist(tidy(program)).loop))
    given_, parameters = material(loop, seed)
    upstream = [torch.randn_like(given_[s.name]) for s in loop.of_role("state")]
    _, wanted = gradients(loop, given_, parameters, upstream)
    backward = differentiate(loop)
    _, seen = backward_values(backward, loop, given_, parameters, upstream)
    ops = backward.program.ops
    if fused:
        ops = fuse(ops, backward.program.outputs)
    with torch.no_grad():
        plain = {name: p.detach() for name, p in parameters.items()}
        evaluate.run(ops, seen, plain, like=upstream[0])
        seen = {name: v.expand(3, -1) for name, v in seen.items()}
        found = {name: torch.zeros_like(v) for name, v in {**given_, **parameters}.items()}
        of_projection = {op.out: op for op in projections(loop)}
        for name, d in (*backward.states, *backward.inputs):
            if name in of_projection:
                op = of_projection[name]
                found[op.values[0]] += seen[d] @ op.view.of(plain[op.view.parameter])
                op.view.of(found[op.view.parameter]).add_(seen[d].t() @ given_[op.values[0]])
            else:
                found[name] += seen[d]
        for view, left, d in backward.weights:
            view.of(found[view.parameter]).add_(seen[d].t() @ seen[left])
        for view, d in backward.rows:
            view.of(found[view.parameter]).add_(seen[d].sum(0))
    for name, grad in wanted.items():
        torch.testing.assert_close(found[name], torch.zeros_like(found[name]) if grad is None else grad, **EXACT)


def test_nonsense_is_no_program():
    for text, reason in (
        ("", "it has no state"),
        ("program A\nx = y", "line 2 is not valid: 'x = y'"),
        ("program A\nstate h 3\nreturn h h", "it returns 2 values for 1 states"),
        (
            "program A\nstate h 3\nv 2 = tanh h\nreturn v",
            "the arguments or widths of v 2 = tanh h do not match",
        ),
    ):
        with pytest.raises(ValueError, match=f"^program: {reason}$"):
            parse(text)


class Long(unrolled.ElmanCell):
    """Hundreds of cheap operations on the input, one after the other."""

    def step(self, x, h):
        a = self.x(x)
        for _ in range(600):
            a = a + 0.001
        return torch.tanh(a + self.h(h))


def test_an_equation_of_many_operations_compiles():
    layer = unrolled.Recurrent(Long(3, 4))
    x = torch.randn(3, 2, 3)
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[0], unrolled.Recurrent(layer.cell, backend="eager")(x)[0])


@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_a_view_is_the_strided_part_that_it_says(rows, columns, data):
    tensor = torch.arange(float(rows * columns)).view(rows, columns)
    top, left = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    part = tensor[top : data.draw(st.integers(top + 1, rows)), left : data.draw(st.integers(left + 1, columns))]
    kinds = [part, part.t(), part[0], part[:, 0], part[:1, 0].expand(3), part[:1].expand(3, -1)]
    wanted = data.draw(st.sampled_from(kinds))
    view = View("W", wanted.storage_offset(), tuple(wanted.shape), wanted.stride())
    assert torch.equal(view.of(tensor), wanted)
    assert torch.equal(view.of(tensor.clone().requires_grad_()).detach(), wanted)
