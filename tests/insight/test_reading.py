"""Gates, saturation, units and errors, against networks whose insides are known."""

import math

import numpy as np
import pytest
import torch

import unrolled
from helpers import ALL_CELLS, cells
from unrolled import Bidirectional, Embedding, Model, OneHot, Recurrent, Softmax, Stack
from unrolled.insight.errors import by_cause, losses, needs_memory
from unrolled.insight.findings import examine
from unrolled.insight.gates import gates, state_names
from unrolled.insight.saturation import saturation
from unrolled.insight.units import units
from unrolled.tasks.text.features import text_features

SYMBOLS = ['"', "a", "b", " ", "\n"]


class Planted(unrolled.Cell):
    """Unit 3 counts quotes and is 1 inside them; unit 5 is 1 after a space; the others are noise of the input."""

    state = ("h",)

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        torch.manual_seed(0)
        self.noise = torch.nn.Linear(input_size, hidden_size)

    def step(self, x, h):
        quote = x[:, :1]
        inside = h[:, 3:4] * (1 - quote) + (1 - h[:, 3:4]) * quote
        rest = torch.tanh(self.noise(x) + h)
        return torch.cat([rest[:, :3], inside, rest[:, 4:5], x[:, 3:4], rest[:, 6:]], dim=1)


def planted():
    return Model(OneHot(5), Stack([Planted(5, 8)]), Softmax(8, 5))


def quoted(T, seed=0):
    """Random symbols with a quote now and then."""
    random = np.random.default_rng(seed)
    return random.choice(5, size=T, p=[0.08, 0.4, 0.3, 0.17, 0.05])


# -- gates


@pytest.mark.parametrize("name", ALL_CELLS)
def test_gates_are_what_the_equation_names_as_the_layer_runs_it(name):
    cell = cells(3, 4)[name]
    layer = Recurrent(cell)
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    named = gates(layer, x)
    output, last = layer(x)
    for state, s in zip(cell.state, last, strict=True):
        np.testing.assert_allclose(named[f"1.{state}"][-1], s.detach(), rtol=1e-10)
    np.testing.assert_allclose(named[f"1.{cell.state[0]}"], output.detach(), rtol=1e-10)
    assert {f"1.{s}" for s in cell.state} == set(state_names(layer)) <= set(named)
    assert all(v.shape[:2] == (6, 2) and v.ndim == 3 for v in named.values())


def test_the_numbers_of_an_lstm_fit_together_across_layers():
    model = Model(Embedding(7, 3), Stack([unrolled.LSTMCell(3, 4), unrolled.LSTMCell(4, 5)]), Softmax(5, 7))
    numbers = torch.tensor([[1, 2], [3, 4], [5, 6]])
    named = gates(model, numbers)
    for k in (1, 2):
        i, f, g, o, c, h = (named[f"{k}.{n}"] for n in "ifgoch")
        np.testing.assert_allclose(c[1:], f[1:] * c[:-1] + i[1:] * g[1:], atol=1e-6)
        np.testing.assert_allclose(h, o * np.tanh(c), atol=1e-6)
    scores = model.head(torch.from_numpy(named["2.h"]))
    torch.testing.assert_close(scores, model(numbers)[0])


def test_names_that_are_no_vector_a_sequence():
    class Odd(unrolled.Cell):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.w = torch.nn.Parameter(torch.ones(hidden_size))

        def step(self, x, h):
            part = self.w[:2]
            block = self.w.expand(5, -1)
            is_high = x > 0
            pairs = torch.stack([h, h], dim=2)
            return torch.tanh(h + self.w) * is_high + 0 * part.sum() * block.sum() * pairs[:, :, 0]

    x = torch.randn(4, 2, 3)
    named = gates(Recurrent(Odd(3, 3)), x)
    assert list(named) == ["1.is_high", "1.pairs", "1.h"]
    assert named["1.is_high"].dtype == np.float32
    h = torch.zeros(2, 3)
    for t in range(4):
        np.testing.assert_array_equal(named["1.is_high"][t], x[t] > 0)
        np.testing.assert_array_equal(named["1.pairs"][t], h.repeat_interleave(2, dim=1))
        h = torch.tanh(h + 1) * (x[t] > 0)
        np.testing.assert_allclose(named["1.h"][t], h, rtol=1e-6)
        h = torch.from_numpy(named["1.h"][t])


def test_both_directions_are_read():
    both = Stack([Bidirectional(unrolled.GRUCell(2, 3), unrolled.LSTMCell(2, 3))])
    x = torch.randn(4, 1, 2)
    named = gates(both, x)
    assert state_names(both) == ["1 forward.h", "1 backward.h", "1 backward.c"]
    assert set(state_names(both)) <= set(named)
    (y, ((_, (_, c)),)) = both(x)
    for name, part in zip(("1 forward.h", "1 backward.h"), y.detach().split(3, dim=2), strict=True):
        np.testing.assert_allclose(named[name], part, rtol=1e-5)
    np.testing.assert_allclose(named["1 backward.c"][0], c.detach(), rtol=1e-5)  # the first symbol is its last
    state = (((torch.ones(1, 3),), (torch.ones(1, 3), torch.ones(1, 3))),)
    begun, wanted = gates(both, x, state), both(x, state)[0].detach()
    np.testing.assert_allclose(begun["1 backward.h"], wanted[:, :, 3:], rtol=1e-5)
    with pytest.raises(ValueError, match="state must be a pair"):
        gates(both, x, (state[0][0],))
    with pytest.raises(ValueError, match="gates: state has 2 entries, expected one entry per layer: 1"):
        gates(both, x, (*state, *state))
    with pytest.raises(ValueError, match="gates: state has the type Tensor, expected one entry per layer: 1"):
        gates(both, x, torch.ones(1, 3))


# -- saturation


def test_saturation_by_hand():
    f = np.array([[0.05, 0.5], [0.05, 0.95], [0.95, 0.95], [0.09, 0.91], [0.5, 0.2]])[:, None, :]
    h = np.array([[-0.95], [0.95], [0.0], [0.2], [0.91]])[:, None, :]
    c = h * 10
    found = {s.name: s for s in saturation({"1.f": f, "1.h": h, "1.c": c}, ["1.h", "1.c"])}
    assert found["1.f"].kind == "gate"
    np.testing.assert_allclose(found["1.f"].low, [3 / 5, 0])
    np.testing.assert_allclose(found["1.f"].high, [1 / 5, 3 / 5])
    assert found["1.f"].low_share == pytest.approx(3 / 10)
    assert found["1.f"].high_share == pytest.approx(4 / 10)
    assert found["1.f"].mean == pytest.approx(f.mean())
    assert (found["1.h"].kind, found["1.c"].kind) == ("tanh", "unbounded")
    assert (found["1.h"].low_share, found["1.h"].high_share) == (1 / 5, 2 / 5)
    assert (found["1.c"].low_share, found["1.c"].high_share) == (1 / 5, 3 / 5)


def test_a_state_between_0_and_1_is_no_gate():
    h = np.full((4, 1, 2), 0.5)
    assert saturation({"1.h": h}, ["1.h"])[0].kind == "tanh"
    assert saturation({"1.h": h})[0].kind == "gate"


def test_a_gate_that_a_bias_holds_open():
    cell = unrolled.LSTMCell(2, 3)
    with torch.no_grad():
        for p in cell.parameters():
            p.zero_()
        cell.x.bias[3:6] = torch.tensor([6.0, -6.0, 0.0])  # of f, behind i
    found = {s.name: s for s in saturation(gates(Recurrent(cell), torch.randn(9, 1, 2)), ["1.h", "1.c"])}
    assert found["1.f"].high.tolist() == [1, 0, 0]
    assert found["1.f"].low.tolist() == [0, 1, 0]
    assert found["1.o"].high.tolist() == found["1.o"].low.tolist() == [0, 0, 0]


# -- units


def test_the_planted_units_are_found():
    numbers = quoted(600)
    letters = [SYMBOLS[n] for n in numbers]
    named = gates(planted(), torch.from_numpy(numbers)[:, None])
    found = {u.feature: u for u in units({"1.h": named["1.h"]}, text_features(letters))}
    for feature, unit in (("inside quotes", 3), ("space", 5)):
        assert (found[feature].name, found[feature].unit) == ("1.h", unit)
        assert found[feature].correlation == pytest.approx(1, abs=1e-6)
        assert found[feature].n == 300
        assert found[feature].p == 1 / (300 - 2 * 30 + 2)  # no shift of them all gives as much
    assert "digit" not in found  # there is none in the text


def test_correlations_are_those_of_numpy():
    random = np.random.default_rng(1)
    states = random.normal(size=(80, 3, 4))
    feature = random.normal(size=(80, 3)) + states[:, :, 2]
    (best,) = units({"2.c": states}, {"f": feature})
    assert (best.name, best.unit) == ("2.c", 2)
    held = np.corrcoef(states[40:, :, 2].ravel(), feature[40:].ravel())[0, 1]
    picked = np.corrcoef(states[:40, :, 2].ravel(), feature[:40].ravel())[0, 1]
    assert (best.correlation, best.picked) == (pytest.approx(held), pytest.approx(picked))
    assert units({"2.c": states}, {"f": -feature})[0].correlation == pytest.approx(-held)


def test_chance_is_not_taken_for_a_finding():
    """Of smooth noise, about one in twenty has p below 0.05; of 60 more than ten would be one in a thousand."""
    random = np.random.default_rng(2)
    smooth = random.normal(size=(400, 60, 21))
    for t in range(1, 400):
        smooth[t] = 0.9 * smooth[t - 1] + math.sqrt(1 - 0.9**2) * smooth[t]
    found = [units({"1.h": smooth[:, k, None, :20]}, {"f": smooth[:, k, 20]})[0] for k in range(60)]
    assert sum(u.p <= 0.05 for u in found) <= 10
    assert np.mean([abs(u.picked) for u in found]) > 2 * np.mean([abs(u.correlation) for u in found])


def test_several_units_for_each_feature_and_what_cannot_be_compared():
    t = np.arange(100.0)
    states = np.stack([np.sin(t / 5), np.sin(t / 5) + 0.3 * np.cos(t), np.zeros(100)], axis=1)[:, None]
    found = units({"1.h": states}, {"wave": np.sin(t / 5), "never": np.zeros(100)}, each=2)
    assert [(u.feature, u.unit) for u in found] == [("wave", 0), ("wave", 1)]
    assert units({}, {"wave": t}) == []
    with pytest.raises(ValueError, match="19 steps, expected at least 20"):
        units({"1.h": states[:19]}, {"wave": t[:19]})
    with pytest.raises(ValueError, match=r"'wave' has shape \(99,\), expected"):
        units({"1.h": states}, {"wave": t[:99]})


def test_features_that_say_nothing_are_left_out():
    t = np.arange(100.0)
    states = {"1.h": np.stack([np.sin(t / 5), np.cos(t)], axis=1)}  # one sequence, without its N
    wave = np.sin(t / 5)
    odd = np.where(t == 60, np.nan, wave)
    with pytest.warns(UserWarning, match="left out feature 'odd', which is infinite or NaN at some steps"):
        found = units(states, {"wave": wave, "odd": odd, "still": np.full(100, 1e9 + 0.1)})
    assert [(u.feature, u.unit) for u in found] == [("wave", 0)]
    small, large = units(states, {"small": 1e-14 * wave, "large": 1e14 * wave})
    assert small.correlation == pytest.approx(large.correlation) == pytest.approx(found[0].correlation)
    still = {"1.h": np.ones((100, 1, 3))}
    assert units(still, {"wave": wave}) == []
    lost = {"1.h": np.stack([np.full(100, np.nan), wave], axis=1)}
    with pytest.warns(UserWarning, match="left out 1 of 2 units"):
        assert [u.unit for u in units(lost, {"wave": wave}, each=2)] == [1]


@pytest.mark.parametrize(
    ("named", "feature", "said"),
    [
        (np.zeros((60, 1, 2)), ["a"] * 60, "feature 'f' must be numbers or bools"),
        (np.zeros((60, 1, 2)), np.ones(60) * 1j, "feature 'f' must be numbers or bools"),
        (np.zeros((60, 0, 2)), np.ones(60), "no sequences"),
    ],
)
def test_features_that_are_no_numbers_are_named(named, feature, said):
    with pytest.raises(ValueError, match=said):
        units({"1.h": named}, {"f": feature})


def test_arrays_of_other_steps_are_named():
    with pytest.raises(ValueError, match=r"2.c has \(T, N\) = \(50, 1\), others \(60, 1\)"):
        units({"1.h": np.zeros((60, 1, 2)), "2.c": np.zeros((50, 1, 2))}, {"f": np.arange(60)})


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (torch.nn.Linear(2, 2), "expected the arrays from gates"),
        ({"2.f": np.zeros((0, 1, 2))}, "2.f is empty"),
    ],
)
def test_saturation_of_what_is_no_array(named, said):
    with pytest.raises(ValueError, match=said):
        saturation(named)


# -- errors


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return Model(Embedding(6, 4), Stack([unrolled.LSTMCell(4, 5), unrolled.GRUCell(5, 5)]), Softmax(5, 6)).double()


def test_losses_are_those_of_one_stream(model, monkeypatch):
    monkeypatch.setattr("unrolled.insight.errors._SCORES", 30)  # five rows at a time
    numbers = np.random.default_rng(0).integers(0, 6, 33)
    found = losses(model, numbers, top=3, contexts=(1, 4, 50))
    stream = torch.from_numpy(numbers)[:, None]
    logs = torch.log_softmax(model(stream[:-1])[0], dim=2)[:, 0].detach().numpy()
    np.testing.assert_allclose(found.loss, -logs[np.arange(32), numbers[1:]], rtol=1e-10)
    np.testing.assert_array_equal(found.candidates, np.argsort(-logs, axis=1)[:, :3])
    np.testing.assert_allclose(found.probabilities, np.exp(-np.sort(-logs, axis=1)[:, :3]), rtol=1e-10)
    np.testing.assert_allclose(found.short[50], found.loss)
    for k in (1, 4):
        for t in range(32):
            past = stream[max(0, t + 1 - k) : t + 1]
            alone = torch.log_softmax(model(past)[0][-1, 0], dim=0)[numbers[t + 1]]
            assert found.short[k][t] == pytest.approx(-float(alone.detach()), rel=1e-9)


def test_memory_is_needed_where_it_helps(model):
    numbers = np.random.default_rng(1).integers(0, 6, 20)
    found = losses(model, numbers, contexts=(2,))
    gain = found.short[2] - found.loss
    assert needs_memory(found, 2, gain=0.01).tolist() == (gain >= 0.01).tolist()
    assert needs_memory(found, 2, gain=0.01).any() and not needs_memory(found, 2, gain=0.01)[:2].any()


def test_losses_of_too_little(model):
    with pytest.raises(ValueError, match="expected at least two symbols, got 1"):
        losses(model, np.array([3]))


def test_causes_add_up_and_come_in_order():
    random = np.random.default_rng(4)
    loss = random.exponential(1.0, 500)
    a, b = random.random(500) < 0.4, random.random(500) < 0.4
    found = {c.name: c for c in by_cause(loss, {"a": a, "b": b})}
    error = loss > math.log(2)
    for name, where in {
        "a": error & a,
        "b": error & b & ~a,
        "none of these": error & ~a & ~b,
        "no error": ~error,
    }.items():
        assert found[name].count == where.sum() > 0
        assert found[name].nats == pytest.approx(loss[where].sum())
        assert found[name].share == pytest.approx(loss[where].sum() / loss.sum())
    assert sum(c.count for c in found.values()) == 500
    assert sum(c.share for c in found.values()) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"'a' has shape \(3,\), expected \(500,\)"):
        by_cause(loss, {"a": a[:3]})


# -- all of it


def test_findings_of_the_planted_network():
    numbers = quoted(500)
    letters = [SYMBOLS[n] for n in numbers]
    asked = []

    def causes(memory):
        asked.append(memory.shape)
        return {"new line": numbers[1:] == 4}

    found = examine(planted(), numbers, letters, SYMBOLS, numbers == 4, text_features(letters), causes)
    assert asked == [(499,)]
    assert found.following[0].correlation == pytest.approx(1, abs=1e-6)
    first = found.traces[0]
    assert first.unit in (3, 5) and "r = +1.00" in first.follows
    assert not found.gates or {s.name for s in found.gates} <= {"1.quote", "1.inside"}
    assert sum(c.share for c in found.causes) == pytest.approx(1)
    assert found.notes == []
    odd = {"odd": np.full(500, np.inf)}
    noted = examine(planted(), numbers, letters, SYMBOLS, numbers == 4, odd).notes
    assert noted == ["units: left out feature 'odd', which is infinite or NaN at some steps."]


def test_a_cell_that_cannot_be_read_is_noted():
    class Sometimes(unrolled.Cell):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.x = unrolled.Gates("a", input_size, hidden_size)

        def step(self, x, h):
            if not h.any():
                start = self.x(x)
                return torch.tanh(start)
            return torch.tanh(self.x(x) + h)

    model = Model(Embedding(5, 4), Stack([Recurrent(Sometimes(4, 4), backend="eager")]), Softmax(4, 5))
    found = examine(model, quoted(60), [SYMBOLS[n] for n in quoted(60)], SYMBOLS, np.zeros(60, dtype=bool), {})
    assert len(found.losses.loss) == 59
    assert "could not be read: KeyError: 'start'" in found.notes[0]
    assert found.saturation == found.followers == found.traces == []
