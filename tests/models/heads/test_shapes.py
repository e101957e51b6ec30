"""Shapes, types, padding and errors that all heads share; a head of one's own."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from head_cases import DENSITIES, LEVELS, MAKE, H, outputs_and_targets
from unrolled import models
from unrolled.models import Bernoulli, Gaussian, GaussianMixture, NegativeBinomial, Quantiles, Softmax, StudentT
from unrolled.models.heads import Head, Target
from unrolled.models.philox import Philox


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(sorted(MAKE)),
    positions=st.lists(st.integers(0, 3), max_size=3),
    width=st.integers(1, 3),
    seed=st.integers(0, 9),
)
def test_shapes(name, positions, width, seed):
    head = MAKE[name](width).double()
    h = torch.randn(*positions, H, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    outputs = head(h)
    assert outputs.shape == (*positions, head.output_size)
    _, targets = outputs_and_targets(head, *positions, seed=seed)
    count = math.prod(positions)
    assert head.log_prob(outputs, targets).shape == tuple(positions)
    total, counted = head.loss(outputs, targets)
    assert total.shape == () and counted == count
    mask = torch.rand(positions, generator=torch.Generator().manual_seed(seed)) > 0.5
    total, counted = head.loss(outputs, targets, mask)
    assert total.shape == () and counted == int(mask.sum())
    assert torch.equal(head.counts(targets, mask), mask) and head.counts(targets).all()
    sample = head.sample(outputs, Philox(seed))
    assert sample.shape == targets.shape
    assert sample.is_floating_point() == (head.target.dtype == "floats")
    assert head.log_prob(outputs, sample).isfinite().all()
    for parameter in head.describe(outputs).values():
        assert parameter.shape[: len(positions)] == tuple(positions)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -100.0, 1e300])
def test_what_does_not_count_reaches_neither_the_sum_nor_a_gradient(name, poison):
    head = MAKE[name](2)
    outputs, targets = outputs_and_targets(head, 4, 3)
    counted = torch.arange(4)[:, None] < torch.tensor([4, 0, 2])
    expected, count = 0.0, 0
    rows = []
    for n, length in enumerate((4, 0, 2)):
        own = outputs[:length, n].clone().requires_grad_()
        total, some = head.loss(own, targets[:length, n])
        (slope,) = torch.autograd.grad(total, own)
        rows.append(slope)
        expected, count = expected + total.item(), count + some
    bad, known = outputs.clone(), targets.clone()
    bad[~counted] = poison
    known[~counted] = -7 if name == "softmax" else poison
    bad.requires_grad_()
    total, found = head.loss(bad, known, counted)
    (slope,) = torch.autograd.grad(total, bad)
    assert found == count == 6
    torch.testing.assert_close(total.item(), expected, rtol=1e-13, atol=1e-13)
    for n, (length, own) in enumerate(zip((4, 0, 2), rows, strict=True)):
        torch.testing.assert_close(slope[:length, n], own, rtol=1e-13, atol=1e-13)
        assert not slope[length:, n].any()
    total, found = head.loss(bad, known, torch.zeros(4, 3, dtype=torch.bool))
    assert (total.item(), found) == (0, 0)


def test_symbols_of_minus_100_do_not_count():
    head = Softmax(H, 5)
    scores, targets = outputs_and_targets(head, 4, 3)
    targets[1:, 2] = -100
    wanted = targets != -100
    logs = head.log_prob(scores, targets)
    assert not logs[~wanted].any()
    total, count = head.loss(scores, targets)
    assert count == 9 and torch.equal(head.counts(targets), wanted)
    torch.testing.assert_close(total, -logs.sum())
    mask = torch.arange(4)[:, None] < torch.tensor([4, 2, 3])
    assert head.loss(scores, targets, mask)[1] == int((wanted & mask).sum()) == 7


REAL = [name for name in MAKE if name != "softmax"]


@pytest.mark.parametrize("name", REAL)
def test_targets_that_do_not_fit_are_named(name):
    head = MAKE[name](3)
    kind = type(head).__name__
    outputs, targets = outputs_and_targets(head, 4, 2)
    refusals = [
        ((outputs, targets[..., 0]), r"targets have shape \(4, 2\)"),
        ((outputs, targets.transpose(0, 1)), r"targets have shape \(2, 4, 3\)"),
        ((outputs, targets[..., :1]), r"targets have shape \(4, 2, 1\).*width = 3"),
        ((outputs[..., :-1], targets), "outputs"),
        ((outputs, targets.to(torch.complex128)), "complex128, expected floats"),
        ((outputs, targets.tolist()), "targets is list, expected a tensor"),
    ]
    if name not in ("bernoulli", "nade"):
        refusals.append(((outputs, targets > 0), "bool, expected floats"))
    for arguments, message in refusals:
        for call in (head.loss, head.log_prob):
            with pytest.raises(ValueError, match=f"{kind}: .*{message}"):
                call(*arguments)
    for mask, message in [
        (torch.ones(4, 2, dtype=torch.int64), "counted is .* torch.int64, expected"),
        (torch.ones(4, 2, 3, dtype=torch.bool), r"counted is \(4, 2, 3\)"),
        ([[True]], "counted is list"),
    ]:
        with pytest.raises(ValueError, match=f"{kind}: {message}"):
            head.loss(outputs, targets, mask)


@pytest.mark.parametrize(
    ("head", "bad", "message"),
    [
        (Bernoulli(H, 1), 0.5, "a target is 0.5, expected 0 or 1"),
        (Bernoulli(H, 1), math.nan, "a target is nan, expected 0 or 1"),
        (NegativeBinomial(H, 1), -1.0, "a target is -1, expected a whole number from 0"),
        (NegativeBinomial(H, 1), 1.5, "a target is 1.5, expected"),
        (NegativeBinomial(H, 1), math.inf, "a target is inf, expected"),
        (NegativeBinomial(H, 1), math.nan, "a target is nan, expected"),
        (Softmax(H, 3), 3, "a target is 3, expected 0 to 2, or -100"),
        (Softmax(H, 3), -1, "a target is -1, expected 0 to 2"),
    ],
)
def test_targets_that_the_distribution_cannot_have(head, bad, message):
    outputs, targets = outputs_and_targets(head, 3)
    targets[1] = bad
    for call in (head.loss, head.log_prob):
        with pytest.raises(ValueError, match=f"{type(head).__name__}: {message}"):
            call(outputs, targets)
    total, count = head.loss(outputs, targets, torch.tensor([True, False, True]))
    assert total.isfinite() and count == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(0, 2), "Gaussian: hidden_size .* got 0"),
        (lambda: Gaussian(3, 2.0), "Gaussian: width must be a whole number from 1, got 2.0"),
        (lambda: Gaussian(3, 2, floor=0), "Gaussian: floor must be a number above 0, got 0"),
        (lambda: StudentT(3, 1, floor=math.nan), "StudentT: floor .* got nan"),
        (lambda: StudentT(3, None), "StudentT: width"),
        (lambda: NegativeBinomial(3, True), "NegativeBinomial: width"),
        (lambda: Bernoulli(3, 0), "Bernoulli: width"),
        (lambda: GaussianMixture(3, 0, 1), "GaussianMixture: components"),
        (lambda: GaussianMixture(3, 2, 0), "GaussianMixture: width"),
        (lambda: Quantiles(3, (0.5,)), "Quantiles: levels must be two or more increasing numbers"),
        (lambda: Quantiles(3, (0.5, 0.5)), "Quantiles: levels"),
        (lambda: Quantiles(3, (0.0, 0.5)), "Quantiles: levels"),
        (lambda: Quantiles(3, (0.5, 1.0)), "Quantiles: levels"),
        (lambda: Quantiles(3, (0.5, math.nan)), "Quantiles: levels"),
        (lambda: Quantiles(3, 0.5), "Quantiles: levels"),
        (lambda: Quantiles(3, (0.2, 0.5), width=0), "Quantiles: width"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_quantiles_increase_whatever_the_outputs():
    head = Quantiles(H, LEVELS, 2)
    outputs = 1000 * outputs_and_targets(head, 50)[0]
    assert (head.describe(outputs)["quantiles"].diff() > 0).all()


@pytest.mark.parametrize("name", DENSITIES)
def test_training_recovers_the_distribution(name):
    """Draws from one distribution; the loss of the head that learns from them comes near their own."""
    truth = MAKE[name](1)
    row = torch.tensor([0.3, 0.8, -0.5, 0.2, 0.1, 0.4, -0.6, 0.5, 0.3][: truth.output_size], dtype=torch.float64)
    outputs = row.expand(3000, truth.output_size)
    targets = truth.sample(outputs, Philox(1))
    own, count = truth.loss(outputs, targets)
    head = MAKE[name](1).double()
    h = torch.zeros(3000, H, dtype=torch.float64)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        total, _ = head.loss(head(h), targets)
        (total / count).backward()
        optimizer.step()
    assert float((total - own).detach()) / count < 0.01


class Laplace(Head):
    """A head of one's own, as the class's documentation describes it."""

    def __init__(self, hidden_size):
        super().__init__(hidden_size, 1, Target("floats", 1))

    def _log_prob(self, outputs, targets):
        return (-(outputs - targets).abs() - math.log(2)).sum(-1)


def test_a_head_of_ones_own():
    head = Laplace(3)
    total, count = head.loss(torch.zeros(4, 1), torch.ones(4, 1))
    assert count == 4 and float(total) == pytest.approx(4 * (1 + math.log(2)))
    with pytest.raises(ValueError, match="Laplace: targets have shape"):
        head.loss(torch.zeros(4, 1), torch.ones(4))
    for call in (lambda: head.sample(torch.zeros(4, 1), Philox(1)), lambda: head.describe(torch.zeros(4, 1))):
        with pytest.raises(NotImplementedError, match="Laplace"):
            call()


@pytest.mark.parametrize("name", MAKE)
def test_every_head_fits_into_a_model(name):
    head = MAKE[name](2)
    width = head.target.width
    encoder = unrolled.OneHot(head.output_size) if width is None else unrolled.Linear(width, 3)
    stack = unrolled.Stack([unrolled.GRUCell(encoder.output_size, H)])
    model = unrolled.Model(encoder, stack, head).double()
    _, series = outputs_and_targets(head, 6, 2)
    outputs, _ = model(series[:-1])
    total, count = head.loss(outputs, series[1:])
    total.backward()
    assert count == 10 and all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_every_head_is_exported_and_documented():
    names = {name for name in models.__all__ if isinstance(getattr(models, name), type)}
    heads = {name for name in names if issubclass(getattr(models, name), Head)}
    assert heads == {"Head", "SideBySide", "CTC"} | {type(make(1)).__name__ for make in MAKE.values()}
    for name in models.__all__:
        assert getattr(models, name).__doc__, name
    for name in heads:
        text = getattr(models, name).__doc__
        for part in ("Equation::", "Shapes:", ">>>"):
            assert part in text, (name, part)
