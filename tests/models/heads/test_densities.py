"""log_prob against densities written by others, with many digits where those lose them; losses; gradients."""

import math

import mpmath as mp
import numpy as np
import pytest
import torch
from torch import distributions as D

from head_cases import DENSITIES, LEVELS, MAKE, H, outputs_and_targets
from unrolled.models import Bernoulli, Gaussian, GaussianMixture, NegativeBinomial, Quantiles, Regression, StudentT
from unrolled.models.heads import special

stats = pytest.importorskip("scipy.stats")
integrate = pytest.importorskip("scipy.integrate")

SIZES = (1e-3, 1.0, 30.0, 1e4)
"""Of random outputs, from nearly equal to far apart."""


def assert_close(found, expected, rel=1e-12):
    """A probability to 12 digits: its logarithm to 1e-12, or 12 digits of it where that is more than 1."""
    found, expected = (torch.as_tensor(x, dtype=torch.float64) for x in (found, expected))
    torch.testing.assert_close(found, expected, rtol=rel, atol=rel)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mp_softplus(x):
    return mp.log1p(mp.exp(mp.mpf(x)))


@pytest.fixture(autouse=True)
def _digits():
    with mp.workdps(60):
        yield


@pytest.mark.parametrize("size", SIZES)
def test_softmax(size):
    head = MAKE["softmax"](5)
    scores, targets = size * random(50, 7), torch.arange(50) % 7
    assert_close(head.log_prob(scores, targets), D.Categorical(logits=scores).log_prob(targets))
    assert_close(head.describe(scores)["probability"].log()[scores.abs().amax(1) < 100],
                 torch.log_softmax(scores, 1)[scores.abs().amax(1) < 100])  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_regression_is_a_gaussian_of_unit_variance(size):
    outputs, targets = size * random(50, 3), size * random(50, 3, seed=1)
    expected = stats.norm.logpdf(targets.numpy(), outputs.numpy()).sum(1)
    found = Regression(H, 3).log_prob(outputs, targets)
    assert_close(found, expected)
    total, _ = Regression(H, 3).loss(outputs, targets)
    assert_close(total, -found.sum() - 50 * 3 * math.log(2 * math.pi) / 2)


@pytest.mark.parametrize("size", SIZES)
def test_bernoulli(size):
    outputs, targets = size * random(50, 4), (random(50, 4, seed=1) > 0).double()
    expected = [
        math.fsum(float(-mp_softplus(-y if t else y)) for y, t in zip(row, keys, strict=True))
        for row, keys in zip(outputs.tolist(), targets.tolist(), strict=True)
    ]
    head = Bernoulli(H, 4)
    assert_close(head.log_prob(outputs, targets), expected)
    assert_close(head.log_prob(outputs, targets.bool()), expected)
    assert_close(head.log_prob(outputs, targets.to(torch.uint8)), expected)
    few = outputs.clamp(-30, 30)
    assert_close(head.log_prob(few, targets), D.Bernoulli(logits=few).log_prob(targets).sum(1))


@pytest.mark.parametrize("size", SIZES)
def test_gaussian(size):
    head = Gaussian(H, 3, floor=1e-3)
    outputs, targets = size * random(50, 6), size * random(50, 3, seed=1)
    mean, scale = outputs[:, :3], np.vectorize(lambda x: float(mp_softplus(x) + mp.mpf(1e-3)))(outputs[:, 3:])
    expected = stats.norm.logpdf(targets.numpy(), mean.numpy(), scale).sum(1)
    assert_close(head.log_prob(outputs, targets), expected)
    assert_close(head.describe(outputs)["scale"], scale)


def mp_student_t(head, outputs, target):
    location, a, c = map(mp.mpf, outputs)
    floor = mp.mpf(head.floor)
    scale, df = mp_softplus(a) + floor, 2 + floor + mp_softplus(c)
    z = (mp.mpf(target) - location) / scale
    return (
        mp.loggamma((df + 1) / 2) - mp.loggamma(df / 2) - mp.log(mp.pi * df) / 2 - mp.log(scale)
        - (df + 1) / 2 * mp.log1p(z * z / df)
    )  # fmt: skip


@pytest.mark.parametrize("size", [*SIZES, 1e8, 1e13])
def test_student_t(size):
    """From 2 to 10^13 degrees of freedom."""
    head = StudentT(H, 1)
    outputs, targets = size * random(100, 3), 5 * random(100, 1, seed=1)
    outputs[:, :2] = random(100, 2, seed=2) if size > 30 else outputs[:, :2]
    targets[::5] *= 1e8
    expected = [float(mp_student_t(head, y, t)) for y, (t,) in zip(outputs.tolist(), targets.tolist(), strict=True)]
    assert_close(head.log_prob(outputs, targets), expected)
    if size <= 1:
        p = {name: value.numpy() for name, value in head.describe(outputs).items()}
        theirs = stats.t.logpdf(targets.numpy(), p["df"], p["location"], p["scale"])[:, 0]
        assert_close(head.log_prob(outputs, targets), theirs)


def mp_negative_binomial(k, a, b):
    a, b, k = mp.mpf(a), mp.mpf(b), mp.mpf(k)
    size = mp.exp(b)
    coefficient = mp.loggamma(k + size) - mp.loggamma(size) - mp.loggamma(k + 1)
    return coefficient - size * mp_softplus(a - b) - (k * mp_softplus(b - a) if k else 0)


COUNTS = (0, 1, 2, 3, 7, 9, 10, 40, 1000, 10**5, 10**7, 10**9)


@pytest.mark.parametrize("k", COUNTS)
def test_negative_binomial(k):
    """Means and sizes from e^-40 to e^40, and means near the count, where terms of k log k cancel."""
    head = NegativeBinomial(H, 1)
    outputs = 15 * random(80, 2, seed=k)
    outputs[40:60, 0] = math.log(k or 1) + random(20, seed=1) / 10
    outputs[60:, 0] = math.log(k or 1) + random(20, seed=1) / math.sqrt(k or 1)
    targets = torch.full((80, 1), float(k), dtype=torch.float64)
    expected = [float(mp_negative_binomial(k, a, b)) for a, b in outputs.tolist()]
    # exp(a) is known to 2e-16 of itself, which moves log p by that share of k - mean
    off = (k - outputs[:, 0].exp()).abs() * (1 + outputs[:, 1] - outputs[:, 0]).exp().clamp(max=1) * 4e-16
    error = (head.log_prob(outputs, targets) - torch.tensor(expected, dtype=torch.float64)).abs()
    allowed = 1e-12 * torch.tensor(expected, dtype=torch.float64).abs().clamp(min=1) + off
    assert (error <= allowed).all(), (error / allowed).max()


def test_negative_binomial_against_scipy_and_torch():
    outputs, k = 2 * random(200, 2), torch.arange(200.0, dtype=torch.float64)[:, None]
    mean, size = outputs.exp().numpy().T
    found = NegativeBinomial(H, 1).log_prob(outputs, k)
    assert_close(found, stats.nbinom.logpmf(k[:, 0].numpy(), size, size / (size + mean)), 1e-11)  # theirs cancels
    theirs = D.NegativeBinomial(torch.tensor(size), logits=outputs[:, 0] - outputs[:, 1])
    assert_close(found, theirs.log_prob(k[:, 0]), 1e-11)


def test_negative_binomial_adds_up_to_one():
    outputs = torch.tensor([[1.0, 0.5]], dtype=torch.float64).expand(400, 2)
    k = torch.arange(400, dtype=torch.float64)[:, None]
    logs = NegativeBinomial(H, 1).log_prob(outputs, k)
    assert float(logs.exp().sum()) == pytest.approx(1, abs=1e-12)
    assert float((logs.exp() * k[:, 0]).sum()) == pytest.approx(math.e, abs=1e-10)


@pytest.mark.parametrize("ends", [(-1e5, 1e5), (1e5, -1e5), (1e5, 1e5), (-1e5, -1e5), (709, 0), (0, 709)])
def test_negative_binomial_is_finite_for_any_outputs(ends):
    outputs = torch.tensor([ends] * len(COUNTS), dtype=torch.float64, requires_grad=True)
    targets = torch.tensor(COUNTS, dtype=torch.float64)[:, None]
    logs = NegativeBinomial(H, 1).log_prob(outputs, targets)
    (slope,) = torch.autograd.grad(logs.sum(), outputs)
    assert logs.isfinite().all() and slope.isfinite().all() and (logs <= 0).all()


def test_single_precision_outputs_do_not_cancel():
    """log Gamma of a million is 10^7, of which single precision keeps the units."""
    outputs = torch.tensor([[math.log(1e6), math.log(1e6)]])
    k = torch.tensor([[1e6]])
    expected = float(mp_negative_binomial(10**6, *outputs.double().tolist()[0]))
    found = NegativeBinomial(H, 1).log_prob(outputs, k)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(expected, rel=1e-6)
    outputs, target = torch.tensor([[0.0, 0.0, 1e7]]), torch.tensor([[0.5]])
    expected = float(mp_student_t(StudentT(H, 1), outputs.tolist()[0], 0.5))
    assert float(StudentT(H, 1).log_prob(outputs, target)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_mixture(size):
    head = GaussianMixture(H, 3, 2)
    outputs, targets = size * random(50, head.output_size), size * random(50, 2, seed=1)
    p = head.describe(outputs)
    assert_close(p["mean"][7, 1], outputs[7, 5:7])
    assert_close(p["scale"][7, 1], [float(mp_softplus(x) + mp.mpf(1e-4)) for x in outputs[7, 11:13].tolist()])
    parts = D.Independent(D.Normal(p["mean"], p["scale"]), 1)
    whole = D.MixtureSameFamily(D.Categorical(logits=outputs[:, :3]), parts)
    assert_close(head.log_prob(outputs, targets), whole.log_prob(targets))


def plain_quantiles(head, raw):
    """The quantiles of one number, from the definition."""
    middle = LEVELS.index(0.5)
    gaps = [float(mp_softplus(g) + mp.mpf(head.floor)) for g in raw[1:]]
    return [
        raw[0] + math.fsum(gaps[middle:i]) if i >= middle else raw[0] - math.fsum(gaps[i:middle])
        for i in range(len(LEVELS))
    ]


def plain_cdf(q, y):
    """The distribution function of `Quantiles`, from its definition."""
    levels = LEVELS
    if y < q[0]:
        return levels[0] * math.exp((y - q[0]) * (levels[1] - levels[0]) / (q[1] - q[0]) / levels[0])
    if y >= q[-1]:
        rest = 1 - levels[-1]
        return 1 - rest * math.exp(-(y - q[-1]) * (levels[-1] - levels[-2]) / (q[-1] - q[-2]) / rest)
    return float(np.interp(y, q, levels))


def test_quantiles_have_the_density_of_their_distribution_function():
    head = Quantiles(H, LEVELS)
    outputs = random(20, 5)
    for row, raw in zip(outputs, outputs.tolist(), strict=True):
        q = plain_quantiles(head, raw)
        assert_close(head.describe(row)["quantiles"][0], q)
        inside = [(a + b) / 2 for a, b in zip(q[:-1], q[1:], strict=True)]
        for y in (*inside, q[0] - 0.3, q[0] - 3.0, q[-1] + 0.2, q[-1] + 2.0):
            h = 1e-6
            slope = (plain_cdf(q, y + h) - plain_cdf(q, y - h)) / (2 * h)
            found = head.log_prob(row[None], torch.tensor([[y]], dtype=torch.float64)).exp().item()
            assert found == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_the_density_of_quantiles_joins_at_the_ends_and_integrates_to_one():
    head = Quantiles(H, LEVELS)
    outputs = random(5, 5)
    for row in outputs:
        q = head.describe(row)["quantiles"][0].tolist()

        def density(y, row=row):
            return head.log_prob(row[None], torch.tensor([[y]], dtype=torch.float64)).exp().item()

        for end in (q[0], q[-1]):
            assert density(end - 1e-9) == pytest.approx(density(end + 1e-9), rel=1e-6)
        parts = [integrate.quad(density, a, b)[0] for a, b in zip([-np.inf, *q], [*q, np.inf], strict=True)]
        np.testing.assert_allclose(np.cumsum(parts), [*LEVELS, 1], atol=1e-7)


def test_the_pinball_loss():
    head = Quantiles(H, LEVELS, 2)
    outputs, targets = outputs_and_targets(head, 6, 3)
    expected = 0.0
    for row, target in zip(outputs.flatten(0, 1).tolist(), targets.flatten(0, 1).tolist(), strict=True):
        for raw, y in ((row[:5], target[0]), (row[5:], target[1])):
            for level, q in zip(LEVELS, plain_quantiles(head, raw), strict=True):
                expected += level * (y - q) if y > q else (1 - level) * (q - y)
    total, count = head.loss(outputs, targets)
    assert count == 18
    assert float(total) == pytest.approx(expected, rel=1e-12)


def test_the_pinball_loss_finds_the_quantiles_of_a_sample():
    sample = torch.tensor(stats.expon.ppf((np.arange(2000) + 0.5) / 2000))[:, None]
    head = Quantiles(1, (0.1, 0.5, 0.9)).double()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        total, count = head.loss(head(torch.zeros(len(sample), 1, dtype=torch.float64)), sample)
        (total / count).backward()
        optimizer.step()
    found = head.describe(head.map.bias)["quantiles"][0].detach().numpy()
    np.testing.assert_allclose(found, stats.expon.ppf([0.1, 0.5, 0.9]), atol=0.03)


@pytest.mark.parametrize("name", DENSITIES)
@pytest.mark.parametrize("width", [1, 3])
def test_the_loss_is_the_sum_of_minus_log_prob(name, width):
    head = MAKE[name](width)
    outputs, targets = outputs_and_targets(head, 5, 4)
    total, count = head.loss(outputs, targets)
    assert count == 20
    logs = head.log_prob(outputs, targets)
    assert logs.shape == (5, 4)
    assert_close(total, -logs.sum())
    counted = random(5, 4, seed=3) > 0
    total, count = head.loss(outputs, targets, counted)
    assert count == int(counted.sum())
    assert_close(total, -logs[counted].sum())


@pytest.mark.parametrize("name", MAKE)
def test_gradients_are_those_of_finite_differences(name):
    head = MAKE[name](2)
    outputs, targets = outputs_and_targets(head, 3, 2)
    outputs.requires_grad_()
    counted = torch.tensor([[True, False], [True, True], [False, True]])
    assert torch.autograd.gradcheck(lambda y: head.loss(y, targets, counted)[0], outputs)
    assert torch.autograd.gradcheck(lambda y: head.log_prob(y, targets), outputs)
    if name != "quantiles":  # whose second derivative is zero but at kinks
        assert torch.autograd.gradgradcheck(lambda y: head.log_prob(y, targets), outputs)


@pytest.mark.parametrize("k", COUNTS)
def test_slopes_of_the_negative_binomial(k):
    outputs = 8 * random(30, 2, seed=k)
    outputs[15:, 0] = math.log(k or 1) + random(15, seed=1) / 10
    outputs.requires_grad_()
    logs = NegativeBinomial(H, 1).log_prob(outputs, torch.full((30, 1), float(k), dtype=torch.float64))
    (slope,) = torch.autograd.grad(logs.sum(), outputs)
    for (a, b), found in zip(outputs.tolist(), slope.tolist(), strict=True):
        mean, size = mp.exp(mp.mpf(a)), mp.exp(mp.mpf(b))
        by_a = (k - mean) * size / (size + mean)
        by_b = size * (mp.psi(0, k + size) - mp.psi(0, size) - mp.log1p(mean / size) - (k - mean) / (size + mean))
        assert found[0] == pytest.approx(float(by_a), rel=1e-9, abs=1e-9)
        assert found[1] == pytest.approx(float(by_b), rel=1e-9, abs=1e-9 * max(1, abs(k - float(mean)) * 1e-3))


def test_special_functions_at_all_sizes():
    x = 10.0 ** torch.linspace(-8, 15, 200, dtype=torch.float64)
    rest = [mp.loggamma(v) - ((v - 0.5) * mp.log(v) - v + mp.log(2 * mp.pi) / 2) for v in map(mp.mpf, x.tolist())]
    assert_close(special.stirling_rest(x), [float(v) for v in rest], 1e-14)
    step = [mp.loggamma(v + 0.5) - mp.loggamma(v) - mp.log(v) / 2 for v in map(mp.mpf, x.tolist())]
    assert_close(special.log_gamma_half_step(x), [float(v) for v in step], 1e-14)
    y = torch.linspace(-60, 60, 400, dtype=torch.float64)
    expected = torch.tensor([float(mp_softplus(v)) for v in y.tolist()], dtype=torch.float64)
    torch.testing.assert_close(special.softplus(y), expected, rtol=1e-15, atol=0)
