"""Muon against singular value decompositions, and Adam's part against torch."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from unrolled.layers import Bidirectional, Convolution, LayerNorm, Stack
from unrolled.models.encoders import Linear
from unrolled.models.model import Model
from unrolled.training.muon import Muon, matrices, orthogonal


def by_values(u):
    """What the iterations do, to each singular value by itself."""
    U, s, V = torch.linalg.svd(u, full_matrices=False)
    s = s / s.square().sum().sqrt()
    for _ in range(5):
        s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
    return U * s @ V


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 3), rows=st.integers(1, 40), columns=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_singular_values_become_alike(count, rows, columns, seed):
    x = torch.randn(count, rows, columns, dtype=torch.double, generator=torch.Generator().manual_seed(seed))
    made = orthogonal(x)
    for one, before in zip(made, x, strict=True):
        torch.testing.assert_close(one, by_values(before), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(orthogonal(1e-3 * x), made, rtol=1e-6, atol=1e-6)  # whatever the size
    torch.testing.assert_close(orthogonal(x.mT), made.mT, rtol=1e-8, atol=1e-8)


def test_values_of_a_random_matrix_lie_around_1():
    values = torch.linalg.svdvals(orthogonal(torch.randn(4, 96, 128, generator=torch.Generator().manual_seed(0))))
    assert 0.6 < values.min() < 1 < values.max() < 1.25


def test_a_gradient_of_zeros_moves_nothing():
    w = torch.nn.Parameter(torch.randn(4, 3))
    w.grad, before = torch.zeros(4, 3), w.detach().clone()
    Muon([w], 0.1, {w: 1}).step()
    assert torch.equal(w.detach(), before)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(("shape", "parts"), [((6, 5), 1), ((6, 5), 3), ((4, 9), 2), ((5, 3, 2), 1)])
def test_updates_by_hand(shape, parts, decay):
    w = torch.nn.Parameter(torch.randn(shape, dtype=torch.double))
    optimizer = Muon([w], 0.05, {w: parts}, decay)
    expected, m = w.detach().clone(), torch.zeros(shape, dtype=torch.double)
    for _ in range(3):
        w.grad = torch.randn(shape, dtype=torch.double)
        optimizer.step()
        m = 0.95 * m + 0.05 * w.grad
        u = (0.05 * w.grad + 0.95 * m).flatten(1)
        expected = (1 - 0.05 * decay) * expected
        for part, to in zip(u.chunk(parts), expected.flatten(1).chunk(parts), strict=True):
            to -= 0.05 * 0.2 * math.sqrt(max(part.shape)) * by_values(part)
    torch.testing.assert_close(w.detach(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_other_parameters_are_adams(decay):
    ours, theirs = (torch.nn.Parameter(torch.ones(5)) for _ in range(2))
    pair = Muon([ours], 0.05, {}, decay), torch.optim.AdamW([theirs], 0.05, weight_decay=decay, fused=True)
    for _ in range(4):
        ours.grad = torch.randn(5)
        theirs.grad = ours.grad.clone()
        for optimizer in pair:
            optimizer.step()
    torch.testing.assert_close(ours.detach(), theirs.detach(), rtol=1e-6, atol=0)


def test_state_that_is_kept_goes_on():
    def weights():
        torch.manual_seed(0)
        return [torch.nn.Parameter(torch.randn(4, 3)), torch.nn.Parameter(torch.randn(4))]

    def stepped(optimizer, given, count):
        for k in range(count):
            for w in given:
                w.grad = torch.sin(w.detach() + k)
            optimizer.step()

    whole, halves = weights(), weights()
    one = Muon(whole, 0.1, {whole[0]: 2})
    stepped(one, whole, 2)
    first = Muon(halves, 0.1, {halves[0]: 2})
    stepped(first, halves, 2)
    second = Muon(halves, 0.1, {halves[0]: 2})
    second.load_state_dict(first.state_dict())
    stepped(one, whole, 2)
    stepped(second, halves, 2)
    assert all(torch.equal(a, b) for a, b in zip(whole, halves, strict=True))


def test_matrices_are_those_of_the_layers():
    class Free(unrolled.Cell):
        state = ("h",)

        def __init__(self, D, H):
            super().__init__(D, H)
            self.weight = torch.nn.Parameter(torch.randn(H, D))

        def step(self, x, h):
            return torch.tanh(x @ self.weight.T + h)

    conv = Convolution(3, 4, 5)
    both = Bidirectional(unrolled.LSTMCell(4, 6), unrolled.LSTMCell(4, 6))
    dropped = unrolled.WeightDrop(unrolled.GRUCell(12, 5), 0.5)
    stack = Stack([conv, LayerNorm(4), both, dropped, Free(5, 2)])
    model = Model(Linear(7, 3), stack, unrolled.Softmax(2, 9))
    found = {name: matrices(model).get(p) for name, p in model.named_parameters()}
    for name, parts in found.items():
        if not name.startswith("stack") or name.endswith("bias") or "layers.1." in name:
            assert parts is None, name
        else:
            expected = 4 if "layers.2." in name else 3 if "layers.3." in name else 1
            assert parts == expected, name
