"""The operators as torch sees them: schemas, shapes, derivatives of both orders, gradients only where asked."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from engine.comparing import CLOSE, case, leaf, results
from engine.own_cells import ALL
from unrolled import Recurrent

FLAGS = ("", "state", "lengths+resets+state")


class Calls(TorchDispatchMode):
    """The arguments of each call of the engine's operators."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == "unrolled":
            self.seen.append((func, [own(a) for a in args]))
        return func(*args, **(kwargs or {}))


def own(a):
    """An argument with memory of its own."""
    if isinstance(a, list):
        return [own(b) for b in a]
    if not isinstance(a, torch.Tensor):
        return a
    a = a.detach().clone(memory_format=torch.contiguous_format)
    return a.requires_grad_() if a.is_floating_point() else a


def calls_of(c):
    with Calls() as calls:
        results(c)
    assert [func.overloadpacket.__name__ for func, _ in calls.seen] == ["scan", "scan_backward"]
    return calls.seen


QUICK = ("test_schema", "test_autograd_registration", "test_faketensor")
THOROUGH = (*QUICK, "test_aot_dispatch_dynamic")  # takes seconds


@pytest.mark.parametrize(
    ("name", "flags", "reverse", "tests"),
    [
        ("lstm", "lengths+resets+state", False, QUICK),
        ("gru", "", True, QUICK),
        ("two-widths", "resets", True, QUICK),
        ("layer-norm", "lengths", False, QUICK),
        ("modulated", "lengths+resets+state", True, THOROUGH),
    ],
)
def test_torch_accepts_the_operators(name, flags, reverse, tests):
    (scan, forward), (scan_backward, backward) = calls_of(
        case(name, T=3, N=2, D=2, H=3, flags=flags, reverse=reverse)
    )
    torch.library.opcheck(scan, forward, test_utils=tests)
    torch.library.opcheck(scan_backward, backward, test_utils=tests)


@pytest.mark.parametrize("flags", ["state", "lengths+resets"])
@pytest.mark.parametrize("name", ALL)
def test_both_derivatives_against_finite_differences(name, flags):
    c = case(name, T=3, N=2, D=2, H=2, flags=flags, reverse=flags == "state")
    layer = c.layer("engine")
    parameters = [*layer.parameters()]
    states = c.state or ()

    def run(x, *rest):
        state, constants = rest[: len(states)], rest[len(states) : len(states) + len(c.constants)]
        y, last = layer(x, state or None, c.lengths, c.resets, constants)
        return y, *last

    inputs = tuple(map(leaf, (c.x, *states, *c.constants)))
    assert torch.autograd.gradcheck(run, (*inputs, *parameters), fast_mode=name not in ("lstm", "gru", "two-widths"))
    assert torch.autograd.gradgradcheck(run, (*inputs, *parameters), fast_mode=True)


@pytest.mark.parametrize("name", ["lstm", "layer-norm", "masked"])
def test_backward_twice_over_a_retained_graph(name):
    c = case(name, flags="lengths+resets+state")
    layer, x = c.layer("engine"), leaf(c.x)
    total = layer(x, c.state, c.lengths, c.resets)[0].square().sum()
    total.backward(retain_graph=True)
    first = [t.grad.clone() for t in (x, *layer.parameters())]
    total.backward()
    for t, g in zip((x, *layer.parameters()), first, strict=True):
        torch.testing.assert_close(t.grad, 2 * g, rtol=0, atol=0)  # the same numbers, twice


@pytest.mark.parametrize("name", ALL)
def test_gradients_come_only_where_they_are_asked_for(name):
    c = case(name, flags="state")
    full = results(c)
    layer = c.layer("engine")
    for kept in [label for label, _ in layer.named_parameters() if full[f"d{label}"] is not None]:
        for label, p in layer.named_parameters():
            p.requires_grad_(label == kept)
            p.grad = None
        y, last = layer(c.x, c.state, constants=c.constants)
        torch.autograd.backward([y, *last], c.upstream)
        for label, p in layer.named_parameters():
            if label == kept:
                torch.testing.assert_close(p.grad, full[f"d{label}"], **CLOSE)
            else:
                assert p.grad is None
    layer.requires_grad_(False)
    assert not layer(c.x, c.state, constants=c.constants)[0].requires_grad


@pytest.mark.parametrize("name", ["lstm", "two-widths", "gru"])
def test_frozen_weights_still_pass_the_gradient_to_inputs_and_states(name):
    c = case(name, flags="lengths+resets+state")
    full = results(c)
    layer = c.layer("engine").requires_grad_(False)
    x, state = leaf(c.x), tuple(map(leaf, c.state))
    for wanted in ((x,), state, state[:1], (x, *state)):
        y, last = layer(
            x if any(t is x for t in wanted) else c.x,
            tuple(s if any(t is s for t in wanted) else s.detach() for s in state),
            c.lengths,
            c.resets,
        )
        found = torch.autograd.grad([y, *last], wanted, c.upstream)
        for t, g in zip(wanted, found, strict=True):
            label = "dx" if t is x else f"ds{next(k for k, s in enumerate(state) if s is t)}"
            torch.testing.assert_close(g, full[label], **CLOSE)


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("used", [(0,), (1,), (2,), (1, 2), (0, 2)])
def test_only_some_results_are_used(used, flags):
    """0 is the output, 1 and 2 are the final states."""
    c = case("lstm", flags=flags)
    grads = []
    for backend in ("engine", "eager"):
        layer, x = c.layer(backend), leaf(c.x)
        y, last = layer(x, c.state, c.lengths, c.resets)
        outcome = [(y, *last)[k] for k in used]
        grads.append(torch.autograd.grad(outcome, (x, *layer.parameters()), [c.upstream[k] for k in used]))
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


def test_a_final_state_of_a_sequence_without_steps_passes_its_gradient_on():
    c = case("lstm", flags="state").but(lengths=torch.zeros(3, dtype=torch.int64))
    state = tuple(map(leaf, c.state))
    y, last = c.layer("engine")(c.x, state, c.lengths)
    assert not y.any()
    found = torch.autograd.grad(last, state, c.upstream[1:])
    for a, b in zip(found, c.upstream[1:], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_the_gradient_of_a_gradient_penalty():
    """A training step that uses the norm of dL/dx: backward through the backward operator."""
    c = case("gru", flags="lengths+resets+state")
    penalties = []
    for backend in ("engine", "eager"):
        layer, x = Recurrent(c.cell, backend=backend), leaf(c.x)
        layer.zero_grad()
        y, _ = layer(x, c.state, c.lengths, c.resets)
        (dx,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        dx.square().sum().backward()
        penalties.append({name: p.grad.clone() for name, p in layer.named_parameters()} | {"x": x.grad})
    for name in penalties[0]:
        torch.testing.assert_close(penalties[0][name], penalties[1][name], **CLOSE)
