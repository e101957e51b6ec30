"""The data of the long-memory experiments against the paper's definitions, written down a second time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.lab import adding, long_lag, multiplication, temporal_order
from unrolled.lab.answers import Recent, judged
from unrolled.lab.experiment import Setting

LAGS = st.integers(20, 130)
SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(LAGS, SEEDS, st.sampled_from(["sum", "product"]))
def test_marked_numbers_are_those_of_the_target(lag, seed, kind):
    draw = adding.draw if kind == "sum" else multiplication.draw
    batch = draw(lag, 50, np.random.default_rng(seed))
    for n, length in enumerate(batch.lengths.tolist()):
        assert lag <= length <= lag + lag / 10
        number, marker = batch.inputs[:length, n].T.tolist()
        assert not batch.inputs[length:, n].any()
        marked = [t for t, m in enumerate(marker) if m == 1]
        others = set(range(length)) - set(marked)
        assert len(marked) == 2 and marked[0] < 10 and marked[1] < lag // 2
        assert all(marker[t] == (-1 if t in (0, length - 1) else 0) for t in others)
        one, two = (number[t] for t in marked)
        low, neutral = (-1, 0) if kind == "sum" else (0, 1)
        assert all(low <= number[t] <= 1 for t in range(length))
        assert marked[0] > 0 or one == neutral
        wanted = 0.5 + (one + two) / 4 if kind == "sum" else one * two
        assert float(batch.targets[n]) == pytest.approx(wanted, abs=1e-6)


def test_places_of_the_marks_are_as_likely_as_in_the_paper():
    batch = adding.draw(100, 40_000, np.random.default_rng(0))
    marks = batch.inputs[:, :, 1] == 1
    among_ten = marks[:10].double().sum() / 40_000
    assert float(among_ten) == pytest.approx(1 + 9 / 49, abs=0.01)  # the first, and the second in 9 of 49 places
    assert float(marks[49].double().mean()) == pytest.approx(1 / 49, abs=0.003)
    assert torch.bincount(batch.lengths)[100:].double().div(40_000).sub(1 / 11).abs().max() < 0.01


@settings(max_examples=40, deadline=None)
@given(LAGS, SEEDS, st.sampled_from([2, 3]))
def test_the_class_is_the_order_of_x_and_y(lag, seed, relevant):
    batch = temporal_order.draw(relevant, lag, 50, np.random.default_rng(seed))
    order = ["".join(o) for o in (("XX", "XY", "YX", "YY") if relevant == 2 else three())]
    places = [(10, 20), (50, 60)] if relevant == 2 else [(10, 20), (33, 43), (66, 76)]
    for n, length in enumerate(batch.lengths.tolist()):
        assert lag <= length <= lag + lag / 10
        assert not batch.inputs[length:, n].any()
        text = "".join("EBabcdXY"[k] for k in batch.inputs[:length, n])
        assert text[0] == "E" and text[-1] == "B" and set(text[1:-1]) <= set("abcdXY")
        found = [(t, c) for t, c in enumerate(text, start=1) if c in "XY"]
        assert order[int(batch.targets[n])] == "".join(c for _, c in found)
        for (t, _), (low, high) in zip(found, places, strict=True):
            assert low * lag // 100 <= t <= high * lag / 100


def three():
    return [f"{a}{b}{c}" for a in "XY" for b in "XY" for c in "XY"]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), SEEDS)
def test_the_last_symbol_is_the_first_or_the_second(p, seed):
    rng = np.random.default_rng(seed)
    batch = long_lag.draw_one(p, 20, rng)
    for n in range(20):
        whole = [*batch.inputs[:, n].tolist(), int(batch.targets[-1, n])]
        assert whole[0] == whole[-1] and whole[0] in (p - 1, p) and whole[1:-1] == list(range(p - 1))
        assert whole[1:] == batch.targets[:, n].tolist()
    assert batch.mask.all() and (batch.lengths == p).all()
    batch = long_lag.draw_random(p, 20, rng)
    e, b, x, y = range(p, p + 4)
    for n, length in enumerate(batch.lengths.tolist()):
        whole = batch.inputs[:length, n].tolist()
        assert whole[0] == b and whole[1] == (y if batch.targets[n] else x) and whole[-1] == e
        assert length >= p + 3 and all(0 <= s < p for s in whole[2:-1])


def test_the_expected_length_is_the_papers():
    lengths = long_lag.draw_random(50, 20_000, np.random.default_rng(1)).lengths + 1  # the last symbol is the target
    assert int(lengths.min()) == 54
    assert float(lengths.double().mean()) == pytest.approx(4 + 50 + 9, abs=0.25)


def test_the_criterion_is_met_by_2000_right_ones_alone():
    recent = Recent(allowed=1, mean_error=0.01)
    recent.add(0, 0.0, 1999)
    assert not recent.met
    recent.add(0, 0.0, 1)
    assert recent.met
    recent.add(1, 0.0, 1)
    assert not recent.met
    recent.add(0, 0.0, 1999)
    assert not recent.met  # the wrong one is the oldest of 2,000
    recent.add(0, 0.0, 1)
    assert recent.met
    of_13 = Recent(allowed=13, mean_error=0.01)
    of_13.add(12, 0.0, 2000)
    assert of_13.met and of_13.wrong == 12
    of_13.add(1, 0.0, 1)
    assert not of_13.met
    for mean, met in ((0.0101, False), (0.0099, True)):
        far = Recent(allowed=1, mean_error=0.01)
        far.add(0, 2000 * mean, 2000)
        assert far.met == met


def test_a_sequence_is_wrong_by_the_papers_measure():
    target = torch.full((3, 1), 0.5)
    wrong, squared = judged(adding.PROBLEM, torch.tensor([[0.539], [0.541], [float("nan")]]), target)
    assert wrong.tolist() == [False, True, True]
    assert squared[0] == pytest.approx(0.039**2, rel=1e-4)
    order = temporal_order.problem("two symbols (6a)")
    sure = torch.tensor([[0.75, 0.15, 0.05, 0.05], [0.69, 0.31, 1e-9, 1e-9]]).log()
    assert judged(order, sure, torch.tensor([0, 0]))[0].tolist() == [False, True]
    one = long_lag.problem(long_lag.ONE, 3)
    y = torch.tensor([[[0.76, 0.12, 0.06, 0.06]] * 2] * 3).log()  # 3 steps of 2 sequences
    assert judged(one, y, torch.tensor([[0, 0], [0, 0], [0, 1]]))[0].tolist() == [False, True]


def test_guesses_are_wrong_as_often_as_they_should_be():
    generator = torch.Generator().manual_seed(3)
    assert adding.chance(Setting("lstm", 100), generator) == pytest.approx(1 - 0.08, abs=0.01)
    # within 0.04 of X1 X2, whose density is -log x: 0.08, less what hangs over 0: the integral of (0.04 - t) (-log t)
    lost = 0.04**2 / 2 * (1.5 - np.log(0.04))
    assert multiplication.chance(Setting("lstm", 100), generator) == pytest.approx(1 - 0.08 + lost, abs=0.01)
    for variant, wrong in (("two symbols (6a)", 3 / 4), ("three symbols (6b)", 7 / 8)):
        assert temporal_order.chance(Setting("lstm", 100, variant), generator) == pytest.approx(wrong, abs=0.015)
    for variant in (long_lag.ONE, long_lag.RANDOM):
        assert long_lag.chance(Setting("lstm", 30, variant), generator) == pytest.approx(1 / 2, abs=0.05)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_short_temporal_order_is_learnt_and_two_runs_are_the_same(cell, monkeypatch):
    monkeypatch.setattr(temporal_order, "TRAINING", dataclasses.replace(temporal_order.TRAINING, budget=40_000))
    made = temporal_order.run(Setting(cell, 20, "two symbols (6a)"), 1001)
    assert made.solved and made.score < 0.01 and made.details["curve"][-1]["wrong"] == 0
    again = temporal_order.run(Setting(cell, 20, "two symbols (6a)"), 1001)
    assert (again.sequences, again.score, again.details) == (made.sequences, made.score, made.details)


def test_a_network_that_has_not_learnt_is_not_called_solved(monkeypatch):
    monkeypatch.setattr(adding, "TRAINING", {100: dataclasses.replace(adding.TRAINING[100], budget=3000)})
    made = adding.run(Setting("elman", 20), 1001)
    assert not made.solved and made.sequences == 3000 and made.score > 0.3


def test_one_path_is_learnt_at_a_short_lag():
    made = long_lag.run(Setting("lstm", 20, long_lag.ONE), 1001)
    assert made.solved and made.score == 0
