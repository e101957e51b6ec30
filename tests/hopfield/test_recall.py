"""The network recalls: fast dynamics against the plain loop, and against a simulation written apart from it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from unrolled.hopfield.asynchronous import plain_sweep, sweep
from unrolled.hopfield.capacity import critical_load, measure, signs
from unrolled.hopfield.rules import RULES, hebb
from unrolled.hopfield.wiring import Wiring


def draw(seed):
    return torch.Generator().manual_seed(seed)


def damaged(patterns, share, seed):
    """Copies with that share of the units flipped, exactly."""
    out = patterns.clone()
    for row in out:
        row[torch.randperm(len(row), generator=draw(seed))[: round(share * len(row))]] *= -1
        seed += 1
    return out


@settings(max_examples=30, deadline=None)
@given(
    N=st.integers(1, 150),
    P=st.integers(1, 12),
    R=st.integers(1, 9),
    K=st.integers(1, 3),
    rule=st.sampled_from(sorted(RULES)),
    kept=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_blocks_are_the_plain_loop_bit_for_bit(N, P, R, K, rule, kept, seed):
    """Even numbers of patterns give fields of exactly 0, where a unit must stay."""
    patterns = signs((K, P, N), draw(seed)).double()
    learned = RULES[rule](patterns, kept, **({"epochs": 20} if rule == "perceptron" else {}))
    wiring = Wiring(
        learned.W, torch.zeros(1, N, 1, dtype=torch.float64), "sign", scale=learned.scale, dead=learned.dead
    )
    plain = signs((K, N, R), draw(seed + 1)).double()
    fast = plain.clone()
    for k in range(3):
        order = torch.randperm(N, generator=draw(seed + k))
        before = wiring.energy(fast)
        moved = plain_sweep(wiring, plain, order)
        moved_fast, gained = sweep(wiring, fast, order)
        assert torch.equal(moved, moved_fast)
        assert torch.equal(plain, fast)
        assert torch.allclose(wiring.energy(fast) - before, gained, atol=1e-9 * N)


@settings(max_examples=30, deadline=None)
@given(
    N=st.integers(1, 90),
    P=st.integers(1, 8),
    rule=st.sampled_from(["hebb", "projection"]),
    seed=st.integers(0, 10**6),
)
def test_a_single_state_goes_the_same_way_as_one_of_many(N, P, rule, seed):
    """It is updated from flip to flip; W need not be symmetric."""
    learned = RULES[rule](signs((1, P, N), draw(seed)).double())
    W = learned.W * (torch.rand(1, N, N, generator=draw(seed + 2)) < 0.8)
    wiring = Wiring(W, torch.zeros(1, N, 1, dtype=torch.float64), "sign", scale=learned.scale, dead=learned.dead)
    many = signs((1, N, 3), draw(seed + 1)).double()
    single = many[:, :, 1:2].clone()
    for k in range(3):
        order = torch.randperm(N, generator=draw(seed + k))[: max(1, N - 2)]
        moved, gained = sweep(wiring, single, order)
        moved_many, gained_many = sweep(wiring, many, order)
        assert torch.equal(single, many[:, :, 1:2])
        assert torch.equal(moved[0, 0], moved_many[0, 1])
        if bool((W.mT == W).all()):
            assert torch.allclose(gained[0, 0], gained_many[0, 1], atol=1e-9 * N)


@pytest.mark.parametrize("phi", ["tanh", "logistic"])
def test_blocks_are_the_plain_loop_for_graded_units(phi):
    W = torch.randn(2, 130, 130, generator=draw(1), dtype=torch.float64) / 12
    theta = torch.randn(1, 130, 1, generator=draw(2), dtype=torch.float64) / 4
    wiring = Wiring(W + W.mT, theta, phi, gain=1.5)
    plain = torch.rand(2, 130, 5, generator=draw(3), dtype=torch.float64)
    fast = plain.clone()
    for k in range(3):
        order = torch.randperm(130, generator=draw(k))
        plain_sweep(wiring, plain, order)
        sweep(wiring, fast, order)
        assert torch.allclose(plain, fast, atol=1e-12)
    one, many = plain[:1, :, :1].clone(), plain[:1].clone()
    a, b = (sweep(wiring.of(torch.tensor([0])), v, order) for v in (one, many))
    assert torch.allclose(one, many[:, :, :1], atol=1e-12)
    assert torch.allclose(a[0], b[0][:, :1], atol=1e-12) and torch.allclose(a[1], b[1][:, :1], atol=1e-9)


def simulated(P, trials, rng, N=100, flips=15):
    """Exact recalls of Hebb's rule, one unit at a time, in whole numbers."""
    recalled = 0
    for _ in range(trials):
        xi = rng.choice([-1, 1], size=(P, N))
        W = xi.T @ xi
        np.fill_diagonal(W, 0)
        s = xi[0].copy()
        s[rng.choice(N, flips, replace=False)] *= -1
        h = W @ s
        moved = True
        while moved:
            moved = False
            for i in rng.permutation(N):
                if h[i] * s[i] < 0:
                    s[i] = -s[i]
                    h += 2 * W[:, i] * s[i]
                    moved = True
        recalled += int((s == xi[0]).all())
    return recalled


@pytest.mark.parametrize(("P", "seed"), [(7, 1), (13, 2), (19, 3), (25, 4)])
def test_recall_against_load_is_that_of_an_independent_simulation(P, seed):
    """Two shares of the same probability differ by more than 3.3 standard errors once in a thousand times."""
    trials = 300
    theirs = simulated(P, trials, np.random.default_rng(seed)) / trials
    ours = measure(100, [P], trials=1000, seed=seed).points[0].rate
    pooled = (trials * theirs + 1000 * ours) / (trials + 1000)
    error = math.sqrt(pooled * (1 - pooled) * (1 / trials + 1 / 1000))
    assert abs(ours - theirs) <= 3.3 * error


def test_other_rules_and_self_connections_hold_more():
    rate = {rule: measure(100, [19], rule, trials=200, seed=1).points[0].rate for rule in RULES}
    kept = measure(100, [19], trials=1000, seed=1, self_connections=True).points[0]
    without = measure(100, [19], trials=1000, seed=1).points[0]
    assert kept.low > without.high
    assert rate["projection"] > 0.95 and rate["storkey"] > 0.95 and rate["perceptron"] > 0.8
    assert rate["hebb"] < 0.4


def test_a_dense_memory_holds_many_more_than_n_over_ln_n():
    points = {
        rule: measure(40, [60], rule, trials=20, seed=1).points[0].rate for rule in ("dense", "softmax", "hebb")
    }
    assert points["softmax"] == 1.0 and points["dense"] > 0.5 and points["hebb"] == 0.0


def test_critical_load_is_above_the_theory_in_a_small_network():
    found = critical_load(150, networks=6, seed=1)
    assert 0.138 < found.low < found.load < found.high < 0.25


def test_correlated_patterns():
    """Patterns that share four units in five: Hebb's rule recalls none, projection and perceptron all of them."""
    base = signs((1, 200), draw(1)).double()
    turned = torch.rand(8, 200, generator=draw(2)) < 0.2
    patterns = torch.where(turned, -base, base)
    starts = damaged(patterns, 0.03, 5)
    assert set(unrolled.Hopfield(patterns).recall(starts).outcome) <= {"near", "spurious", "mixture"}
    for rule in ("projection", "perceptron"):
        assert unrolled.Hopfield(patterns, rule=rule).recall(starts).counts() == {"recalled": 8}


def test_linearly_dependent_patterns_cost_the_projection_nothing():
    patterns = signs((1, 5, 60), draw(1)).double()
    twice = torch.cat([patterns, -patterns[:, :2], patterns[:, 1:]], 1)
    once = RULES["projection"](patterns).W
    assert torch.allclose(RULES["projection"](twice).W, once, atol=1e-10)
    assert torch.allclose(
        (once + torch.diag_embed(RULES["projection"](patterns, True).W.diagonal(dim1=1, dim2=2))) @ patterns.mT,
        patterns.mT,
        atol=1e-9,
    )


def test_storkey_is_its_formula():
    """Written out with its sums, unit by unit."""
    xi = signs((3, 7), draw(1)).double()
    N = 7
    W = torch.zeros(N, N, dtype=torch.float64)
    for x in xi:
        old = W.clone()
        h = torch.tensor(
            [[sum(old[i, k] * x[k] for k in range(N) if k not in (i, j)) for j in range(N)] for i in range(N)]
        )
        for i in range(N):
            for j in range(N):
                W[i, j] = old[i, j] + (x[i] * x[j] - x[i] * h[j, i] - h[i, j] * x[j]) / N
    assert torch.allclose(RULES["storkey"](xi[None], True).W[0], W, atol=1e-12)


def test_the_perceptron_keeps_its_margin():
    xi = signs((1, 30, 80), draw(1)).double()
    for symmetric in (True, False):
        W = RULES["perceptron"](xi, margin=0.4, symmetric=symmetric).W[0]
        stability = xi[0] * (xi[0] @ W.T) / W.norm(dim=1)
        assert float(stability.min()) > 0.4
        assert torch.equal(W, W.T) == symmetric
        assert bool((W.diagonal() == 0).all())


def test_add_and_remove():
    patterns = signs((6, 90), draw(1)).double()
    for rule in ("hebb", "projection", "storkey"):
        whole, grown = unrolled.Hopfield(patterns, rule), unrolled.Hopfield(patterns[:5], rule)
        grown.add(patterns[5])
        assert torch.equal(grown.weights, whole.weights)
        grown.remove(0)
        assert torch.allclose(grown.weights, unrolled.Hopfield(patterns[1:], rule).weights, atol=1e-12)
        assert torch.equal(grown.patterns, patterns[1:])


def test_one_state_many_states_and_the_seed():
    patterns = signs((4, 120), draw(1)).double()
    net = unrolled.Hopfield(patterns)
    starts = damaged(patterns, 0.2, 1)
    many = net.recall(starts, seed=3)
    assert torch.equal(net.recall(starts[2], seed=3).state, many.state[2])
    assert torch.equal(net.recall(starts.numpy(), seed=3).state, many.state)
    assert many.converged and many.counts() == {"recalled": 4}
    assert torch.equal(starts, damaged(patterns, 0.2, 1))  # the caller's states are left alone


def test_what_a_state_is_called_by_its_overlap():
    """W is 0, so that each state stays where it is: 100 units, of which some differ from the only pattern."""
    pattern = torch.ones(100)
    net = unrolled.Hopfield.from_weights(torch.zeros(100, 100), patterns=pattern)
    starts = pattern.repeat(6, 1)
    for r, wrong in enumerate((0, 1, 5, 6, 99, 100)):
        starts[r, :wrong] = -1
    found = net.recall(starts)
    assert found.outcome == ("recalled", "near", "near", "spurious", "near", "reversed")
    assert found.overlaps[:, 0].tolist() == pytest.approx([1, 0.98, 0.9, 0.88, -0.98, -1])


def test_mixtures_are_named():
    """The majority of three patterns is at rest in a network of few patterns, and is said to be that."""
    patterns = signs((3, 400), draw(1)).double()
    signed = patterns * torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)[:, None]
    found = unrolled.Hopfield(patterns).recall(torch.sign(signed.sum(0)))
    assert found.outcome == ("mixture",)
    mixture = found.mixture[0]
    assert dict(zip(mixture.patterns, mixture.signs, strict=True)) == {0: 1, 1: -1, 2: 1}
    assert mixture.overlap > 0.95


def test_reversed_and_spurious():
    patterns = signs((3, 400), draw(1)).double()
    net = unrolled.Hopfield(patterns)
    assert net.recall(-patterns[1]).outcome == ("reversed",)
    lonely = unrolled.Hopfield.from_weights(torch.zeros(4, 4))
    assert lonely.recall([1.0, -1, 1, 1]).outcome == ("spurious",)


def test_energy_trace_and_kept_states():
    patterns = signs((5, 100), draw(1)).double()
    net = unrolled.Hopfield(patterns)
    found = net.recall(damaged(patterns, 0.3, 1), frames=7, keep=True)
    assert found.states.shape == (len(found.times), 5, 100) and found.energy.shape == (len(found.times), 5)
    for states, energy in zip(found.states, found.energy, strict=True):
        assert torch.allclose(net.energy(states), energy, atol=1e-9)
    assert bool((found.energy.diff(dim=0) <= 0).all())
    assert torch.equal(found.states[-1], found.state)


def test_a_unit_without_a_field_stays():
    """Two orthogonal patterns cancel half of the fields exactly, in Hebb's whole numbers."""
    W = hebb(torch.tensor([[[1.0, 1, 1, 1], [1, -1, 1, -1]]]))
    net = unrolled.Hopfield.from_weights(W.W[0])
    for state in ([1.0, 1, 1, 1], [1.0, -1, -1, -1]):
        h = net.weights @ torch.tensor(state, dtype=torch.float64)
        end = net.recall(state).state
        free = h == 0
        assert torch.equal(end[free], torch.tensor(state, dtype=torch.float64)[free])
