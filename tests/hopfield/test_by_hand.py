"""Numbers that theory or the papers give, and dynamics against the formula written by hand."""

import math

import pytest
import torch

import unrolled
from unrolled.hopfield import maxcut, memory, tsp
from unrolled.hopfield.capacity import measure, wilson
from unrolled.hopfield.rules import holds


def test_capacities_of_theory():
    assert holds("hebb", 1000)[0] == 138
    assert holds("storkey", 1000)[0] == pytest.approx(1000 / math.sqrt(2 * math.log(1000)))
    assert holds("projection", 1000)[0] == 1000
    theory = measure(100, [2], trials=1).theory
    assert theory == pytest.approx({"0.138 N": 13.8, "N / (2 ln N)": 100 / (2 * math.log(100))})


def test_wilsons_interval():
    """The interval of 5 in 10 that textbooks print."""
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_the_constants_of_1985():
    assert tsp.Constants() == tsp.Constants(A=500, B=500, C=200, D=500, n=1.5, u0=0.02)


def test_the_bound_of_a_square():
    """Its Laplacian has the eigenvalues 0, 2, 2, 4: no cut is above 4, and the largest is 4."""
    square = torch.tensor([[0.0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]])
    found = maxcut.solve(square, starts=5)
    assert found.bound == pytest.approx(4) and found.weight == 4


def test_a_dense_memory_is_of_degree_3_if_nothing_is_said():
    patterns = torch.randint(0, 2, (4, 12), generator=torch.Generator().manual_seed(1)) * 2 - 1
    x = -patterns[:1] * patterns[1:2]
    assert torch.equal(
        unrolled.Hopfield(patterns, rule="dense").energy(x),
        unrolled.Hopfield(patterns, rule="dense", options={"degree": 3}).energy(x),
    )


@pytest.mark.parametrize("rate", [0.2, 0.7, 1.0])
@pytest.mark.parametrize("phi", ["tanh", "logistic"])
def test_one_damped_step_is_the_formula(rate, phi):
    draw = torch.Generator().manual_seed(2)
    W = torch.randn(6, 6, generator=draw, dtype=torch.float64)
    W, theta = ((W + W.T) / 2).fill_diagonal_(0.5), torch.randn(6, generator=draw, dtype=torch.float64)
    v = torch.rand(6, generator=draw, dtype=torch.float64)
    a = 1.7 * (W @ v + theta)
    wanted = (1 - rate) * v + rate * (torch.tanh(a) if phi == "tanh" else 1 / (1 + torch.exp(-a)))
    net = unrolled.Hopfield.from_weights(W, units="graded", gain=1.7, threshold=theta, phi=phi)
    found = net.recall(v, update="damped", rate=rate, steps=1).state
    cell = unrolled.HopfieldCell(6, phi=phi, gain=1.7, rate=rate, dtype=torch.float64)
    with torch.no_grad():
        cell.weight.copy_(W)
        cell.threshold.copy_(theta)
        stepped = cell.step(torch.zeros(1, 6, dtype=torch.float64), v[None])[0]
    assert torch.allclose(found, wanted) and torch.allclose(stepped, wanted)


def test_the_fixed_order_is_from_the_first_unit_to_the_last():
    draw = torch.Generator().manual_seed(3)
    for _ in range(20):
        W = torch.randn(12, 12, generator=draw, dtype=torch.float64)
        W = (W + W.T).fill_diagonal_(0)
        start = torch.randint(0, 2, (12,), generator=draw).double() * 2 - 1
        v = start.clone()
        for i in range(12):
            v[i] = torch.sign(W[i] @ v)
        net = unrolled.Hopfield.from_weights(W)
        assert torch.equal(net.recall(start, order="fixed", steps=1).state, v)


def test_mixtures_of_five_are_named():
    patterns = torch.randint(0, 2, (5, 301), generator=torch.Generator().manual_seed(4)) * 2.0 - 1
    state = torch.sign(patterns.sum(0))
    net = unrolled.Hopfield.from_weights(torch.zeros(301, 301), patterns=patterns)
    mixture = net.recall(state).mixture[0]
    assert set(mixture.patterns) == {0, 1, 2, 3, 4} and mixture.overlap == 1


def test_a_time_constant_is_kept(tmp_path):
    memory.save(unrolled.Hopfield(torch.ones(1, 20), units="graded", tau=2.5), tmp_path / "memory")
    assert memory.load(tmp_path / "memory")[0].tau == 2.5
