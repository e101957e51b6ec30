"""Latching, clipping and the forget bias: data, criteria, chance, and small versions that are learnt."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.lab import clipping, forget_bias, latch
from unrolled.lab.answers import begin, judged
from unrolled.lab.experiment import Outcome, Setting
from unrolled.lab.figures import draw_decay, draw_success
from unrolled.models.build import cells_of

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(10, 200), SEEDS, st.sampled_from([1, 3]))
def test_the_first_inputs_alone_say_the_class(lag, seed, informative):
    batch = latch.draw(informative, lag, 40, np.random.default_rng(seed))
    assert batch.inputs.shape[1:] == (40, 1) and batch.targets.shape == (40, 1)
    for n, length in enumerate(batch.lengths.tolist()):
        assert lag <= length <= lag + lag / 10 and not batch.inputs[length:, n].any()
        assert (batch.inputs[:informative, n] == (1 if batch.targets[n] else -1)).all()


def test_the_noise_has_the_papers_variance():
    batch = latch.draw(3, 100, 1000, np.random.default_rng(0))
    noise = batch.inputs[3:100].double()
    assert float(noise.mean()) == pytest.approx(0, abs=0.01) and float(noise.var()) == pytest.approx(0.2, abs=0.005)


def test_slopes_are_the_spectral_radius_and_with_input_the_lyapunov_exponent():
    for scale in (0.9, 1.1):
        found = latch.decay(scale, seed=5)
        assert found["slope"] == pytest.approx(np.log(scale), rel=0.01)
        assert found["noisy"] == pytest.approx(found["exponent"], abs=0.02)
        assert found["noisy"] < found["slope"]
    figure = draw_decay([latch.decay(0.9, 1, steps=60)])
    assert len(figure.axes[0].lines) == 5


def test_latching_is_learnt_and_its_criterion_can_fail(monkeypatch):
    monkeypatch.setattr(latch, "TRAINING", dataclasses.replace(latch.TRAINING, budget=30_000))
    made = latch.run(Setting("lstm", 20, latch.THREE), 1001)
    assert made.solved and made.score < 0.05
    one = latch.problem(latch.ONE)
    fresh = begin(one, latch.TRAINING, Setting("lstm", 20, latch.ONE), seed=1)
    assert not latch.is_latched(fresh, one, one.draw(20, 256, np.random.default_rng(1)))
    sure = torch.tensor([[1.5], [1.3]])  # errors of 0.18 and 0.21
    assert judged(one, sure, torch.ones(2, 1))[0].tolist() == [False, True]


@settings(max_examples=20, deadline=None)
@given(st.integers(20, 200), SEEDS)
def test_orders_of_one_length(lag, seed):
    batch = clipping.draw(lag, 30, np.random.default_rng(seed))
    assert batch.inputs.shape == (lag, 30) and (batch.lengths == lag).all()
    first_two = [[int(s) - 6 for s in batch.inputs[:, n] if s >= 6] for n in range(30)]
    assert [2 * a + b for a, b in first_two] == batch.targets.tolist()


def test_success_is_told_by_the_most_active_class_and_drawn_by_length():
    right = clipping.misclassified(torch.tensor([[1.0, 2, 0, 0], [float("nan")] * 4]), torch.tensor([1, 0]))
    assert right.flatten().tolist() == [0, 1]
    outcomes = {Setting("elman", T, clipping.FREE): [Outcome(T < 100, 1, 0.0)] for T in (50, 100)}
    assert draw_success(clipping.EXPERIMENT, outcomes).axes[0].lines[0].get_ydata().tolist() == [1, 0]


def test_clipping_changes_what_is_learnt(monkeypatch):
    monkeypatch.setattr(clipping, "TRAINING", dataclasses.replace(clipping.TRAINING, budget=4000, rate=1.0))
    with_it, without = (clipping.run(Setting("elman", 20, v), 1001) for v in (clipping.CLIPPED, clipping.FREE))
    assert with_it.details["curve"][-1]["loss"] != without.details["curve"][-1]["loss"]
    assert not with_it.solved


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 8))
def test_answers_are_those_of_the_problem_without_its_letters(seed, digits):
    asked, answer = forget_bias.problem(np.random.default_rng(seed), digits)
    assert asked[-1] == "=" and answer[-1] == "."
    assert not re.search("[a-z]{4}", asked)
    one, sign, two = re.fullmatch(r"(-?\d+)([+-])(\d+)", re.sub("[a-z=]", "", asked)).groups()
    assert max(len(one.lstrip("-")), len(two)) <= digits
    assert int(answer[:-1]) == (int(one) + int(two) if sign == "+" else int(one) - int(two))


def test_only_symbols_of_the_answer_are_targets():
    batch = forget_bias.encode([("1a+2=", "3."), ("-1-2b=", "-3.")])
    x, target, text = batch.inputs, batch.targets, forget_bias.SYMBOLS
    counted = [target[:, n][batch.mask[:, n]] for n in range(2)]
    assert ["".join(text[k] for k in row) for row in counted] == ["3.", "-3."] and batch.lengths.tolist() == [6, 8]
    assert text[x[4, 0]] == "=" and text[target[4, 0]] == "3" and text[x[5, 0]] == "3" and text[target[5, 0]] == "."


def test_chance_is_as_it_should_be():
    generator = torch.Generator().manual_seed(4)
    assert latch.chance(Setting("lstm", 50, latch.ONE), generator) == pytest.approx(1 / 2, abs=0.02)
    assert clipping.chance(Setting("elman", 50, clipping.FREE), generator) == pytest.approx(3 / 4, abs=0.02)
    assert forget_bias.chance(Setting("lstm"), generator) == pytest.approx(1 / 12, abs=0.01)


def test_the_forget_bias_is_set_and_arithmetic_is_learnt_a_little(monkeypatch):
    nets = [forget_bias.begin(Setting("lstm", None, v), 1) for v in forget_bias.BIASES]
    cells = [cell for net in nets for cell in cells_of(net.stack)]
    one, none = (cell.x.bias[cell.x.rows("f")] for cell in cells)
    assert (one == 1).all() and (none == 0).all()
    monkeypatch.setattr(forget_bias, "BUDGET", 5000)
    made = forget_bias.run(Setting("lstm", None, "forget bias 1"), 1001)
    assert not made.solved and 0.3 < made.score < 0.9
