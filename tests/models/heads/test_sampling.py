"""Draws have the distribution of log_prob: tests at a significance of 10^-6, which a wrong sampler fails.

Draws are a function of the seed, so a test gives the same result on every machine up to rounding.
"""

import math
from functools import partial

import numpy as np
import pytest
import torch

from head_cases import LEVELS, MAKE, H, outputs_and_targets
from unrolled.models import (
    Bernoulli,
    Gaussian,
    GaussianMixture,
    NegativeBinomial,
    Quantiles,
    Regression,
    Softmax,
    StudentT,
)
from unrolled.models.philox import Philox

stats = pytest.importorskip("scipy.stats")

SEEDS = (1, 2, 3)
MANY = 200_000
SIGNIFICANCE = 1e-6


def drawn(head, row, seed, temperature=1.0, many=MANY):
    """So many draws (many, ...) from the distribution of one row of outputs."""
    outputs = torch.tensor(row, dtype=torch.float64).expand(many, len(row))
    return head.sample(outputs, Philox(seed), temperature).numpy()


def p_continuous(sample, cdf):
    return stats.kstest(sample, cdf, method="asymp").pvalue


def p_discrete(sample, mass):
    """Chi-square over the values that are expected at least 20 times, and all others together."""
    expected = mass * len(sample)
    counts = np.bincount(sample.astype(np.int64), minlength=len(mass)).astype(float)
    often = expected >= 20
    a, b = (
        np.append(expected[often], len(sample) - expected[often].sum()),
        np.append(counts[: len(mass)][often], len(sample) - counts[: len(mass)][often].sum()),
    )
    used = a > 0.5
    return stats.chisquare(b[used], a[used] * b[used].sum() / a[used].sum()).pvalue


def right(p):
    return p > SIGNIFICANCE


def softplus(x):
    return math.log1p(math.exp(x))


def mixture_cdf(weights, means, scales, y):
    return sum(w * stats.norm.cdf(y, m, s) for w, m, s in zip(weights, means, scales, strict=True))


def quantile_cdf(q, y):
    below = LEVELS[0] * np.exp((y - q[0]) * (LEVELS[1] - LEVELS[0]) / (q[1] - q[0]) / LEVELS[0])
    rest = 1 - LEVELS[-1]
    above = 1 - rest * np.exp(-(y - q[-1]) * (LEVELS[-1] - LEVELS[-2]) / (q[-1] - q[-2]) / rest)
    return np.where(y < q[0], below, np.where(y >= q[-1], above, np.interp(y, q, LEVELS)))


@pytest.mark.parametrize("seed", SEEDS)
def test_gaussian(seed):
    head = Gaussian(H, 1)
    mean, scale = 0.7, softplus(0.3) + 1e-4
    sample = drawn(head, [0.7, 0.3], seed)[:, 0]
    assert right(p_continuous(sample, stats.norm(mean, scale).cdf))
    assert not right(p_continuous(sample, stats.norm(mean, 1.04 * scale).cdf))
    assert not right(p_continuous(sample, stats.norm(mean + 0.02, scale).cdf))
    hot = drawn(head, [0.7, 0.3], seed, temperature=4.0)[:, 0]
    assert right(p_continuous(hot, stats.norm(mean, 2 * scale).cdf))
    assert set(drawn(head, [0.7, 0.3], seed, temperature=0, many=9)[:, 0]) == {0.7}


@pytest.mark.parametrize("seed", SEEDS)
def test_regression(seed):
    sample = drawn(Regression(H, 1), [-2.0], seed, temperature=0.25)[:, 0]
    assert right(p_continuous(sample, stats.norm(-2, 0.5).cdf))
    assert not right(p_continuous(sample, stats.norm(-2, 0.52).cdf))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("c", [-9.0, 1.0, 30.0])
def test_student_t(seed, c):
    """The t distribution with about 2, 3.3 and 32 degrees of freedom."""
    head = StudentT(H, 1)
    location, scale, df = 1.5, softplus(-0.4) + 1e-4, 2 + 1e-4 + softplus(c)
    sample = drawn(head, [1.5, -0.4, c], seed)[:, 0]
    assert right(p_continuous(sample, stats.t(df, location, scale).cdf))
    assert not right(p_continuous(sample, stats.t(df, location, 1.05 * scale).cdf))
    if c < 10:  # beyond, nobody can tell a few percent
        assert not right(p_continuous(sample, stats.t(1.25 * df, location, scale).cdf))
    cold = drawn(head, [1.5, -0.4, c], seed, temperature=0.25)[:, 0]
    assert right(p_continuous(cold, stats.t(df, location, scale / 2).cdf))
    assert set(drawn(head, [1.5, -0.4, c], seed, temperature=0, many=9)[:, 0]) == {1.5}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("a", "b"), [(0.0, -2.0), (1.5, 0.3), (2.0, 4.0), (3.0, 16.0)])
def test_negative_binomial(seed, a, b):
    """From overdispersed to Poisson."""
    mean, size = math.exp(a), math.exp(b)
    sample = drawn(NegativeBinomial(H, 1), [a, b], seed, many=100_000)[:, 0]
    assert (sample == np.floor(sample)).all()

    def mass(m, r):
        return stats.nbinom.pmf(np.arange(400), r, r / (r + m))

    assert right(p_discrete(sample, mass(mean, size)))
    share = 1 + 0.04 * math.sqrt(1 / mean + 1 / size)  # of the standard deviation, which is 1 to 3 times the mean
    assert not right(p_discrete(sample, mass(share * mean, size)))
    if b < 1:  # beyond, the size hardly matters
        assert not right(p_discrete(sample, mass(mean, 1.15 * size)))


def test_negative_binomial_at_other_temperatures():
    row = [math.log(50.0), math.log(3.0)]
    head = NegativeBinomial(H, 1)
    spread = [drawn(head, row, 1, temperature=t, many=4000)[:, 0].std() for t in (0.0, 0.3, 1.0, 3.0)]
    assert spread[0] == 0 and spread == sorted(spread)
    median = stats.poisson.median(stats.gamma.median(3.0) * 50 / 3)
    assert set(drawn(head, row, 1, temperature=0, many=9)[:, 0]) == {median}


@pytest.mark.parametrize("seed", SEEDS)
def test_quantiles(seed):
    head = Quantiles(H, LEVELS)
    row = [0.4, 0.5, 1.0, -1.0, 2.0]
    q = head.describe(torch.tensor(row, dtype=torch.float64))["quantiles"][0].numpy()
    sample = drawn(head, row, seed)[:, 0]
    assert right(p_continuous(sample, lambda y: quantile_cdf(q, y)))
    assert not right(p_continuous(sample, lambda y: quantile_cdf(0.4 + 1.04 * (q - 0.4), y)))
    below, above = sample[sample < q[0]], sample[sample > q[-1]]
    tail = LEVELS[0] * (q[1] - q[0]) / (LEVELS[1] - LEVELS[0])
    assert right(p_continuous(q[0] - below, stats.expon(scale=tail).cdf))
    assert not right(p_continuous(q[0] - below, stats.expon(scale=1.15 * tail).cdf))
    tail = (1 - LEVELS[-1]) * (q[-1] - q[-2]) / (LEVELS[-1] - LEVELS[-2])
    assert right(p_continuous(above - q[-1], stats.expon(scale=tail).cdf))
    assert not right(p_continuous(above - q[-1], stats.expon(scale=1.2 * tail).cdf))
    assert set(drawn(head, row, seed, temperature=0, many=9)[:, 0]) == {0.4}  # the median is one of the levels
    hot = drawn(head, row, seed, temperature=2.0)[:, 0]
    narrowed = stats.norm.cdf(stats.norm.ppf(quantile_cdf(q, hot)) / math.sqrt(2))
    assert right(p_continuous(narrowed, stats.uniform.cdf))


def test_quantiles_whose_levels_lie_on_one_side():
    for levels in ((0.6, 0.9), (0.1, 0.2)):
        head = Quantiles(H, levels)
        sample = drawn(head, [0.0, 1.0], 1)[:, 0]
        q = head.describe(torch.tensor([0.0, 1.0], dtype=torch.float64))["quantiles"][0].numpy()
        for level, value in zip(levels, q, strict=True):
            assert right(stats.binomtest(int((sample <= value).sum()), len(sample), level).pvalue)


@pytest.mark.parametrize("seed", SEEDS)
def test_mixture(seed):
    head = GaussianMixture(H, 2, 2)
    row = [0.5, -0.5, -2.0, 1.0, 1.0, -1.0, 0.1, 0.2, 0.3, 0.4]
    p = {name: value.numpy() for name, value in head.describe(torch.tensor(row, dtype=torch.float64)).items()}
    sample = drawn(head, row, seed)
    for d in range(2):
        cdf = partial(mixture_cdf, p["weight"], p["mean"][:, d], p["scale"][:, d])
        assert right(p_continuous(sample[:, d], cdf))
        wrong = partial(mixture_cdf, p["weight"] + [0.03, -0.03], p["mean"][:, d], p["scale"][:, d])
        assert not right(p_continuous(sample[:, d], wrong))
    covariance = sum(
        w * np.outer(m, m) + w * np.diag(s**2) for w, m, s in zip(p["weight"], p["mean"], p["scale"], strict=True)
    )
    mean = p["weight"] @ p["mean"]
    np.testing.assert_allclose(np.cov(sample.T), covariance - np.outer(mean, mean), atol=0.05)
    assert (drawn(head, row, seed, temperature=0, many=9) == [-2.0, 1.0]).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_bernoulli(seed):
    head = Bernoulli(H, 3)
    sample = drawn(head, [-2.0, 0.1, 3.0], seed)
    assert set(np.unique(sample)) == {0, 1}
    for keys, y in zip(sample.T, (-2.0, 0.1, 3.0), strict=True):
        down, p = int(keys.sum()), 1 / (1 + math.exp(-y))
        assert right(stats.binomtest(down, MANY, p).pvalue)
        assert not right(stats.binomtest(down, MANY, 1 / (1 + math.exp(-y - 0.1))).pvalue)
    hot = drawn(head, [-2.0, 0.1, 3.0], seed, temperature=2.0)
    assert right(stats.binomtest(int(hot[:, 0].sum()), MANY, 1 / (1 + math.e)).pvalue)
    assert (drawn(head, [-2.0, 0.1, 3.0], seed, temperature=0, many=9) == [0, 1, 1]).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_softmax(seed):
    scores = np.array([0.0, 1.0, -1.0, 2.0])
    sample = drawn(Softmax(H, 4), scores, seed)
    p = np.exp(scores) / np.exp(scores).sum()
    assert right(p_discrete(sample, p))
    assert not right(p_discrete(sample, p + [0.006, -0.006, 0, 0]))
    assert sample.dtype == np.int64


@pytest.mark.parametrize("name", MAKE)
def test_positions_and_numbers_are_independent(name):
    """Consecutive draws, and the numbers of one draw, are uncorrelated."""
    head = MAKE[name](2)
    row = outputs_and_targets(head, 1, seed=4)[0][0].tolist()
    if name == "mixture":
        row[:3] = [50.0, 0.0, 0.0]  # the component ties the numbers of a draw to each other
    sample = drawn(head, row, 3, many=20_000).reshape(20_000, -1)
    ranks = stats.rankdata(sample, axis=0)
    columns = [*ranks[1:].T, *ranks[:-1].T]
    off = np.corrcoef(columns) - np.eye(len(columns))
    assert abs(off).max() < 5 / math.sqrt(20_000)
