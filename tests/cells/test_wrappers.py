"""Cells around cells: what they draw, what they compute, and that the engine computes the same."""

import copy
import pickle

import pytest
import torch

import unrolled
from helpers import ALL_CELLS, assert_all_close, cells, seeded_results
from unrolled import Recurrent, VariationalDropout, WeightDrop, Zoneout
from unrolled.engine.prepared import Prepared, prepared

D, H, T, N = 3, 4, 7, 3

WRAPPED = {
    "zoneout": lambda cell: Zoneout(cell, 0.3),
    "variational": lambda cell: VariationalDropout(cell, 0.4, p_x=0.2),
    "weights": lambda cell: WeightDrop(cell, 0.5),
    "all": lambda cell: WeightDrop(VariationalDropout(Zoneout(cell, 0.3), 0.4, p_x=0.2), 0.5),
    "all, the other way": lambda cell: Zoneout(VariationalDropout(WeightDrop(cell, 0.5), 0.4, p_x=0.2), 0.3),
}


def assert_rate(events, p):
    """The share of events lies within 4 standard deviations of p."""
    n = events.numel()
    assert abs(events.double().mean().item() - p) < 4 * (p * (1 - p) / n) ** 0.5


@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize("name", ALL_CELLS)
def test_the_compiler_takes_every_wrapped_cell_and_computes_the_equation(name, wrapped):
    torch.manual_seed(0)
    cell = WRAPPED[wrapped](cells(D, H)[name])
    x = torch.randn(T, N, D, dtype=torch.float64)
    given = {"lengths": torch.tensor([T, 2, 5]), "resets": torch.rand(T, N) < 0.3}
    for training in (True, False):
        cell.train(training)
        assert isinstance(prepared(cell, (H,) * len(cell.constants)), Prepared)
        for reverse in (False, True):
            for more in ({}, given):
                slow, fast = (
                    seeded_results(Recurrent(cell, reverse=reverse, backend=backend), x, 5, **more)
                    for backend in ("eager", "engine")
                )
                assert_all_close(slow, fast)


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_gradients_against_finite_differences(wrapped):
    torch.manual_seed(0)
    layer = Recurrent(WRAPPED[wrapped](cells(2, 3)["lstm"]))
    x = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)

    def run(x, *_):
        torch.manual_seed(3)
        output, last = layer(x)
        return output, *last

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))


def test_zoneout_keeps_units_at_its_rates():
    torch.manual_seed(0)
    cell = Zoneout(unrolled.LSTMCell(D, 50), {"h": 0.1, "c": 0.5})
    drawn = cell.prepare(torch.zeros(20, 30, D))[..., D:]
    assert_rate(drawn[..., :50], 0.1)
    assert_rate(drawn[..., 50:], 0.5)
    assert_rate(drawn[1:, ..., 50:] == drawn[:-1, ..., 50:], 0.5)  # drawn anew at each step
    one = Zoneout(unrolled.LSTMCell(D, 50), {"c": 0.5})
    assert one.rates == (0.0, 0.5)
    assert one.prepare(torch.zeros(1, 1, D)).shape[2] == one.input_size == D + 50
    assert one.given_size == Recurrent(one).input_size == D


def test_zoneout_is_its_equation():
    torch.manual_seed(0)
    inner = cells(D, H)["lstm"]
    cell = Zoneout(inner, {"h": 0.3, "c": 0.6})
    x, h, c = torch.randn(N, D).double(), torch.randn(N, H).double(), torch.randn(N, H).double()
    h1, c1 = inner(x, h, c)
    drawn = cell.prepare(x[None])[0]
    m_h, m_c = drawn[:, D : D + H].bool(), drawn[:, D + H :].bool()
    got = cell.step(drawn, h, c)
    torch.testing.assert_close(got, (torch.where(m_h, h, h1), torch.where(m_c, c, c1)), rtol=0, atol=0)
    expected = 0.3 * h + 0.7 * h1, 0.6 * c + 0.4 * c1
    torch.testing.assert_close(cell.eval()(x, h, c), expected, rtol=1e-14, atol=1e-14)


def test_variational_masks_have_their_rate_and_the_mean_1():
    torch.manual_seed(0)
    cell = VariationalDropout(unrolled.LSTMCell(40, 50), 0.3, p_x=0.2)
    (m,) = cell.draw_constants(200, torch.zeros(5, 200, 40))
    assert_rate(m == 0, 0.3)
    torch.testing.assert_close(m[m != 0], torch.full((int((m != 0).sum()),), 1 / 0.7))
    x = cell.prepare(torch.ones(5, 200, 40))
    assert_rate(x[0] == 0, 0.2)
    assert (x == x[0]).all()  # the same at all steps
    assert not (x[0] == x[0, 0]).all()  # but not in all sequences


@pytest.mark.parametrize("name", ["lstm", "gru", "gru-after"])
def test_variational_dropout_is_one_mask_on_what_the_recurrent_maps_see(name):
    torch.manual_seed(0)
    inner = cells(D, H)[name]
    x = torch.randn(T, N, D, dtype=torch.float64)
    mask = (torch.rand(N, H) < 0.5).double() * 2
    got, _ = Recurrent(VariationalDropout(inner, 0.5))(x, constants=(mask,))
    state = inner.initial_state(N)
    for t in range(T):
        (h, *c) = state
        if name == "lstm":
            state = inner(x[t], h * mask, *c)
        else:
            U_r, U_z, U_n = inner.h.weight.split(H)
            r = torch.sigmoid(inner.x.r(x[t]) + (h * mask) @ U_r.T)
            z = torch.sigmoid(inner.x.z(x[t]) + (h * mask) @ U_z.T)
            if name == "gru":
                n = torch.tanh(inner.x.n(x[t]) + (r * h * mask) @ U_n.T)
            else:
                n = torch.tanh(inner.x.n(x[t]) + r * ((h * mask) @ U_n.T + inner.d_n))
            state = (z * h + (1 - z) * n,)
        torch.testing.assert_close(got[t], state[0], rtol=1e-12, atol=1e-12)


def test_weight_drop_is_one_mask_for_all_steps_drawn_at_each_call():
    torch.manual_seed(0)
    cell = WeightDrop(unrolled.LSTMCell(D, 40), 0.3)
    layer, weight = Recurrent(cell), cell.cell.h.weight
    drawn = []
    for _ in range(2):
        layer.zero_grad()
        y, _ = layer(torch.randn(T, N, D))
        drawn.append(cell.dropped_h_weight.detach())
        kept = drawn[-1] != 0
        assert_rate(kept, 0.7)
        torch.testing.assert_close(drawn[-1][kept], weight.detach()[kept] / 0.7)
        y.sum().backward()
        assert weight.grad[kept].abs().min() > 0
        assert not weight.grad[~kept].any()  # with a second mask at any step, these would have one
    assert not torch.equal(drawn[0] != 0, drawn[1] != 0)


@pytest.mark.parametrize("wrap", [WRAPPED["variational"], WRAPPED["weights"]])
def test_in_evaluation_dropout_is_nothing(wrap):
    torch.manual_seed(0)
    inner = cells(D, H)["gru"]
    layer = Recurrent(wrap(inner)).eval()
    x = torch.randn(T, N, D, dtype=torch.float64)
    layer.train()(x)
    layer.eval()
    torch.testing.assert_close(layer(x), Recurrent(inner)(x), rtol=0, atol=0)
    assert layer.cell.constants == ()
    assert not layer.cell.prepares


def test_other_weights_can_be_dropped():
    torch.manual_seed(0)
    inner = unrolled.GRUCell(30, 30, reset="after")
    torch.nn.init.normal_(inner.d_n)
    cell = WeightDrop(Zoneout(inner, 0.1), 0.5, names=["x.weight", "d_n"])
    Recurrent(cell)(torch.randn(2, 2, 30))
    assert_rate(cell.dropped_x_weight == 0, 0.5)
    for dropped, weight in ((cell.dropped_x_weight, inner.x.weight), (cell.dropped_d_n, inner.d_n)):
        torch.testing.assert_close(dropped, torch.where(dropped == 0, 0.0, 2 * weight))
    assert 0 < (cell.dropped_d_n == 0).sum() < 30
    assert not hasattr(cell, "dropped_h_weight")


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_step_by_step_in_evaluation_is_the_layer(wrapped):
    torch.manual_seed(0)
    layer = Recurrent(WRAPPED[wrapped](cells(D, H)["lstm"])).eval()
    x = torch.randn(T, N, D, dtype=torch.float64)
    y, last = layer(x)
    by_cell, by_layer = (), None
    for t in range(T):
        by_cell = layer.cell(x[t], *by_cell)
        _, by_layer = layer(x[t : t + 1], by_layer)
        torch.testing.assert_close(by_cell[0], y[t], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(by_cell, last, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(by_layer, last, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_gates_have_the_names_of_the_equation_inside(wrapped):
    torch.manual_seed(0)
    layer = Recurrent(WRAPPED[wrapped](cells(D, H)["lstm"]))
    x = torch.randn(T, N, D, dtype=torch.float64)
    assert set(layer.cell.gates(x[0])) == set("ifgoch")
    named = layer.gates(x)  # as in evaluation, also in training
    assert {name: tuple(v.shape) for name, v in named.items()} == dict.fromkeys("ifgoch", (T, N, H))
    assert layer.training and layer.cell.cell.training
    torch.testing.assert_close(named["h"], layer.eval()(x)[0].detach(), rtol=1e-12, atol=1e-12)
    deep = unrolled.Stack([layer, Recurrent(WRAPPED[wrapped](cells(H, H)["gru"]))]).train()
    first, second = deep.gates(x)
    again = deep.eval()(x)[0].detach()
    torch.testing.assert_close(second["h"], again, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(first["h"], named["h"])


def test_constants_that_the_caller_gives_come_before_those_that_are_drawn():
    class Scaled(unrolled.Cell):
        constants = ("scale",)

        def __init__(self):
            super().__init__(D, H)
            self.x, self.h = unrolled.Gates("a", D, H), unrolled.Gates("a", H, H)

        def step(self, x, h, scale):
            return torch.tanh(self.x(x) + scale * self.h(h))

    layer = Recurrent(VariationalDropout(Scaled(), 0.5))
    x, scale, mask = torch.randn(T, N, D), torch.rand(N, H), torch.ones(N, H)
    assert layer.cell.constants == ("scale", "m_h")
    full, _ = layer(x, constants=(scale, mask))
    torch.testing.assert_close(full, Recurrent(layer.cell.cell)(x, constants=(scale,))[0])
    assert not torch.equal(layer(x, constants=(scale,))[0], full)
    with pytest.raises(ValueError, match="got 0 constants, but the cell has: scale, m_h"):
        layer(x)


def test_learned_initial_states_are_those_of_the_cell_inside():
    cell = WRAPPED["all"](cells(D, H)["two-widths"])
    assert cell.state_shapes() == {"h": (4,), "m": (2,)}
    torch.testing.assert_close(cell.initial_state(2)[0][1], cell.innermost.h0)
    Recurrent(cell)(torch.randn(T, N, D, dtype=torch.float64))[0].sum().backward()
    assert cell.innermost.h0.grad.abs().sum() > 0


def test_a_state_that_is_no_vector_has_zoneout_step_by_step():
    class Picture(unrolled.Cell):
        def state_shapes(self):
            return {"h": (2, 3)}

        def step(self, x, h):
            return h + x[:, :1, None]

    layer = Recurrent(Zoneout(Picture(1, 6), 0.5), backend="eager")
    y, _ = layer(torch.ones(40, 50, 1), torch.zeros(50, 2, 3).unsqueeze(0).unbind())
    assert_rate(y.diff(dim=0) == 0, 0.5)


def test_copies_and_state_dicts_after_a_training_call():
    torch.manual_seed(0)
    layer = Recurrent(WRAPPED["all"](unrolled.LSTMCell(D, H)))
    x = torch.randn(T, N, D)
    layer(x)
    assert set(layer.state_dict()) == {f"cell.cell.cell.cell.{n}" for n in ("x.weight", "x.bias", "h.weight")}
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert_all_close(seeded_results(other, x, 3), seeded_results(layer, x, 3))
        assert other.cell.innermost.h.weight is not layer.cell.innermost.h.weight
    layer.double()(x.double())


def test_training_learns_through_every_wrapper():
    """Learn to tell the sign of the first input after eight steps."""
    torch.manual_seed(0)
    layer = unrolled.LSTM(4, 8, zoneout=0.05, variational_dropout=0.1, weight_drop=0.1)
    head = torch.nn.Linear(8, 1)
    x = torch.randn(8, 64, 4)
    y = (x[0, :, :1] > 0).float()
    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.03)

    def loss():
        return torch.nn.functional.binary_cross_entropy_with_logits(head(layer(x)[0][-1]), y)

    for _ in range(80):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    layer.eval()
    assert loss() < 0.35  # 0.69 without learning


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "Elman"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_options_of_the_standard_layers(kind, bidirectional):
    torch.manual_seed(0)
    options = {"zoneout": 0.2, "variational_dropout": 0.3, "weight_drop": 0.4}
    layer = getattr(unrolled, kind)(D, H, num_layers=2, bidirectional=bidirectional, dtype=torch.float64, **options)
    for part in layer.stack.layers:
        for one in (part.forward_layer, part.backward_layer) if bidirectional else (part,):
            drop, variational, zoneout = one.cell, one.cell.cell, one.cell.cell.cell
            assert (drop.p, variational.p, set(zoneout.rates)) == (0.4, 0.3, {0.2})
    x = torch.randn(T, N, D, dtype=torch.float64)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    torch.testing.assert_close(layer(x)[0], layer(x)[0], rtol=0, atol=0)
    for name, p in options.items():
        assert f"{name}={p}" in repr(layer)
        with pytest.raises(ValueError, match=rf"to_torch: this {kind} has {name}={p}, which torch\.nn does not"):
            unrolled.to_torch(
                getattr(unrolled, kind)(D, H, **({"reset": "after"} if kind == "GRU" else {}), **{name: p})
            )
    with pytest.raises(ValueError, match=r"torch\.nn has no kernel"):
        getattr(unrolled, kind)(D, H, backend="torch", zoneout=0.1)


def test_a_model_with_wrapped_cells_is_sampled_in_evaluation():
    torch.manual_seed(0)
    inner = unrolled.LSTMCell(5, 8)
    stack = unrolled.Stack([WRAPPED["variational"](WRAPPED["weights"](inner))])
    model = unrolled.Model(unrolled.OneHot(5), stack, unrolled.Softmax(8, 5))
    plain = unrolled.Model(unrolled.OneHot(5), unrolled.Stack([inner]), model.head)
    drawn, expected = (list(unrolled.sample(m, torch.tensor([[0]]), 40)) for m in (model, plain))
    assert drawn == expected
    zoned = unrolled.Model(unrolled.OneHot(5), unrolled.Stack([Zoneout(inner, 0.3)]), model.head)
    assert len(list(unrolled.sample(zoned, torch.tensor([[0]]), 10))) == 10
    assert zoned.training


class NoGates(unrolled.Cell):
    def step(self, x, h):
        return h


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda c: Zoneout(c, 1.0), r"Zoneout: rates must lie in \[0, 1\), got 1.0"),
        (lambda c: Zoneout(c, {"h": -0.1}), r"Zoneout: rates must lie in \[0, 1\), got -0.1"),
        (lambda c: Zoneout(c, "much"), r"Zoneout: rates must lie in \[0, 1\), got 'much'"),
        (lambda c: Zoneout(c, {"q": 0.1}), r"Zoneout: rates has 'q', states are h, c"),
        (lambda c: VariationalDropout(c, 1.5), r"VariationalDropout: p must lie in \[0, 1\), got 1.5"),
        (lambda c: VariationalDropout(c, 0.5, p_x=-1), r"VariationalDropout: p_x must lie in \[0, 1\), got -1"),
        (lambda c: VariationalDropout(NoGates(2, 2), 0.5), r"NoGates has no Gates named after a state \(h\)"),
        (lambda c: WeightDrop(c, float("nan")), r"WeightDrop: p must lie in \[0, 1\), got nan"),
        (
            lambda c: WeightDrop(c, 0.5, names=["q"]),
            r"names must be some of x.weight, x.bias, h.weight, got \('q',\)",
        ),
        (lambda c: WeightDrop(c, 0.5, names=[]), "names must be some of"),
        (lambda c: WeightDrop(NoGates(2, 2), 0.5), "WeightDrop: no recurrent weights found"),
        (lambda c: Zoneout(torch.nn.LSTMCell(2, 2), 0.1), r"Zoneout: cell must be an unrolled\.Cell, got LSTMCell"),
        (lambda c: unrolled.LSTM(2, 2, zoneout=1.0), "Zoneout: rates must lie"),
        (lambda c: unrolled.GRU(2, 2, weight_drop=2), "WeightDrop: p must lie"),
        (lambda c: unrolled.Elman(2, 2, variational_dropout=-1), "VariationalDropout: p must lie"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(unrolled.LSTMCell(2, 2))
