"""Wrappers in wrappers, and wrapped cells that several threads call: against loops over the bare cell's step."""

import copy
import pickle
import threading
from functools import partial

import pytest
import torch
from torch import nn

import unrolled
from engine.looped import loop
from unrolled import Recurrent, VariationalDropout, WeightDrop, Zoneout
from unrolled.cells.shown import shown

D, H, T = 3, 4, 5
CLOSE = {"rtol": 0, "atol": 1e-12}
BACKENDS = ("engine", "eager")


def numbers(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def with_weights(cell, h):
    """The bare cell with other recurrent weights."""
    made = copy.deepcopy(cell)
    made.h.weight.data = h.detach().clone()
    return made


def masks(N, count):
    return [2 * (torch.rand(N, H) < 0.5).double() for _ in range(count)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("make", [unrolled.LSTMCell, unrolled.GRUCell])
def test_masks_of_two_variational_dropouts_multiply(make, backend):
    bare = make(D, H).double()
    cell = VariationalDropout(Zoneout(VariationalDropout(bare, 0.5), 0.0), 0.5)
    assert cell.constants == ("m_h", "m_m_h") and cell.eval().constants == ()
    cell.train()
    x, state = numbers(T, 2, D), tuple(numbers(2, H) for _ in cell.state)
    both = masks(2, 2)
    found, last = Recurrent(cell, backend=backend)(x, state, constants=tuple(both))
    gradient = torch.autograd.grad(found.sin().sum(), bare.h.weight)[0]
    expected = torch.zeros_like(gradient)
    for n in range(2):
        mask = both[0][n] * both[1][n]
        other = with_weights(bare, bare.h.weight * mask)
        y, *ends = loop(other, x[:, n : n + 1], tuple(s[n : n + 1] for s in state))
        for a, b in zip((found[:, n : n + 1], *(s[n : n + 1] for s in last)), (y, *ends), strict=True):
            torch.testing.assert_close(a, b, **CLOSE)
        expected += torch.autograd.grad(y.sin().sum(), other.h.weight)[0] * mask
    torch.testing.assert_close(gradient, expected, **CLOSE)


def test_a_mask_that_has_the_name_of_a_state_or_of_a_constant():
    class Named(unrolled.Cell):
        state = ("h", "m_h")
        constants = ("m_m_h",)

        def __init__(self):
            super().__init__(D, H)
            self.x, self.h = unrolled.Gates("a", D, H), unrolled.Gates("a", H, H, bias=False)

        def step(self, x, h, m_h, m_m_h):
            m_h = 0.5 * m_h + self.h(h)
            return torch.tanh(self.x(x) + m_h * m_m_h), m_h

    bare = Named().double()
    cell = VariationalDropout(bare, 0.5)
    assert cell.constants == ("m_m_h", "m_m_m_h")
    x, state, given, (mask,) = numbers(T, 1, D), (numbers(1, H), numbers(1, H)), numbers(1, H), masks(1, 1)
    found = Recurrent(cell, backend="engine")(x, state, constants=(given, mask))[0]
    s, other = state, with_weights(bare, bare.h.weight * mask)
    for t in range(T):
        s = other.step(x[t], *s, given)
        torch.testing.assert_close(found[t], s[0], **CLOSE)


@pytest.mark.parametrize("checkpoint", [None, 2])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rates", [(0.5, 0.0), (0.0, 0.5), (0.4, 0.5)])
def test_what_two_weight_drops_leave_is_what_both_leave(rates, backend, checkpoint):
    torch.manual_seed(0)
    bare = unrolled.GRUCell(D, 8).double()
    cell = WeightDrop(VariationalDropout(WeightDrop(bare, rates[0]), 0.0), rates[1])
    x, state = numbers(T, 2, D), (numbers(2, 8),)
    found = Recurrent(cell, backend=backend, checkpoint=checkpoint)(x, state)[0]
    left = cell.cell.cell.dropped_h_weight.detach() / bare.h.weight.detach()
    scale = 1 / ((1 - rates[0]) * (1 - rates[1]))
    assert ((left.abs() < 1e-9) | ((left - scale).abs() < 1e-9)).all()
    n, p = left.numel(), 1 / scale
    assert abs((left != 0).double().mean().item() - p) < 4 * (p * (1 - p) / n) ** 0.5
    other = with_weights(bare, bare.h.weight * left)
    wanted = loop(other, x, state)[0]
    torch.testing.assert_close(found, wanted, **CLOSE)
    gradient = torch.autograd.grad(found.sin().sum(), bare.h.weight)[0]
    expected = torch.autograd.grad(wanted.sin().sum(), other.h.weight)[0] * left
    torch.testing.assert_close(gradient, expected, **CLOSE)


def at_once(*calls):
    """Run each in a thread; what they raise."""
    failed = []

    def run(call):
        try:
            call()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return failed


def repeated(layer, x, wanted, constants=()):
    for _ in range(6):
        torch.testing.assert_close(layer(x, constants=constants)[0], wanted, **CLOSE)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", range(4))
def test_threads_with_masks_of_their_own_share_a_cell(seed, backend):
    """Each has the numbers of its own mask; a thread with the bare cell has none; the cell is left as it was."""
    torch.manual_seed(seed)
    bare = unrolled.LSTMCell(D, H).double()
    layer, plain = Recurrent(VariationalDropout(bare, 0.5), backend=backend), Recurrent(bare, backend="eager")
    x, start, tables = numbers(T, 1, D), 2 * (numbers(1, H) * 0,), (bare._modules, bare.h)
    calls = [partial(repeated, plain, x, loop(bare, x, start)[0])]
    for mask in masks(1, 4):
        wanted = loop(with_weights(bare, bare.h.weight * mask), x, start)[0]
        calls.append(partial(repeated, layer, x, wanted, (mask,)))
    assert at_once(*calls) == []
    assert (bare._modules, bare.h) == tables and type(bare._modules) is dict


def test_one_thread_sees_other_members_and_another_the_modules_own():
    module = nn.Linear(2, 2)
    own, other = module.weight, torch.zeros(2, 2)
    inside, outside = threading.Event(), threading.Event()

    def first():
        with shown([(module, "_parameters", {"weight": other})]):
            inside.set()
            assert (
                outside.wait(60) and module.weight is other and dict(module.named_parameters())["bias"] is module.bias
            )

    def second():
        assert inside.wait(60) and module.weight is own
        copies = copy.deepcopy(module), pickle.loads(pickle.dumps(module))
        assert all(type(m._parameters) is dict and torch.equal(m.weight, own) for m in copies)
        with shown([(module, "_parameters", {"bias": None})]):
            assert module.weight is own and module.bias is None
            outside.set()
        module.bias = nn.Parameter(torch.ones(2))

    table = module._parameters
    assert at_once(first, second) == []
    assert module._parameters is table and module.weight is own and torch.equal(module.bias, torch.ones(2))
