"""The energy falls, where theory says that it does; cycles appear only where theory lets them."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from unrolled.errors import UsageError
from unrolled.hopfield.asynchronous import plain_sweep
from unrolled.hopfield.wiring import integral, safety

SEEDS = st.integers(0, 10**6)
GAINS = st.floats(0.05, 50)


def network(N, seed, units="graded", gain=1.0, phi="tanh", own=0.0, theta=0.3, tau=1.0):
    """Random symmetric W, with a diagonal of that size, and random thresholds."""
    draw = torch.Generator().manual_seed(seed)
    W = torch.randn(N, N, generator=draw, dtype=torch.float64)
    W = (W + W.T) / math.sqrt(2 * N)
    W.fill_diagonal_(own)
    threshold = theta * torch.randn(N, generator=draw, dtype=torch.float64)
    settings = {"phi": phi, "tau": tau} if units == "graded" else {}
    return unrolled.Hopfield.from_weights(W, units=units, gain=gain, threshold=threshold, **settings)


def start(net, R, seed):
    draw = torch.Generator().manual_seed(seed + 1)
    x = torch.rand(R, net.patterns.shape[1], generator=draw, dtype=torch.float64)
    if net.units == "binary":
        return torch.where(x < 0.5, -1.0, 1.0).double()
    return 2 * x - 1 if net.phi == "tanh" else x


def rises(energy):
    """The largest rise between two entries, in units of the energy's rounding."""
    return float((energy[1:] - energy[:-1]).max() / (np.finfo(float).eps * (1 + energy.abs().max()) * 100))


@pytest.mark.parametrize("phi", ["tanh", "logistic"])
def test_the_integral_is_that_of_the_inverse(phi):
    """By the trapezoidal rule, from the middle of the range."""
    middle, end = (0.0, 0.95) if phi == "tanh" else (0.5, 0.97)
    v = torch.linspace(middle, end, 20001, dtype=torch.float64)
    inverse = torch.atanh(v) if phi == "tanh" else torch.logit(v)
    exact = integral(v, phi)
    assert abs(float(torch.trapezoid(inverse, v) - exact[-1])) < 1e-7
    assert abs(float(exact[0])) < 1e-15


@settings(max_examples=25, deadline=None)
@given(
    seed=SEEDS,
    gain=GAINS,
    units=st.sampled_from(["binary", "graded"]),
    phi=st.sampled_from(["tanh", "logistic"]),
    own=st.floats(0, 2),
)
def test_no_update_of_one_unit_raises_the_energy(seed, gain, units, phi, own):
    """Unit by unit, each energy computed anew, with self-connections from 0 up."""
    net = network(12, seed, units, gain, phi, own)
    v = start(net, 4, seed).T[None].clone()
    energies = [net.network.energy(v)[0]]
    order = torch.randint(0, 12, (60,), generator=torch.Generator().manual_seed(seed))
    for i in order:
        plain_sweep(net.network, v, i[None])
        energies.append(net.network.energy(v)[0])
    assert rises(torch.stack(energies)) <= 1


def test_negative_self_connections_can_raise_it():
    """So the test above can fail: one unit that opposes itself."""
    v = torch.full((1, 1, 1), 0.9, dtype=torch.float64)
    with pytest.warns(UserWarning, match="negative self-connection"):
        net = unrolled.Hopfield.from_weights(torch.tensor([[-3.0]]), units="graded", gain=4.0)
    before = net.energy(v[0])
    plain_sweep(net.network, v, torch.tensor([0]))
    assert float(net.energy(v[0])) > float(before)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, gain=GAINS, phi=st.sampled_from(["tanh", "logistic"]), tau=st.sampled_from([0.2, 1.0, 5.0]))
def test_the_energy_falls_in_continuous_time(seed, gain, phi, tau):
    """Between steps of the integration, up to its accuracy."""
    net = network(10, seed, gain=gain, phi=phi, tau=tau)
    found = net.recall(start(net, 3, seed), update="continuous", time=30.0)
    assert float((found.energy[1:] - found.energy[:-1]).max()) <= 1e-6 * (1 + float(found.energy.abs().max()))


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_continuous_time_ends_where_the_map_stays_and_the_energy_is_flat(tau):
    net = network(30, 3, gain=3.0, tau=tau)
    found = net.recall(start(net, 5, 3), update="continuous")
    assert found.converged
    v = found.state
    assert torch.allclose(torch.tanh(3.0 * tau * (v @ net.weights + net.threshold)), v, atol=1e-4)
    v = v.clamp(-1 + 1e-6, 1 - 1e-6).requires_grad_()
    net.network.energy(v.T[None]).sum().backward()
    assert float((v.grad * (1 - v.detach() ** 2)).abs().max()) < 1e-4


def test_the_integration_is_accurate():
    """One unit without connections: u(t) = tau Theta + (u(0) - tau Theta) exp(-t / tau)."""
    net = unrolled.Hopfield.from_weights(torch.zeros(1, 1), units="graded", gain=1.0, threshold=0.7, tau=2.0)
    found = net.recall([-0.5], update="continuous", time=5.0, keep=True)
    u0 = math.atanh(-0.5)
    for t, state in zip(found.times, found.states, strict=True):
        u = 1.4 + (u0 - 1.4) * math.exp(-t / 2)
        assert abs(float(state) - math.tanh(u)) < 1e-4


def test_scipy_agrees_on_a_network():
    integrate = pytest.importorskip("scipy.integrate")
    net = network(8, 5, gain=2.0)
    x = start(net, 1, 5)[0]
    W, theta = net.weights.numpy(), net.threshold.numpy()
    exact = integrate.solve_ivp(
        lambda t, u: -u + W @ np.tanh(2 * u) + theta, (0, 4), np.arctanh(x.numpy()) / 2, rtol=1e-9, atol=1e-9
    )
    found = net.recall(x, update="continuous", time=4.0)
    assert np.allclose(found.state.numpy(), np.tanh(2 * exact.y[:, -1]), atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, share=st.floats(0.05, 0.98), rate=st.floats(0.1, 1.0), phi=st.sampled_from(["tanh", "logistic"]))
def test_below_the_safe_gain_no_synchronous_step_raises_the_energy(seed, share, rate, phi):
    """The condition on gain and smallest eigenvalue, for the plain and for the damped map."""
    net = network(15, seed, phi=phi)
    limit = net.safety().gain * (2 / rate - 1)
    net = network(15, seed, phi=phi, gain=share * limit)
    found = net.recall(start(net, 4, seed), update="damped", rate=rate, steps=300)
    assert rises(found.energy) <= 1
    assert 2 not in found.period
    assert rate <= net.safety().rate or math.isclose(rate, net.safety().rate)


def test_above_it_a_two_cycle_is_found_reported_and_explained():
    """Two units that inhibit each other: all units at once, they exchange their values for ever."""
    W = torch.tensor([[0.0, -1.0], [-1.0, 0.0]])
    net = unrolled.Hopfield.from_weights(W, units="graded", gain=2.0)
    known = net.safety()
    assert (known.smallest, known.gain, known.safe) == (-1.0, 1.0, False)
    with pytest.warns(
        UserWarning, match=r"1 of 1 .* cycle.* eigenvalue of W is -1.* gain below 1.* rate below 0.667"
    ):
        found = net.recall([0.5, 0.5], update="synchronous")
    assert found.outcome == ("cycle",) and found.period == (2,) and not found.converged
    assert net.recall([0.5, 0.5], update="damped", rate=0.6).converged
    assert net.recall([0.5, 0.5]).converged
    assert (
        unrolled.Hopfield.from_weights(W, units="graded", gain=0.9).recall([0.5, 0.5], update="synchronous").converged
    )


def test_binary_two_cycle_and_the_safe_case():
    W = torch.tensor([[0.0, -1.0], [-1.0, 0.0]])
    net = unrolled.Hopfield.from_weights(W)
    with pytest.warns(UserWarning, match="asynchronous"):
        assert net.recall([1.0, 1.0], update="synchronous").period == (2,)
    assert not net.safety().safe and net.safety().gain is None
    draw = torch.Generator().manual_seed(1)
    states = torch.randint(0, 2, (500, 16), generator=draw) * 2 - 1
    kept = unrolled.Hopfield(states[:2], self_connections=True)
    assert kept.safety().safe
    assert kept.recall(states, update="synchronous").converged


def test_swinging_to_rest_is_no_cycle():
    """Close below the safe gain each step turns the state over, a little smaller than before."""
    W = torch.tensor([[0.0, -1.0], [-1.0, 0.0]])
    found = unrolled.Hopfield.from_weights(W, units="graded", gain=0.99).recall(
        [0.1, 0.1], update="synchronous", steps=5000
    )
    assert found.period == (1,)


@pytest.mark.parametrize("length", [3, 5, 12])
def test_longer_cycles_of_a_w_that_is_not_symmetric(length):
    """A ring that hands a single 1 on: as long a cycle as the ring."""
    ring = torch.roll(torch.eye(length), 1, dims=0)
    with pytest.warns(UserWarning, match="not symmetric"):
        net = unrolled.Hopfield.from_weights(ring)
    x = -torch.ones(length)
    x[0] = 1
    with pytest.warns(UserWarning, match="not symmetric"):
        found = net.recall(x, update="synchronous")
    assert found.period == (length,) and found.energy is None
    for refused in (lambda: net.energy(x), net.safety):
        with pytest.raises(UsageError, match="not symmetric"):
            refused()


@pytest.mark.parametrize(("dtype", "gain"), [(torch.float64, 1 - 1e-6), (torch.float32, 0.9995)])
def test_a_swing_that_shrinks_slowly_is_no_cycle(dtype, gain):
    """Just below the safe gain: it comes to rest in the end, however long that takes."""
    W = [[0.0, -1.0], [-1.0, 0.0]]
    net = unrolled.Hopfield.from_weights(W, units="graded", gain=gain, dtype=dtype)
    assert net.safety().safe
    assert "cycle" not in net.recall([0.01, 0.01], update="synchronous", steps=300).outcome


@pytest.mark.parametrize(("phi", "slope", "tau"), [("tanh", 1.0, 1.0), ("logistic", 0.25, 1.0), ("tanh", 1.0, 3.0)])
def test_the_safe_gain_is_exact(phi, slope, tau):
    """Of two units that oppose each other: 1 over the steepest slope, over tau."""
    W = [[0.0, -1.0], [-1.0, 0.0]]
    net = unrolled.Hopfield.from_weights(W, units="graded", phi=phi, tau=tau)
    assert net.safety().gain == pytest.approx(1 / (slope * tau))


def test_symmetric_up_to_rounding():
    signs = torch.randint(0, 2, (50, 200), generator=torch.Generator().manual_seed(1)).double() * 2 - 1
    W = torch.linalg.pinv(signs) @ signs
    assert not torch.equal(W, W.T)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = unrolled.Hopfield.from_weights(W)
    assert net.symmetric and torch.equal(net.weights, net.weights.T)
    W[0, 1] += 1e-6
    with pytest.warns(UserWarning, match="not symmetric"):
        unrolled.Hopfield.from_weights(W)


def test_unfinished_is_said():
    net = network(40, 1, "binary")
    found = net.recall(start(net, 20, 1), steps=1)
    assert "unfinished" in found.outcome and not found.converged


@pytest.mark.parametrize("rule", ["dense", "softmax"])
def test_dense_energies_fall_and_flips_follow_them(rule):
    draw = torch.Generator().manual_seed(1)
    patterns = torch.randint(0, 2, (30, 16), generator=draw).double() * 2 - 1
    theta = 0.5 * torch.randn(16, generator=draw, dtype=torch.float64)
    options = {"degree": 4} if rule == "dense" else {}
    net = unrolled.Hopfield(patterns, rule=rule, gain=0.2, threshold=theta, options=options)
    x = torch.randint(0, 2, (6, 16), generator=draw).double() * 2 - 1
    found = net.recall(x, frames=16, keep=True)
    assert rises(found.energy) <= 1
    for states, energy in zip(found.states, found.energy, strict=True):
        assert torch.allclose(net.energy(states), energy)
    for i in range(16):  # at rest, no single flip lowers the energy
        other = found.state.clone()
        other[:, i] *= -1
        assert bool((net.energy(other) >= found.energy[-1] - 1e-9).all())


def test_a_dense_memory_of_degree_two_is_hebb_with_self_connections():
    draw = torch.Generator().manual_seed(2)
    patterns = torch.randint(0, 2, (5, 40), generator=draw).double() * 2 - 1
    x = torch.randint(0, 2, (50, 40), generator=draw).double() * 2 - 1
    dense = unrolled.Hopfield(patterns, rule="dense", options={"degree": 2})
    hebb = unrolled.Hopfield(patterns, self_connections=True)
    assert torch.allclose(dense.energy(x), hebb.energy(x))


def test_the_graded_softmax_memory_is_ramsauers():
    draw = torch.Generator().manual_seed(3)
    patterns = torch.rand(20, 64, generator=draw, dtype=torch.float64) * 2 - 1
    net = unrolled.Hopfield(patterns, rule="softmax", units="graded", gain=1.0)
    x = (patterns[:5] + 0.3 * torch.randn(5, 64, generator=draw, dtype=torch.float64)).clamp(-1, 1)
    found = net.recall(x, update="synchronous")
    assert found.counts() == {"recalled": 5} and found.pattern == (0, 1, 2, 3, 4)
    assert rises(found.energy) <= 1
    assert torch.allclose(found.state, torch.softmax(found.state @ patterns.T, 1) @ patterns, atol=1e-8)
    first = net.recall(x, update="synchronous", steps=1).state
    assert torch.allclose(first, torch.softmax(x @ patterns.T, 1) @ patterns)


def test_graded_recall_of_binary_pictures_and_the_logistic_in_disguise():
    """A logistic network of gain g is a tanh network of gain g / 2."""
    draw = torch.Generator().manual_seed(4)
    bits = torch.randint(0, 2, (4, 150), generator=draw).double()
    x = torch.where(torch.rand(4, 150, generator=draw) < 0.15, 1 - bits, bits)
    logistic = unrolled.Hopfield(bits, units="graded", gain=6.0, phi="logistic", threshold=0.05)
    tanh = unrolled.Hopfield(2 * bits - 1, units="graded", gain=3.0, threshold=0.05)
    for update in ("asynchronous", "continuous", "damped"):
        a, b = logistic.recall(x, update=update), tanh.recall(2 * x - 1, update=update)
        assert a.counts() == b.counts() == {"recalled": 4}
        assert torch.allclose(2 * a.state - 1, b.state, atol=1e-4)


def test_warnings_are_not_given_without_reason():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = network(20, 6, gain=0.3)
        assert net.recall(start(net, 3, 6), update="synchronous").converged
        assert safety(net.network).safe
