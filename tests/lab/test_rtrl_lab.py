"""The memory longer than the window, and depths at equal numbers of parameters."""

import numpy as np
import pytest
import torch

from unrolled.lab import depth, rtrl
from unrolled.lab.experiment import Setting

pytestmark = pytest.mark.usefixtures("one_thread")


def test_trials_are_a_cue_distractors_and_a_query():
    symbols, answers = rtrl.draw(np.random.default_rng(0), 50, 3, lag=6)
    assert symbols.shape == (50, 7, 3)
    assert (symbols[:, 0] == answers).all() and set(answers.unique().tolist()) == {0, 1}
    assert set(symbols[:, 1:6].unique().tolist()) == {2, 3}
    assert (symbols[:, 6] == 4).all()


@pytest.mark.parametrize("cell", rtrl.CELLS)
def test_rtrl_is_exact_and_truncation_is_not(cell):
    made = rtrl.truncation(rtrl.begin(cell, 6, seed=1), lag=4, seed=1)
    assert made["largest"] > 1e-3 and made["difference"] < 1e-10
    assert made["window"] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert made["cosine"][0] < 0.9 < made["cosine"][-1] <= 1 + 1e-9
    assert made["ratio"][0] < 0.9


def test_truncated_gradients_are_those_of_each_query_by_itself():
    net = rtrl.begin("gru", 6, seed=1).double()
    (layer,) = net.stack.layers
    symbols, _ = rtrl.draw(np.random.default_rng(0), 4, rtrl.STREAMS, lag=4)
    steps = net.encoder(symbols.flatten(0, 1))
    h = rtrl._cut(net, steps, [14, 19], 3)
    for k, query in enumerate((14, 19)):
        with torch.no_grad():
            _, state = layer(steps[: query - 2])
        alone = layer(steps[query - 2 : query + 1], state)[0][-1]
        for weight in layer.parameters():
            both = [torch.autograd.grad(part.sum(), weight, retain_graph=True)[0] for part in (h[k], alone)]
            torch.testing.assert_close(*both, rtol=1e-11, atol=1e-11)


def test_a_window_that_reaches_the_first_step_is_rtrl():
    found = []
    trial = rtrl.trial(4, rtrl.STREAMS, np.random.default_rng(0))
    for make in (rtrl.forward, lambda net: rtrl.windowed(5)):
        net = rtrl.begin("lstm", 6, seed=1).double()
        loss = make(net)(net, trial, None)
        assert loss.count == rtrl.STREAMS
        loss.total.backward()
        found.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    torch.testing.assert_close(*found, rtol=1e-11, atol=1e-11)


def test_what_lies_before_the_window_is_learnt_by_rtrl_alone(monkeypatch):
    assert rtrl.run(Setting("lstm", 6, "RTRL"), 1).solved
    monkeypatch.setattr(rtrl, "TRIALS", 300)
    short = rtrl.run(Setting("lstm", 6, "window T / 2"), 1)
    assert not short.solved


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", ["lstm", "gru", "elman", "lstm1997"])
def test_depths_have_equal_numbers_of_parameters(cell, layers):
    hidden = depth.width(cell, layers, 50, 20_000)
    model = depth.build(cell, layers, hidden, 50, seed=1)
    count = sum(p.numel() for p in model.parameters())
    others = [depth.parameters(cell, layers, hidden + step, 50) for step in (-1, 1)]
    assert all(abs(count - 20_000) <= abs(other - 20_000) for other in others)
    assert len(model.stack.layers) == layers


def test_a_depth_is_trained_on_pythons_own_source(monkeypatch):
    numbers, size = depth.text()
    assert len(numbers) == depth.CHARACTERS and numbers.max() == size - 1 < 128
    for name, value in {"PARAMETERS": 8000, "UPDATES": 30, "BATCH": 8, "BPTT": 32}.items():
        monkeypatch.setattr(depth, name, value)
    outcome = depth.run(Setting("lstm", None, "2 layers"), 1)
    losses = [record["validation"] for record in outcome.details["curve"]]
    assert outcome.score == min(losses) < losses[0] < depth.chance(Setting("lstm"), None)
    assert not outcome.solved and outcome.score > outcome.details["pairs"]
