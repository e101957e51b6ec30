"""Jacobians, products of many of them, and Lyapunov exponents: against exact values and published ones."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

import unrolled
from helpers import PeepholeLSTM, TwoWidths
from unrolled.cells.initial import recurrent_
from unrolled.insight import gradient_through_time, jacobian_spectrum, lyapunov
from unrolled.insight.jacobian import log_singular_values
from unrolled.layers import Bidirectional, Recurrent, Stack

mpmath = pytest.importorskip("mpmath")  # torch brings it along
T, N, D, H = 9, 2, 3, 4


class Henon(unrolled.Cell):
    """The map of Henon (1976), whose exponents are published; x is not used."""

    state = ("x1", "y1")

    def __init__(self):
        super().__init__(1, 1)
        self.a = torch.nn.Parameter(torch.tensor(1.4))

    def step(self, x, x1, y1):
        return 1 - self.a * x1 * x1 + y1 + 0 * x, 0.3 * x1


class Linear(unrolled.Cell):
    """h_t = W h_{t-1} + x_t, with a W that is given."""

    def __init__(self, weight):
        super().__init__(len(weight), len(weight))
        self.h = unrolled.Gates("h", len(weight), len(weight), bias=False)
        self.h.weight.data = torch.tensor(weight)

    def step(self, x, h):
        return self.h(h) + x


@pytest.mark.parametrize("kind", [unrolled.ElmanCell, unrolled.LSTMCell, unrolled.GRUCell, PeepholeLSTM, TwoWidths])
def test_values_are_those_of_autograds_joint_jacobian(kind):
    torch.manual_seed(1)
    cell = kind(D, H).double()
    x = torch.randn(T, N, D, dtype=torch.float64)
    found = jacobian_spectrum(Recurrent(cell), x, sequence=1, over=[T])
    widths = [shape[0] for shape in cell.state_shapes().values()]
    assert list(found.states.values()) == widths

    def step(s, x_t):
        new = cell.step(x_t, *(part[None] for part in s.split(widths)))
        return torch.cat([n[0] for n in ((new,) if isinstance(new, torch.Tensor) else new)])

    s, product = torch.cat([p[0] for p in cell.initial_state(1, x)]).detach(), torch.eye(sum(widths)).double()
    for t in range(T):
        jacobian = torch.autograd.functional.jacobian(lambda s, t=t: step(s, x[t, 1:]), s)
        np.testing.assert_allclose(found.values[t], torch.linalg.svdvals(jacobian).numpy(), atol=1e-12)
        first, last = cell.state[0], cell.state[-1]
        block = jacobian[-widths[-1] :, : widths[0]]
        name = (f"1.{last}", f"1.{first}")
        assert found.blocks[name][t] == pytest.approx(float(torch.linalg.matrix_norm(block, 2)), abs=1e-12)
        s, product = step(s, x[t, 1:]).detach(), jacobian @ product
    largest = float(torch.linalg.svdvals(product)[0])
    assert found.products[T][0, 0] == pytest.approx(math.log(largest), abs=1e-10)


def test_layers_together_and_each_alone():
    torch.manual_seed(1)
    stack = Stack([unrolled.LSTMCell(D, H), unrolled.GRUCell(H, 2)])
    x = torch.randn(T, N, D)
    both = jacobian_spectrum(stack, x, over=[])
    assert both.states == {"1.h": H, "1.c": H, "2.h": 2} and both.values.shape == (T, 2 * H + 2)
    assert not both.blocks["1.h", "2.h"].any() and both.blocks["2.h", "1.h"].all()
    upper = jacobian_spectrum(stack, x, layer=2, over=[])
    assert upper.states == {"2.h": 2}
    np.testing.assert_allclose(upper.values[:, 0], both.blocks["2.h", "2.h"], rtol=1e-10)
    json.dumps(both.as_json(), allow_nan=False)


def test_products_against_sixty_digits():
    """Singular values from e+8 to e-400, of which double precision holds only the largest in one matrix."""
    random = np.random.default_rng(1)
    matrices = random.normal(size=(60, 6, 6)) @ np.diag([1.5, 1.0, 0.5, 0.1, 0.02, 0.004])
    with mpmath.workdps(400):
        product = mpmath.eye(6)
        for m in matrices:
            product = mpmath.matrix(m.tolist()) * product
        exact = [float(mpmath.log(s)) for s in mpmath.svd_r(product, compute_uv=False)]
    exact.sort(reverse=True)
    np.testing.assert_allclose(log_singular_values(matrices), exact, rtol=0, atol=1e-6)
    for count in (1, 4):
        np.testing.assert_allclose(log_singular_values(matrices, count), exact[:count], rtol=0, atol=1e-6)


def test_products_of_singular_matrices_end_at_minus_infinity():
    logs = log_singular_values(np.stack([np.diag([2.0, 0.0])] * 3))
    assert logs[0] == pytest.approx(3 * math.log(2)) and logs[1] == -np.inf
    assert log_singular_values(np.zeros((3, 2, 2))).tolist() == [-np.inf, -np.inf]


def test_exponents_of_the_henon_map():
    """0.4192 and -1.6229 (Sprott 2003); their sum is log 0.3 at every step.

    Rounding decides where an orbit goes. The exponents of single orbits of 1,600 steps scatter by 0.01, so their mean
    over 64 by 0.0012: the tolerance is eight times that.
    """
    start = (torch.full((64, 1), 0.1), torch.linspace(0, 0.1, 64)[:, None])
    found = lyapunov(Recurrent(Henon()), torch.zeros(2000, 64, 1), state=start)
    assert found.exponents.sum() == pytest.approx(math.log(0.3), abs=1e-6)
    assert found.exponents[0] == pytest.approx(0.4192, abs=0.01)
    assert found.exponents[1] == pytest.approx(-1.6229, abs=0.01)
    assert found.each.shape == (64, 2) and found.running.shape == (1600, 2)
    np.testing.assert_allclose(found.running[-1], found.exponents, rtol=1e-12)


def test_exponents_of_a_linear_map_are_the_logs_of_its_eigenvalues_not_of_its_singular_values():
    weight = [[0.9, 5.0, 0.0], [0.0, 0.5, 5.0], [0.0, 0.0, 0.2]]  # far from normal
    layer, x = Recurrent(Linear(weight)), torch.zeros(600, 1, 3)
    found = lyapunov(layer, x, count=3)
    np.testing.assert_allclose(found.exponents, np.log([0.9, 0.5, 0.2]), atol=1e-3)
    spectrum = jacobian_spectrum(layer, x, over=[1, 200])
    assert spectrum.values[0, 0] > 5
    np.testing.assert_allclose(spectrum.products[200][0] / 200, np.log([0.9, 0.5, 0.2]), atol=0.03)
    norms = gradient_through_time(layer, x, fit=(100, 500))
    assert norms.decay["1.h"] == pytest.approx(math.log(0.9), rel=0.01)
    assert norms.norms["1.h"].max() > 5 * norms.norms["1.h"][0]  # it grows before it falls
    assert "halve in 6.6 steps" in str(found)


def test_exponents_of_an_lstm_are_those_of_its_long_products():
    torch.manual_seed(1)
    layer = Recurrent(unrolled.LSTMCell(D, H))
    x = torch.randn(600, 1, D)
    exponents = lyapunov(layer, x, count=3, skip=50).exponents
    logs = jacobian_spectrum(layer, x, over=[500]).products[500][0] / 500
    np.testing.assert_allclose(exponents, logs[:3], atol=0.01)


def test_a_layer_that_runs_backward_and_layers_of_any_kind():
    torch.manual_seed(1)
    cell = recurrent_(unrolled.ElmanCell(D, H), "glorot")
    x = torch.randn(50, N, D)
    ahead = lyapunov(Recurrent(cell), x)
    back = lyapunov(Recurrent(cell, reverse=True), x.flip(0))
    np.testing.assert_allclose(ahead.exponents, back.exponents, rtol=1e-10)
    layer = unrolled.GRU(D, H, batch_first=True, zoneout=0.1)
    alone = lyapunov(layer.stack.layers[0], x)
    assert len(alone.exponents) == H
    for count in (H, 100):  # there are no more than states
        found = lyapunov(layer, x.transpose(0, 1), count=count)
        np.testing.assert_allclose(found.exponents, alone.exponents, rtol=1e-10)
    json.dumps(ahead.as_json(), allow_nan=False)


def test_jacobians_that_do_not_fit_are_not_begun(monkeypatch):
    monkeypatch.setattr("unrolled.insight.jacobian._MOST", 8 * T * H * H - 1)
    with pytest.raises(ValueError, match="9 Jacobians of 4 x 4 need more than 2 GiB; pass fewer steps"):
        jacobian_spectrum(Recurrent(unrolled.ElmanCell(D, H)), torch.zeros(T, N, D))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda r, x: lyapunov(r, x, count=0), "count must be an integer"),
        (lambda r, x: lyapunov(r, x, skip=5), "skip=5 leaves none of the 9 steps"),
        (lambda r, x: lyapunov(r, x, layer=2), "layer must be an integer from 1 to 1"),
        (lambda r, x: jacobian_spectrum(r, x, sequence=2), "sequence must be an index from -2 to 1"),
        (lambda r, x: jacobian_spectrum(r, x, over=[0]), "over must contain integers"),
        (lambda r, x: jacobian_spectrum(r, x, count=0), "count must be None or an integer of at least 1"),
        (lambda r, x: lyapunov(r, x[..., 1:]), "D = 3"),
        (lambda r, x: lyapunov(r, x / 0), "infinite or NaN after step 1 of 9"),
        (lambda r, x: jacobian_spectrum(r, [1]), "x must be a tensor"),
        (
            lambda r, x: lyapunov(Bidirectional(unrolled.GRUCell(D, 2), unrolled.GRUCell(D, 2)), x),
            "pass a single direction",
        ),
    ],
)
def test_nonsense_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call(Recurrent(unrolled.ElmanCell(D, H)), torch.zeros(T, N, D))


def test_one_number_of_steps_may_stand_alone():
    layer, x = unrolled.Recurrent(unrolled.LSTMCell(4, 3)), torch.zeros(20, 1, 4)
    one, same = jacobian_spectrum(layer, x, over=10), jacobian_spectrum(layer, x, over=[10])
    assert one.as_json() == same.as_json()


def test_products_of_more_steps_than_there_are():
    """The longest that there is takes their place, and it is said; what nobody asked for is not."""
    torch.manual_seed(1)
    layer, x = Recurrent(unrolled.GRUCell(D, H)), torch.randn(60, N, D)
    found = jacobian_spectrum(layer, x, over=[10, 1000])
    assert list(found.products) == [10, 60] and found.products[60].shape == (1, H)
    np.testing.assert_array_equal(found.products[60], jacobian_spectrum(layer, x, over=60).products[60])
    assert found.notes == ("the product is shown over 60 steps, not 1000: the sequence has only 60",)
    assert found.as_json()["notes"] == list(found.notes)
    usual = jacobian_spectrum(layer, x)
    assert list(usual.products) == [10] and not usual.notes
    assert list(jacobian_spectrum(layer, x[:5]).products) == []
