"""Warnings: each with what would cause it, and never without."""

from __future__ import annotations

import contextlib
import math
import random
from itertools import pairwise

import pytest
import torch

import unrolled
from helpers import TINY, history
from unrolled.errors import RunError
from unrolled.insight.watch import Change, Watch
from unrolled.training.advice import Advice
from unrolled.training.options import TrainingOptions

ADVICE = Advice(TrainingOptions(epochs=2, lr=0.01, bptt=60), {"hidden": 8, "layers": 1, "dropout": 0.0})
SGD = Advice(TrainingOptions(epochs=2, lr=0.01, optimizer="sgd"), {})
GOOD = {"norm": 20.0, "clipped": 0.0, "share": 0.5, "lr": 0.01, "peak": 0.01, "advice": ADVICE}


def causes(warned: list[dict]) -> list[str]:
    return [w["cause"] for w in warned]


def reports(watch: Watch, losses: list[float], **given) -> list[str]:
    return [c for loss in losses for c in causes(watch.report(loss, **GOOD | given))]


def look(layer: str, named: dict[str, torch.Tensor]) -> list[dict]:
    return Watch().units([(layer, named, ("h",))], ADVICE)


def test_a_good_run_is_not_warned_of():
    watch = Watch(change=1e-3)
    assert reports(watch, [3.0, 2.5, 2.0, 1.8, 1.9, 1.7]) == []
    for loss in (2.0, 1.9, 1.91, 1.8):
        assert watch.validation(loss, ADVICE) == []
    curve = [0.9**k for k in range(50)]
    assert watch.lags({"1.h": curve}, 0.5, ADVICE) == watch.lags({"1.h": curve}, 0.6, ADVICE) == []


def test_most_steps_clipped_is_said_once_and_after_three_reports():
    watch = Watch()
    assert reports(watch, [3.0, 2.9], clipped=0.9) == []
    assert reports(watch, [2.8, 2.7, 2.6, 2.5], clipped=0.9) == ["most steps clipped"]


@pytest.mark.parametrize(
    ("options", "norm", "said"),
    [
        ({}, 9.0, False),
        ({}, 11.0, True),
        ({"clip": "3"}, 20.0, False),
        ({"optimizer": "rmsprop"}, 2.0, False),
        ({"optimizer": "sgd"}, 2.0, True),
        ({"clip": "value:1"}, 2.0, True),
    ],
)
def test_clipping_is_a_fault_where_it_changes_the_steps_or_gradients_explode(options, norm, said):
    advice = Advice(TrainingOptions(lr=0.01, epochs=2, **options), {})
    found = reports(Watch(), [3.0] * 4, clipped=1.0, norm=norm, advice=advice)
    assert found == ["most steps clipped"] * said


def test_clipping_at_the_start_is_usual():
    assert reports(Watch(), [3.0] * 6, clipped=1.0, share=0.1) == []


def test_a_validation_that_falls_excuses_batches_that_rise():
    watch = Watch()
    assert reports(watch, [3.0, 1.0, 1.6, 1.7]) == []
    watch.validation(1.5, ADVICE)
    assert reports(watch, [1.8, 1.6]) == []
    watch.validation(1.6, ADVICE)  # not the best one
    assert reports(watch, [1.8]) == ["learning rate too high"]


def test_learning_rates():
    assert reports(Watch(), [3.0, 3.1, 3.2, 3.3]) == ["learning rate too high"]
    assert reports(Watch(), [3.0, 1.0, 1.6, 1.7, 1.8]) == ["learning rate too high"]
    assert reports(Watch(change=1e-6), [3.0, 2.999, 2.998]) == ["learning rate too low"]
    assert reports(Watch(change=1e-6), [3.0, 2.999, 2.998], lr=0.001) == []  # it falls to zero at the end of any run


def test_overfitting_needs_training_to_fall_while_validation_rises():
    watch = Watch(train=2.0)
    assert watch.validation(2.0, ADVICE) == []
    watch.train = 1.5
    assert watch.validation(2.1, ADVICE) == watch.validation(2.05, ADVICE) == []
    (warned,) = watch.validation(2.2, ADVICE)
    assert warned["cause"] == "overfitting" and "2.000 to 2.200" in warned["evidence"]
    watch = Watch(train=2.0)
    watch.validation(2.0, ADVICE)
    watch.train = 2.5
    assert watch.validation(2.1, ADVICE) == watch.validation(2.2, ADVICE) == watch.validation(2.3, ADVICE) == []


def test_a_gradient_that_vanishes_and_one_that_is_cut_off():
    vanishing = {"1.h": [0.1**k for k in range(60)]}
    watch = Watch()
    assert watch.lags(vanishing, 0.3, ADVICE) == []
    (warned,) = watch.lags(vanishing, 0.4, ADVICE)
    assert warned["cause"] == "gradient vanishes" and "4 steps back" in warned["evidence"]
    staying = {"1.h": [0.1] * 60, "1.c": [1.0] * 60}
    watch = Watch()
    assert watch.lags(staying, 0.3, ADVICE) == []
    assert causes(watch.lags(staying, 0.4, ADVICE)) == ["chunk shorter than the memory"]
    watch = Watch()
    assert watch.lags(staying, 0.1, ADVICE) == watch.lags(staying, 0.1, ADVICE) == []
    assert watch.lags({}, 0.5, ADVICE) == []
    assert watch.lags({"1.h": [0.0] * 60}, 0.5, ADVICE) == []
    for odd in (math.inf, math.nan):
        assert watch.lags({"1.h": [1.0] * 50 + [odd] * 10}, 0.5, ADVICE) == []


def test_gates_that_are_stuck_and_units_that_are_dead():
    torch.manual_seed(1)
    moving = torch.rand(200, 8)
    fine = {"f": moving, "g": 2 * moving - 1, "h": moving - 0.5}
    assert look("1", fine) == []
    stuck = moving.clone()
    stuck[..., :5] = 0.001
    assert causes(look("1", fine | {"f": stuck})) == ["gates stuck"]
    dead = moving - 0.5
    dead[..., 0] = 0.3
    (warned,) = look("2", fine | {"h": dead})
    assert warned["cause"] == "dead units" and warned["evidence"].startswith("h of layer 2: 12% of the units")
    few = {"f": stuck[:16], "h": dead[:16]}  # any unit may stand still
    assert look("1", few) == []


def test_gates_that_are_stuck_in_many_places_are_one_cause():
    stuck, moving = torch.full((200, 8), 0.001), torch.rand(200, 8)
    layers = [
        ("1", {"i": stuck, "f": stuck, "h": moving}, ("h",)),
        ("2", {"i": moving, "f": stuck, "h": moving}, ("h",)),
    ]
    watch = Watch()
    (warned,) = watch.units(layers, ADVICE)
    assert warned["evidence"].startswith("i of layer 1: 100%, f of layer 1: 100%, f of layer 2: 100% of the units")
    assert watch.units(layers, ADVICE) == []


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_a_loss_that_is_no_number_hides_nothing_that_comes_after(odd):
    assert reports(Watch(), [odd, 3.0, 3.1, 3.2, 3.3]) == ["learning rate too high"]
    assert reports(Watch(), [3.0, odd, 3.2, odd, 3.3, 3.4]) == []  # and is no rise of its own
    watch = Watch()
    assert causes(watch.skipped(0.01, ADVICE)) == ["loss not finite"] and reports(watch, [odd] * 5) == []
    watch = Watch()
    assert watch.validation(2.0, ADVICE) == []
    reports(watch, [2.0, odd])
    watch.validation(2.1, ADVICE)
    reports(watch, [1.5])
    assert [causes(watch.validation(v, ADVICE)) for v in (2.1, 2.2, 2.3)] == [[], [], ["overfitting"]]


def test_a_rate_is_never_both_too_low_and_too_high():
    """Updates that hardly change anything leave a loss that goes up and down by chance."""
    assert reports(Watch(change=1e-6), [3.0, 3.3, 3.3, 3.3, 3.3]) == ["learning rate too low"]


def test_steps_that_the_limit_makes_small_are_the_limits_doing():
    given = {"clipped": 1.0, "advice": SGD}
    watch = Watch(change=1e-7)
    made = [w for loss in (3.0, 2.9, 2.9, 2.9, 2.9) for w in watch.report(loss, **GOOD | given)]
    assert (
        causes(made) == ["most steps clipped"]
        and "than --clip 1 (see |g| in the reports); clipping limits an update to 1e-07" in made[0]["cure"]
    )
    both = {"learning rate too low", "most steps clipped"}  # adam's steps are not the limit's
    assert set(reports(Watch(change=1e-7), [3.0, 2.9, 2.9], clipped=1.0)) == both


def test_what_too_high_a_rate_brings_about_is_not_said_again():
    watch = Watch()
    assert reports(watch, [3.0, 5.0]) == []
    assert reports(watch, [5.0] * 5, clipped=0.9) == ["learning rate too high"]
    stuck = torch.full((200, 8), 0.001)
    assert watch.units([("1", {"f": stuck, "h": stuck}, ("h",))], ADVICE) == []
    vanishing = {"1.h": [0.1**k for k in range(60)]}
    assert watch.lags(vanishing, 0.3, ADVICE) == watch.lags(vanishing, 0.4, ADVICE) == []
    assert causes(watch.skipped(0.01, ADVICE)) == ["loss not finite"]  # that an update was left out is


@pytest.mark.parametrize("below", [-2.0, 0.001])
def test_losses_about_zero_and_below_it(below):
    losses = [3.0, below, below + 0.002, below + 0.002, below + 0.002]
    assert reports(Watch(), losses) == []
    assert reports(Watch(), [*losses, *[below + 2.0] * 3]) == ["learning rate too high"]
    watch = Watch(train=below)
    watch.validation(below, ADVICE)
    watch.train = below - 0.1
    assert [watch.validation(below + abs(below) / 1000, ADVICE) for _ in range(4)] == [[]] * 4


def test_change_is_relative():
    w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    change = Change([w])
    with torch.no_grad():
        w += torch.tensor([0.03, 0.04])
    assert change.size() == pytest.approx(0.01, rel=1e-4)


class Forgetful(unrolled.ElmanCell):
    """Its recurrent weights begin near zero."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.h.weight.data.mul_(0.01)


class Dead(unrolled.ElmanCell):
    """Half of its rectified units never rise above zero."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size, nonlinearity="relu")
        self.x.bias.data[: hidden_size // 2] = -100


class Breaking(unrolled.ElmanCell):
    """Not a number from its first step on."""

    def step(self, x, h):
        return super().step(x, h) * math.nan


def warnings_of(text, run, **options) -> list[dict]:
    """What a run warned of, checked for what holds of every warning."""
    told: list[dict] = []
    with contextlib.suppress(RunError):  # that it stops is another test's business
        unrolled.fit(text, run, **TINY | {"epochs": 2} | options, listen=told.append)
    warned = [e for e in told if e["event"] == "warning"]
    assert len({e["cause"] for e in warned}) == len(warned)
    assert all(e["evidence"] and e["cure"] for e in warned)
    assert [e for e in history(run) if e["event"] == "warning"] == warned
    return warned


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"lr": 1e-8}, "learning rate too low"),
        ({"lr": 1e-3, "clip": 1e-3}, "most steps clipped"),
        ({"cell": "elman", "lr": 10.0}, "learning rate too high"),
        ({"cell": Forgetful, "lr": 1e-3, "bptt": 50}, "gradient vanishes"),
        ({"forget_bias": 6.0, "lr": 1e-3}, "chunk shorter than the memory"),
        ({"forget_bias": 20.0}, "gates stuck"),
        ({"cell": Dead}, "dead units"),
        ({"cell": Breaking}, "loss not finite"),
    ],
)
def test_runs_that_go_wrong_say_so_once(text, tmp_path, options, cause):
    assert causes(warnings_of(text, tmp_path / "run", **options)).count(cause) == 1


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_run_that_learns_noise_by_heart_is_told_of_overfitting(tmp_path, optimizer):
    noise = tmp_path / "noise.txt"
    noise.write_text("".join(random.Random(1).choices("abcdefgh", k=3000)))
    found = causes(warnings_of(noise, tmp_path / "run", split="50/50/0", hidden=64, epochs=30, optimizer=optimizer))
    allowed = ["chunk shorter than the memory"] * (optimizer == "muon")  # which may use what came long before
    assert [cause for cause in found if cause not in allowed] == ["overfitting"]


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
def test_a_healthy_run_is_not_warned_of(text, tmp_path, cell):
    options = {"cell": cell, "hidden": 32, "bptt": 50, "epochs": 8}
    assert warnings_of(text, tmp_path / "run", **options) == []
    assert history(tmp_path / "run")[-1]["validation"]["loss"] < 1  # it did learn


def test_the_cure_of_a_gradient_that_vanishes_depends_on_the_cell(text, tmp_path):
    (warned,) = (
        w
        for w in warnings_of(text, tmp_path / "run", forget_bias=-6.0, lr=1e-3, bptt=50)
        if w["cause"] == "gradient vanishes"
    )
    assert "gates that start open (--chrono" in warned["cure"]
    (warned,) = (
        w for w in warnings_of(text, tmp_path / "other", cell=Forgetful, lr=1e-3, bptt=50) if "vanish" in w["cause"]
    )
    assert "--cell lstm or --cell gru" in warned["cure"]


@pytest.mark.parametrize("cell", ["lstm", "elman"])
def test_a_run_keeps_gradients_by_position_and_by_lag(text, tmp_path, cell):
    run = tmp_path / "run"
    unrolled.fit(text, run, **TINY | {"epochs": 2, "layers": 2, "cell": cell, "lr": 0.01})
    events = history(run)
    positions = [e["by_position"] for e in events if e["event"] == "gradients"]
    lags = [e["by_lag"] for e in events if e["event"] == "lags"]
    states = ["h", "c"] if cell == "lstm" else ["h"]
    names = [f"{layer}.{s}" for layer in (1, 2) for s in states]
    updates = [e["update"] for e in events if e["event"] == "gradients"]
    last = max(e["update"] for e in events)
    assert updates[0] == 1 and all(10 <= b - a <= 12 for a, b in pairwise(updates)) and last - updates[-1] < 12
    assert len(lags) == 11
    for curves in (*positions, *lags):
        assert list(curves) == names
        assert all(18 <= len(curve) <= 20 and all(map(math.isfinite, curve)) for curve in curves.values())
    for curves in lags:  # the loss of the last step alone: h of the last layer is nearest to it
        assert curves["2.h"][0] > 0
        assert curves["2.h"][0] > curves["2.h"][-1]
        assert cell == "elman" or curves["2.c"][0] == 0  # no later step reads c
    late = positions[-1]["2.h"]
    assert min(late) > 0.05 * max(late)  # near losses dominate: no lag is to be seen by position
