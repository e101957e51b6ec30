"""Schedule, budget, averaging, optimizers, options."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unrolled.errors import UsageError
from unrolled.training.averaging import Average
from unrolled.training.optimizers import make_optimizer
from unrolled.training.options import OPTIMIZERS, TrainingOptions
from unrolled.training.options import SCHEDULES as NAMES
from unrolled.training.schedule import SCHEDULES, Budget, cosine, passed


@given(st.floats(0, 0.9), st.floats(0, 1))
def test_cosine_rises_to_one_and_ends_at_zero(warmup, p):
    assert 0 <= cosine(p, warmup) <= 1
    assert cosine(warmup, warmup) == pytest.approx(1)
    assert cosine(1, warmup) == pytest.approx(0)


@given(st.floats(0, 0.9), st.floats(0, 1))
def test_every_schedule_rises_to_its_peak(warmup, p):
    assert set(SCHEDULES) == set(NAMES)
    for schedule in SCHEDULES.values():
        assert 0 <= schedule(p, warmup) <= 1 and schedule(warmup, warmup) == pytest.approx(1)
    if p >= warmup:
        left = (1 - p) / (1 - warmup)
        assert SCHEDULES["linear"](p, warmup) == pytest.approx(left) and SCHEDULES["constant"](p, warmup) == 1


def test_budgets():
    assert Budget(minutes=2).progress(5, 30) == 0.25
    assert Budget(minutes=2).seconds_left(5, 30) == 90
    assert Budget(updates=10).progress(20, 0) == 1
    assert Budget(updates=10).seconds_left(5, 30) == 30
    assert math.isinf(Budget(updates=10).seconds_left(0, 0))


@given(st.integers(1, 500), st.integers(1, 20))
def test_every_mark_is_passed_once(updates, parts):
    shares = [k / updates for k in range(updates + 1)]
    marks = sum(passed(a, b, parts) for a, b in zip(shares, shares[1:], strict=False))
    assert marks == min(parts, updates)
    assert passed(shares[-2], 1, parts)


def test_average_is_the_exponential_moving_average():
    model = torch.nn.Linear(1, 1, bias=False).double()
    average = Average(model, 0.9)
    expected = model.weight.item()
    for n in range(1, 200):
        torch.nn.init.normal_(model.weight)
        average.update()
        d = min(0.9, (1 + n) / (10 + n))
        expected = d * expected + (1 - d) * model.weight.item()
    now = model.weight.item()
    with average.in_place():
        assert model.weight.item() == pytest.approx(expected, rel=1e-12)
    assert model.weight.item() == now


def test_no_average_is_the_weights():
    model = torch.nn.Linear(1, 1)
    average = Average(model, 0.0)
    average.update()
    now = model.weight.item()
    with average.in_place():
        assert model.weight.item() == now


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_down(name):
    w = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = make_optimizer(name, torch.nn.ParameterList([w]), lr=0.05, weight_decay=0.0)
    for _ in range(100):
        w.grad = 2 * w.detach()
        optimizer.step()
    assert w.square().sum() < 1


@pytest.mark.parametrize("momentum", [None, 0.0, 0.5])
def test_gradient_descent_by_hand(momentum):
    """Nesterov's: v <- m v + g, w <- w - lr (g + m v); plain gradient descent where m is 0."""
    w = torch.nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.double))
    optimizer = make_optimizer("sgd", torch.nn.ParameterList([w]), lr=0.05, weight_decay=0.0, momentum=momentum)
    m = 0.9 if momentum is None else momentum
    expected, v = w.detach().clone(), torch.zeros(2).double()
    for _ in range(5):
        w.grad = 2 * w.detach()
        optimizer.step()
        g = 2 * expected
        v = m * v + g
        expected = expected - 0.05 * (g + m * v)
    torch.testing.assert_close(w.detach(), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"minutes": 1, "epochs": 1}, "--minutes: give --minutes or --epochs, not both"),
        ({"minutes": 0}, "--minutes: must be a number above 0"),
        ({"epochs": -1}, "--epochs: must be a number above 0"),
        ({"lr": math.nan}, "--lr"),
        ({"batch": 0}, "--batch: must be a whole number from 1"),
        ({"bptt": -1}, "--bptt"),
        ({"update_every": 200}, "--update-every: must be at most --bptt 100"),
        ({"update_every": 50, "carry": False}, "--update-every: a sliding window"),
        ({"optimizer": "lion"}, "--optimizer: must be one of adam, adamw, muon, rmsprop, sgd"),
        ({"warmup": 1}, "--warmup"),
        ({"schedule": "steps"}, "--schedule: must be one of cosine, linear, constant"),
        ({"optimizer": "sgd", "momentum": 1.0}, r"--momentum: must lie in \[0, 1\)"),
        ({"momentum": 0.5}, "--momentum: applies to --optimizer sgd only"),
        ({"ema": 1}, "--ema"),
        ({"clip": "hard"}, "--clip: expected a norm such as 1"),
        ({"clip": "-1"}, "--clip"),
        ({"clip": "value:0"}, "--clip"),
        ({"seed": -1}, "--seed"),
        ({"seed": 2**63}, "--seed"),
        ({"batch": "8"}, "--batch: expected a whole number, got '8'"),
        ({"batch": True}, "--batch: expected a whole number"),
        ({"lr": "fast"}, "--lr: expected a number"),
        ({"carry": 1}, "--carry: expected true or false"),
        ({"save_every": -1}, "--save-every"),
    ],
)
def test_options_out_of_range_are_named(given_, message):
    with pytest.raises(UsageError, match=message):
        TrainingOptions(**given_)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("1", ("norm", 1.0)),
        ("norm:0.5", ("norm", 0.5)),
        ("value:5", ("value", 5.0)),
        ("off", ("off", 0.0)),
        ("0", ("off", 0.0)),
        (1, ("norm", 1.0)),
        (0.5, ("norm", 0.5)),
    ],
)
def test_clip_is_read(text, meaning):
    assert TrainingOptions(clip=text).clipping() == meaning
