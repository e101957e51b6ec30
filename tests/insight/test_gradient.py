"""Gradient through time: against autograd step by step, and against what is known exactly."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor

import unrolled
from helpers import PeepholeLSTM, TwoWidths
from unrolled.cells.initial import recurrent_
from unrolled.insight import gates, gradient_through_time, lyapunov, spectral_radius
from unrolled.layers import Bidirectional, Recurrent, Stack

T, N, D, H = 12, 3, 4, 5
CELLS = [unrolled.ElmanCell, unrolled.LSTMCell, unrolled.GRUCell, PeepholeLSTM, TwoWidths]


class Linear(unrolled.Cell):
    """h_t = W h_{t-1} + x_t: nothing bends what W does."""

    def __init__(self, size: int) -> None:
        super().__init__(size, size)
        self.h = unrolled.Gates("h", size, size, bias=False)

    def step(self, x, h):
        return self.h(h) + x


def by_hand(cells: list[unrolled.Cell], x: Tensor, u: Tensor, steps: int) -> dict[str, np.ndarray]:
    """Norms by lag: each state is moved by zeros that have a gradient; nothing of the library's unrolling."""
    states = [cell.initial_state(x.shape[1], x) for cell in cells]
    zeros: dict[str, list[Tensor]] = {}
    for x_t in x[:steps]:
        below = x_t
        for k, cell in enumerate(cells):
            new = cell.step(below, *states[k])
            new = (new,) if isinstance(new, Tensor) else new
            moved = []
            for name, s in zip(cell.state, new, strict=True):
                zero = torch.zeros_like(s, requires_grad=True)
                zeros.setdefault(f"{k + 1}.{name}", []).append(zero)
                moved.append(s + zero)
            states[k] = tuple(moved)
            below = moved[0]
    ((below * u).sum() / x.shape[1]).backward()
    norms = {name: [0.0 if z.grad is None else float(z.grad.norm()) for z in each] for name, each in zeros.items()}
    return {name: np.array(each[::-1]) for name, each in norms.items()}


def direction(width: int, seed: int = 0) -> Tensor:
    u = torch.randn(width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return u / u.norm()


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("at", [None, 7])
def test_norms_by_lag_are_those_of_autograd(kind, at):
    torch.manual_seed(1)
    cells = [kind(D, H).double()]
    cells.append(unrolled.GRUCell(cells[0].output_size, H).double())
    x = torch.randn(T, N, D, dtype=torch.float64)
    found = gradient_through_time(Stack(cells), x, at=at)
    assert cells[0].x.weight.grad is None
    wanted = by_hand(cells, x, direction(H), T if at is None else at + 1)
    assert list(found.norms) == list(wanted)
    for name, norms in wanted.items():
        np.testing.assert_allclose(found.norms[name], norms, rtol=1e-10)
    assert list(found.lags) == list(range(T if at is None else at + 1))


def test_the_loss_is_the_heads_at_one_step():
    torch.manual_seed(1)
    model = unrolled.Model(unrolled.Embedding(6, D), Stack([unrolled.LSTMCell(D, H)]), unrolled.Softmax(H, 6))
    symbols, targets = torch.randint(6, (2, T, N))
    found = gradient_through_time(model, symbols, targets)
    scores, _ = model(symbols)
    y = scores.detach()[-1].requires_grad_()
    torch.nn.functional.cross_entropy(y, targets[-1]).backward()
    wanted = float((y.grad @ model.head.map.weight.detach()).norm())  # back through the head alone
    assert found.norms["1.h"][0] == pytest.approx(wanted, rel=1e-5)
    assert found.norms["1.c"][0] == 0
    again = gradient_through_time(model, symbols, targets[-1])
    np.testing.assert_array_equal(found.norms["1.h"], again.norms["1.h"])
    own = gradient_through_time(model, symbols, loss=lambda s: torch.nn.functional.cross_entropy(s, targets[-1]))
    np.testing.assert_allclose(own.norms["1.h"], found.norms["1.h"], rtol=1e-12)


def test_both_directions_are_followed_away_from_the_loss():
    torch.manual_seed(1)
    layer = Bidirectional(unrolled.ElmanCell(D, H), unrolled.ElmanCell(D, H)).double()
    x = torch.randn(T, N, D, dtype=torch.float64)
    found = gradient_through_time(layer, x, at=4)
    u = direction(2 * H)
    ahead = by_hand([layer.forward_layer.cell], x, u[:H], 5)["1.h"]
    back = by_hand([layer.backward_layer.cell], x.flip(0), u[H:], T - 4)["1.h"]
    np.testing.assert_allclose(found.norms["1 forward.h"], ahead, rtol=1e-10)
    np.testing.assert_allclose(found.norms["1 backward.h"], back, rtol=1e-10)
    model = unrolled.Model(unrolled.Linear(D, D), Stack([layer]), unrolled.Regression(2 * H, 1), "many-to-one")
    ends = gradient_through_time(model.double(), x, torch.zeros(N, 1))
    assert {name: len(norms) for name, norms in ends.norms.items()} == {"1 forward.h": T, "1 backward.h": T}
    assert all(norms[0] > norms[-1] > 0 for norms in ends.norms.values())


@pytest.mark.parametrize(("kind", "gate"), [(unrolled.LSTMCell, "f"), (unrolled.GRUCell, "z")])
def test_the_product_of_the_gates_that_keep(kind, gate):
    torch.manual_seed(1)
    layer = Recurrent(kind(D, H)).double()
    x = torch.randn(T, N, D, dtype=torch.float64)
    found = gradient_through_time(layer, x)
    values = gates(layer, x)[f"1.{gate}"]
    for k in range(T):
        product = np.prod(values[T - k :], axis=0)
        assert found.kept[f"1.{gate}"][k] == pytest.approx(math.sqrt((product**2).mean()), rel=1e-10)
    assert not found.notes


def test_c_alone_is_the_product_of_forget_gates():
    """Without recurrent weights nothing but f lies between c and c of the step before."""
    torch.manual_seed(1)
    cell = unrolled.LSTMCell(1, 1).double()
    cell.h.weight.data.zero_()
    found = gradient_through_time(Recurrent(cell), torch.randn(40, 1, 1, dtype=torch.float64))
    np.testing.assert_allclose(
        found.norms["1.c"] / found.norms["1.c"][1], np.r_[0, (k := found.kept["1.f"])[1:] / k[1]]
    )


@pytest.mark.parametrize("rho", [0.8, 0.95, 1.0, 1.05, 1.2])
def test_the_slope_of_orthogonal_matrices_is_the_log_of_their_scale(rho):
    """Lags 100 to 500: a linear network exactly; a tanh network where it is silent; and one that hears noise."""
    torch.manual_seed(1)
    linear, bent = Linear(16).double(), unrolled.ElmanCell(16, 16).double()
    recurrent_(linear, "orthogonal", rho)
    recurrent_(bent, "orthogonal", rho)
    assert spectral_radius(bent)["h"] == pytest.approx(rho, rel=1e-6)
    noise, silence = torch.randn(501, 1, 16, dtype=torch.float64), torch.zeros(501, 1, 16, dtype=torch.float64)
    for layer, x in ((linear, noise), (bent, silence)):
        slope = gradient_through_time(Recurrent(layer), x, fit=(100, 500)).decay["1.h"]
        assert abs(slope - math.log(rho)) <= 0.05 * abs(math.log(rho)) + 1e-6
    driven = gradient_through_time(Recurrent(bent), noise, fit=(100, 500)).decay["1.h"]
    assert driven < math.log(rho) - 0.05  # tanh' < 1 takes from it


def test_where_tanh_bends_it_the_slope_is_the_largest_lyapunov_exponent():
    torch.manual_seed(1)
    cell = recurrent_(unrolled.ElmanCell(16, 16), "glorot", 1.5)
    x = torch.randn(1000, 4, 16)
    found = gradient_through_time(Recurrent(cell), x, fit=(100, 900))
    largest = lyapunov(Recurrent(cell), x, count=1).exponents[0]
    assert found.decay["1.h"] == pytest.approx(largest, rel=0.05)
    assert abs(largest - math.log(found.radius["1.h"])) > 0.2 * abs(largest)


class Mapped(unrolled.Cell):
    """Recurrent weights in a map of torch's, for two gates."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.h = torch.nn.Linear(hidden_size, 2 * hidden_size)

    def step(self, x, h):
        a, b = self.h(h).chunk(2, dim=1)
        return torch.tanh(a) * torch.sigmoid(b) + x.sum(1, keepdim=True)


def test_the_spectral_radius_of_any_matrix_under_a_states_name():
    cell = Mapped(2, 3)
    cell.h.weight.data = torch.cat([0.5 * torch.eye(3), torch.diag(torch.tensor([1.0, -2.0, 0.0]))])
    assert spectral_radius(cell) == {"h[0]": 0.5, "h[1]": 2.0}
    assert list(spectral_radius(unrolled.Zoneout(unrolled.LSTMCell(2, 3), 0.1))) == ["i", "f", "g", "o"]
    assert spectral_radius(TwoWidths(2, 3)).keys() == {"a"}
    with torch.no_grad():
        cell.h.weight[0, 0] = math.nan
    assert math.isnan(spectral_radius(cell)["h[0]"])


@pytest.mark.parametrize(("rho", "kind"), [(0.7, "vanishing"), (1.0, "stable"), (1.3, "exploding")])
def test_verdicts(rho, kind):
    layer = Recurrent(recurrent_(Linear(6), "orthogonal", rho))
    told = gradient_through_time(layer, torch.randn(60, 1, 6)).verdict
    assert told.kind == kind
    if kind == "vanishing":
        assert told.steps == pytest.approx(math.log(2) / -math.log(rho), rel=1e-4)
        assert "half-life of 1.9 steps" in str(told) and "LSTM, GRU" in told.cure
    elif kind == "exploding":
        assert "doubling every 2.6 steps" in str(told) and "clipping" in told.cure and "1.30" in told.cure
    else:
        assert not told.cure


def test_the_verdict_is_that_of_the_state_that_lasts():
    """An LSTM that keeps, under an Elman layer that forgets: the gradient lives in the lower layer."""
    torch.manual_seed(1)
    lower, upper = unrolled.LSTMCell(D, H, forget_bias=5.0), unrolled.ElmanCell(H, H)
    lower.h.weight.data.mul_(0.1)
    upper.h.weight.data.mul_(0.1)
    found = gradient_through_time(Stack([lower, upper]), 0.1 * torch.randn(80, 1, D), fit=(5, 79))
    assert found.verdict.kind == "stable" and found.verdict.state.startswith("1.")
    assert found.verdicts["1.c"].kind == "stable" and found.verdicts["2.h"].kind == "vanishing"


def test_gradients_that_end_or_overflow_are_told():
    dead = recurrent_(unrolled.ElmanCell(1, 3, nonlinearity="relu"), "identity")
    dead.x.bias.data.fill_(-100.0)
    found = gradient_through_time(Recurrent(dead), torch.zeros(30, 1, 1))
    assert found.verdict.kind == "vanishing" and "zero from lag 1 on" in found.verdict.why
    huge = recurrent_(Linear(3), "identity", 100.0)
    found = gradient_through_time(Recurrent(huge), torch.zeros(400, 1, 3))
    assert found.verdict.kind == "exploding" and "infinite" in found.verdict.why
    json.dumps(found.as_json(), allow_nan=False)


def test_what_cannot_be_shown_is_said():
    layer = Recurrent(unrolled.ElmanCell(D, H))
    found = gradient_through_time(layer, torch.randn(T, 1, D), lags=500, fit=(2, 100))
    assert len(found.lags) == T and found.fitted == (2, T - 1) and not found.kept
    assert any("lags are shown up to 11, not 500" in note for note in found.notes)
    assert any("names no gate that keeps" in note for note in found.notes)
    x = torch.randn(T, 1, D)
    some, every = gradient_through_time(layer, x, lags=5), gradient_through_time(layer, x)
    assert list(some.lags) == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(some.norms["1.h"], every.norms["1.h"][:6])
    assert gradient_through_time(layer, torch.randn(1, 1, D)).verdict.kind == "unknown"


@pytest.mark.parametrize("fit", [(100, 500), (10, 500), (11, 13)])
def test_slopes_over_lags_that_there_are_not(fit):
    """What can be shown is: the slope over the lags that there are; and it is said."""
    layer, x = Recurrent(recurrent_(Linear(6), "orthogonal", 0.7)), torch.randn(T, 1, 6)
    found = gradient_through_time(layer, x, fit=fit)
    assert found.fitted == (1, T - 1) and found.verdict.kind == "vanishing"
    assert found.decay["1.h"] == pytest.approx(math.log(0.7), rel=1e-6)
    assert found.notes[0] == f"slopes are fitted from lag 1 to 11, not {fit[0]} to {fit[1]}: lag 11 is the last one"


def test_standard_layers_and_everything_around_a_cell():
    torch.manual_seed(1)
    layer = unrolled.LSTM(D, H, num_layers=2, batch_first=True, zoneout=0.1, checkpoint=3)
    x = torch.randn(N, T, D)
    found = gradient_through_time(layer, x)
    plain = gradient_through_time(layer.stack, x.transpose(0, 1))
    assert list(found.norms) == ["1.h", "1.c", "2.h", "2.c"] and list(found.kept) == ["1.f", "2.f"]
    np.testing.assert_array_equal(found.norms["1.h"], plain.norms["1.h"])
    assert layer.stack.layers[0].checkpoint == 3 and layer.training
    numbers = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert len(numbers["norms"]["2.c"]) == T and numbers["verdict"] == str(found.verdict)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": torch.nn.Linear(4, 4)}, "Linear is neither a Model"),
        ({"x": torch.zeros(0, 1, D)}, r"shape \(0, 1, 4\) and torch.float32; expected floats"),
        ({"x": torch.zeros(3)}, r"shape \(3,\)"),
        ({"x": torch.zeros(T, N, D + 1)}, r"shape \(12, 3, 5\) .* D = 4"),
        ({"x": torch.zeros(T, N, D, dtype=torch.long)}, r"torch.int64; expected floats"),
        ({"x": [1, 2]}, "must be a tensor, got list"),
        ({"lags": 0}, "lags must be an integer of at least 1"),
        ({"x": torch.full((T, N, D), math.nan)}, "x contains infinite values or NaN"),
        ({"fit": (5, 5)}, "fit must be"),
        ({"fit": (5, 6)}, "at least 3 lags"),
        ({"fit": (1.5, "a")}, "fit must be"),
        ({"at": 20}, "at=20 is out of range: the sequence has 12 steps"),
        ({"targets": torch.zeros(N)}, "targets need a Model"),
        ({"loss": lambda y: y}, "loss must return one number"),
        ({"state": (torch.zeros(N, H),) * 2}, "state"),
    ],
)
def test_nonsense_is_named(given, said):
    full = {"model": Recurrent(unrolled.ElmanCell(D, H)), "x": torch.zeros(T, N, D)} | given
    with pytest.raises(ValueError, match=said):
        gradient_through_time(full.pop("model"), full.pop("x"), **full)


def test_a_model_of_one_input_gives_its_stack():
    stack = Stack([unrolled.GRUCell(2, 2)])
    model = unrolled.Model(unrolled.Linear(1, 2), stack, unrolled.Regression(2, 1), "one-to-many")
    with pytest.raises(ValueError, match="pass its .stack"):
        gradient_through_time(model, torch.zeros(3, 1))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"fit": (5,)}, "fit must be"),
        ({"loss": lambda y: torch.tensor(1.0)}, "loss must depend"),
        ({"loss": lambda y: y.detach().sum()}, "loss must depend"),
    ],
)
def test_slopes_and_losses_that_do_not_fit_are_said(wrong, said):
    with pytest.raises(ValueError, match=said):
        gradient_through_time(Recurrent(unrolled.GRUCell(3, 4)), torch.randn(20, 2, 3), **wrong)


def test_weights_that_are_no_numbers_are_named():
    layer = unrolled.LSTM(3, 4)
    with torch.no_grad():
        layer.stack.layers[0].cell.h.weight[0, 0] = math.nan
    with pytest.raises(ValueError, match=r"h\.weight contains NaN"):
        gradient_through_time(layer, torch.zeros(20, 1, 3))
