"""The lesson on gradients: its numbers are the network's, and it shows what it says."""

import json
import math

import pytest

from unrolled.lab import gradients
from unrolled.lab.gradients import LAGS, RADII, run


@pytest.fixture(scope="module")
def lesson():
    return run(seed=7, starts=4)


def test_products_are_the_lectures(lesson):
    small, one, large = (p.derivatives for p in lesson.products)
    assert small[10] == pytest.approx(5.9049e-6, rel=1e-10) and large[10] == pytest.approx(201.599, rel=1e-5)
    assert set(one.values()) == {1.0}


def test_a_silent_tanh_network_is_a_product_again_and_one_with_input_loses_more(lesson):
    silent = [n for n in lesson.tanh if n.silent]
    driven = [n for n in lesson.tanh if not n.silent]
    assert [n.radius for n in silent] == [n.radius for n in driven] == list(RADII)
    for quiet, loud in zip(silent, driven, strict=True):
        assert quiet.slope == pytest.approx(math.log(quiet.radius), abs=1e-6)
        assert quiet.exponent == pytest.approx(quiet.slope, abs=1e-6)
        assert loud.slope < quiet.slope - 0.1
        assert loud.exponent == pytest.approx(loud.slope, abs=0.05)
    assert [n.verdict.split(":")[0] for n in silent] == ["vanishing", "stable", "exploding"]


def test_gates_that_begin_open_keep_the_gradient(lesson):
    slopes = {n.name: n.slope for n in lesson.gates}
    for cell in ("LSTM", "GRU"):
        assert slopes[f"{cell}, chrono={LAGS}"] > slopes[cell] / 5 > slopes["Elman"]
    assert all((n.kept is None) == (n.name == "Elman") for n in lesson.gates)
    assert all(len(norms) == LAGS + 1 for n in lesson.gates for norms in n.norms.values())


def test_clipping_lets_every_start_learn_and_hardly_any_learns_without(lesson):
    """Without clipping 1 of 60 trainings learnt (20 starts on three instruction sets), and rounding decides which."""
    off, on = lesson.training
    assert (off.clip, on.clip) == (None, gradients.LIMIT)
    assert [run[0] for run in off.losses] == [run[0] for run in on.losses]  # the same starts, the same data
    assert off.learnt < on.learnt == 4
    assert max(sum(losses[-20:]) / 20 for losses in off.losses) > math.log(2)  # worse than guessing
    assert min(map(max, on.norms)) > 10 * gradients.LIMIT  # there is something to clip
    json.dumps(lesson.as_json(), allow_nan=False)


def test_what_is_learnt_is_counted_from_the_losses(lesson):
    for training in lesson.training:
        ends = [sum(losses[-20:]) / 20 for losses in training.losses]
        assert training.learnt == sum(end < gradients.LEARNT for end in ends)
