"""Draws one by one: the same from the same numbers, finite at their ends, and exact quantiles."""

import mpmath as mp
import numpy as np
import pytest
import torch

from head_cases import MAKE, H, outputs_and_targets
from unrolled.errors import RunError
from unrolled.models import Chooser, Softmax
from unrolled.models.heads import draws
from unrolled.models.philox import Philox, Rows


def test_softmax_draws_by_the_rule_of_the_chooser():
    scores = torch.randn(6, 5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for temperature in (0, 0.5, 1.0, 2.0):
        numbers, choose = Philox(5), Chooser(temperature)
        expected = [choose(row.numpy(), numbers.uniform()) for row in scores.flatten(0, 1)]
        assert Softmax(H, 9).sample(scores, Philox(5), temperature).flatten().tolist() == expected


def numpys_state():
    """The state of numpy's global generator."""
    return np.random.mtrand._rand.get_state()[1].tolist()


@pytest.mark.parametrize("name", MAKE)
def test_the_same_numbers_give_the_same_draws_and_torchs_are_left_alone(name):
    head = MAKE[name](2)
    outputs, _ = outputs_and_targets(head, 4, 3)
    outputs.requires_grad_()
    before, theirs = torch.random.get_rng_state(), numpys_state()
    one, two, other = (head.sample(outputs, Philox(s)) for s in (7, 7, 8))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert torch.equal(before, torch.random.get_rng_state()) and theirs == numpys_state()
    assert not one.requires_grad
    torch.manual_seed(1)
    assert torch.equal(one, head.sample(outputs, Philox(7)))
    assert one.shape == head.target.shape((4, 3))
    single = head.sample(outputs.float(), Philox(7))
    assert single.dtype == (torch.int64 if name == "softmax" else torch.float32)
    torch.testing.assert_close(single.double(), one.double(), rtol=1e-4, atol=1e-4)
    assert head.feedback(one) is one


@pytest.mark.parametrize("name", MAKE)
def test_a_row_of_a_batch_is_the_same_whatever_the_batch(name):
    head = MAKE[name](3)
    outputs, _ = outputs_and_targets(head, 7)
    many = head.sample(outputs, Rows(1, 7))
    for n in (1, 2, 6):
        assert torch.equal(head.sample(outputs[:n], Rows(1, n)), many[:n])
    again = Rows(1, 7)
    both = torch.stack([head.sample(outputs, again) for _ in range(2)])
    assert torch.equal(both[0], many) and not torch.equal(both[1], many)


class Constant:
    """The same uniform number again and again."""

    def __init__(self, u):
        self.u = u

    def uniforms(self, shape):
        return torch.full(shape, self.u, dtype=torch.float64)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("u", [0.0, 2.0**-53, 0.5, 1 - 2.0**-53])
@pytest.mark.parametrize("temperature", [0, 1e-6, 1.0, 50.0])
def test_draws_are_finite_at_the_ends_of_the_uniform_numbers(name, u, temperature):
    head = MAKE[name](2)
    for size in (1.0, 40.0):
        outputs = size * outputs_and_targets(head, 5)[0]
        sample = head.sample(outputs, Constant(u), temperature)
        assert sample.isfinite().all()
        assert head.log_prob(outputs, sample).isfinite().all()


@pytest.mark.parametrize("name", MAKE)
def test_what_cannot_be_sampled_is_refused(name):
    head = MAKE[name](2)
    outputs, _ = outputs_and_targets(head, 3)
    with pytest.raises(ValueError, match="temperature must be a number from 0, got -1"):
        head.sample(outputs, Philox(1), -1)
    with pytest.raises(ValueError, match=rf"{type(head).__name__}: outputs have shape \(3, 1\)"):
        head.sample(outputs[:, :1], Philox(1))
    outputs[1, 0] = float("nan")
    with pytest.raises(RunError, match="not finite"):
        head.sample(outputs, Philox(1))


def _u(count, seed):
    """Uniform numbers with both tails down to 2^-53."""
    u = Philox(seed).uniforms((3 * count,))
    tail = 2.0 ** (-53 * u[:count])
    return torch.cat([u[count : 2 * count], tail, 1 - tail.clamp(min=2.0**-53)])


@pytest.mark.parametrize("exponents", [(-4, -1), (-1, 1), (1, 3), (3, 5)])
def test_gamma_and_poisson_quantiles_against_many_digits(exponents):
    """The distribution function at each draw is u to 1e-8 of the smaller tail, and steps over u for Poisson."""
    u = _u(12, 3)
    beyond, upper = draws.tails(u, 1.0)
    low, high = exponents
    shape = 10.0 ** (low + (high - low) * Philox(4).uniforms((len(u),)))
    gamma, counts = draws.gamma_quantile(shape, beyond, upper), draws.poisson_quantile(shape, beyond, upper)

    def tail(r, g, up):
        return mp.gammainc(r, g, mp.inf, regularized=True) if up else mp.gammainc(r, 0, g, regularized=True)

    with mp.workdps(40):
        for r, g, k, b, up in zip(*(x.tolist() for x in (shape, gamma, counts, beyond, upper)), strict=True):
            if g > 1e-290:
                assert float(tail(mp.mpf(r), mp.mpf(g), up) / mp.mpf(b)) == pytest.approx(1, abs=1e-8)
            before, at = (tail(mp.mpf(n + 1), mp.mpf(r), not up) if n >= 0 else mp.mpf(up) for n in (k - 1, k))
            near = mp.mpf(b) * 1e-8
            if up:
                assert at < b + near and before >= b - near
            else:
                assert at > b - near and before <= b + near


def test_expansions_agree_with_bisection_where_both_hold(monkeypatch):
    u = _u(300, 5)
    beyond, upper = draws.tails(u, 1.0)
    shape = 10.0 ** (4.6 + 0.4 * Philox(6).uniforms((len(u),)))
    bisected = draws.gamma_quantile(shape, beyond, upper), draws.poisson_quantile(shape, beyond, upper)
    monkeypatch.setattr(draws, "_LARGE", 1.0)
    expanded = draws.gamma_quantile(shape, beyond, upper), draws.poisson_quantile(shape, beyond, upper)
    assert ((bisected[0] - expanded[0]).abs() < 1e-8 * shape.sqrt()).all()
    differ = bisected[1] != expanded[1]
    assert differ.sum() <= 1 and (bisected[1] - expanded[1]).abs().max() <= 1


def test_large_shapes_keep_their_tails():
    """Where torch's incomplete Gamma function no longer has any."""
    beyond, upper = draws.tails(_u(200, 7), 1.0)
    z = torch.where(upper, -1.0, 1.0) * torch.special.ndtri(beyond)
    shape = torch.full_like(z, 1e12)
    for quantile in (draws.gamma_quantile, draws.poisson_quantile):
        off = (quantile(shape, beyond, upper) - shape) / 1e6 - z
        assert off.abs().max() < 1e-4  # skewness moves them by (z^2 - 1) / 3 / 10^6 or half of it


def test_normal_numbers_against_many_digits():
    u = _u(40, 9)
    with mp.workdps(40):
        expected = [float(mp.sqrt(2) * mp.erfinv(2 * mp.mpf(v) - 1)) for v in u.tolist()]
    torch.testing.assert_close(draws.normals(u), torch.tensor(expected, dtype=torch.float64), rtol=2e-15, atol=1e-16)


def test_tails_at_another_temperature():
    u = _u(40, 9)
    beyond, upper = draws.tails(u, 4.0)
    z = 2 * torch.special.ndtri(u)
    assert torch.equal(upper, z > 0)
    torch.testing.assert_close(beyond, torch.special.ndtr(-z.abs()).clamp(min=1e-300), rtol=1e-9, atol=0)
