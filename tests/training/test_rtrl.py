"""Real-time recurrent learning is backpropagation through all of the past, exactly."""

import pytest
import torch

import unrolled
from engine.own_cells import CoupledLSTM, LayerNormLSTM, Modulated
from helpers import ALL_CELLS, cells
from unrolled.training.rtrl import RTRL

T, N, D, H = 12, 3, 4, 5
EXACT = 1e-10
"""Double precision; the gradients are of order 1."""


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def loss(y, states, t):
    """A random function of all states of step t."""
    generator = torch.Generator().manual_seed(t)
    return sum((s.sin() * torch.randn(s.shape, generator=generator, dtype=s.dtype)).sum() for s in (y, *states))


def by_rtrl(cell, x, **given):
    """The gradient of the losses of all steps, forward in time."""
    cell.zero_grad()
    rtrl = RTRL(cell, len(x[0]), **given)
    for t, x_t in enumerate(x):
        y, states = rtrl.step(x_t)
        loss(y, states, t).backward()  # adds up; nothing of the past is kept
    return gradients(cell)


def by_bptt(cell, x, backend, **given):
    """The same backward in time: the equation under autograd, or the engine, which hands out states at the end."""
    cell.zero_grad()
    layer = unrolled.Recurrent(cell, backend=backend)
    for t in range(len(x)):
        y, states = layer(x[: t + 1], **given)
        loss(y[-1], states, t).backward()
    return gradients(cell)


def gradients(module):
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def largest_difference(a, b):
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.mark.parametrize("backend", ["eager", "engine"])
@pytest.mark.parametrize("name", ALL_CELLS)
def test_is_full_backpropagation_for_every_cell(name, backend):
    cell = cells(D, H)[name]
    x = torch.randn(T, N, D, dtype=torch.float64)
    exact = by_bptt(cell, x, backend)
    assert max(float(g.abs().max()) for g in exact.values()) > 0.1
    assert largest_difference(by_rtrl(cell, x), exact) < EXACT


@pytest.mark.parametrize("own", [CoupledLSTM, LayerNormLSTM])
def test_is_full_backpropagation_for_cells_of_ones_own(own):
    cell = own(D, H).double()
    x = torch.randn(T, N, D, dtype=torch.float64)
    assert largest_difference(by_rtrl(cell, x), by_bptt(cell, x, "eager")) < EXACT


def test_is_full_backpropagation_for_layers_above_one_another():
    stack = unrolled.Stack([unrolled.LSTMCell(D, H), unrolled.GRUCell(H, 4), unrolled.ElmanCell(4, 3)]).double()
    x = torch.randn(T, N, D, dtype=torch.float64)
    rtrl = RTRL(stack, N)
    for t, x_t in enumerate(x):
        y, states = rtrl.step(x_t)
        loss(y, [s for layer in states for s in layer], t).backward()
    ours = gradients(stack)
    stack.zero_grad()
    for t in range(T):
        y, states = stack(x[: t + 1])
        loss(y[-1], [s for layer in states for s in layer], t).backward()
    assert largest_difference(ours, gradients(stack)) < EXACT


def test_a_loss_over_several_steps_and_a_head_above():
    cell, head = unrolled.GRUCell(D, H).double(), torch.nn.Linear(H, 2).double()
    both = torch.nn.ModuleList([cell, head])
    x = torch.randn(T, N, D, dtype=torch.float64)
    rtrl = RTRL(cell, N)
    torch.stack([head(rtrl.step(x_t)[0]) for x_t in x]).square().sum().backward()
    ours = gradients(both)
    both.zero_grad()
    head(unrolled.Recurrent(cell)(x)[0]).square().sum().backward()
    assert largest_difference(ours, gradients(both)) < EXACT


def test_streams_that_begin_anew_forget():
    cell = cells(D, H)["two-widths"]  # its first state is learned
    x = torch.randn(T, N, D, dtype=torch.float64)
    resets = torch.zeros(T, N, dtype=torch.bool)
    resets[5, 1] = resets[7] = True
    rtrl = RTRL(cell, N)
    for t, x_t in enumerate(x):
        if resets[t].any():
            rtrl.reset(None if resets[t].all() else resets[t])
        y, _ = rtrl.step(x_t)
        loss(y, (), t).backward()
    ours = gradients(cell)
    cell.zero_grad()
    outputs, _ = unrolled.Recurrent(cell, backend="eager")(x, resets=resets)
    sum(loss(y, (), t) for t, y in enumerate(outputs)).backward()
    assert largest_difference(ours, gradients(cell)) < EXACT


def test_constants_and_weights_that_are_held():
    cell = Modulated(D, H).double()
    cell.x.bias.requires_grad_(False)
    x, k = torch.randn(T, N, D, dtype=torch.float64), torch.randn(N, 2, dtype=torch.float64)
    ours = by_rtrl(cell, x, constants=(k,))
    assert "x.bias" not in ours
    assert largest_difference(ours, by_bptt(cell, x, "eager", constants=(k,))) < EXACT


def test_a_state_that_is_a_matrix():
    class FastWeights(unrolled.Cell):
        """A small memory of outer products (Ba et al. 2016), decaying."""

        state = ("h", "A")

        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.x = unrolled.Gates("h", input_size, hidden_size)
            self.h = unrolled.Gates("h", hidden_size, hidden_size, bias=False)

        def state_shapes(self):
            return {"h": (self.hidden_size,), "A": (self.hidden_size, self.hidden_size)}

        def step(self, x, h, A):
            A = 0.9 * A + 0.3 * h[:, :, None] * h[:, None, :]
            h = torch.tanh(self.x(x) + self.h(h) + (A @ h[:, :, None])[..., 0])
            return h, A

    cell = FastWeights(D, 3).double()
    x = torch.randn(T, N, D, dtype=torch.float64)
    assert largest_difference(by_rtrl(cell, x), by_bptt(cell, x, "eager")) < EXACT


def test_the_states_are_those_of_the_layer_and_nothing_of_the_past_is_kept():
    layer = unrolled.Recurrent(unrolled.LSTMCell(D, H).double(), backend="eager")
    x = torch.randn(T, N, D, dtype=torch.float64)
    rtrl, state = RTRL(layer, N), None
    for x_t in x:
        y, states = rtrl.step(x_t)
        wanted, state = layer.step(x_t, state)
        torch.testing.assert_close((y, *states), (wanted, *state), rtol=0, atol=1e-14)
    assert rtrl.influence.shape == (N, 2 * H, sum(p.numel() for p in layer.parameters()))
    assert not rtrl.influence.requires_grad
    assert all(s.grad_fn is None for s in (rtrl._state, rtrl.influence))


def test_after_a_change_of_weights_the_influence_of_the_older_ones_is_carried_on():
    cell = unrolled.ElmanCell(D, H, bias=False).double()
    x, rtrl = torch.randn(4, 1, D, dtype=torch.float64), RTRL(cell)
    s, P = torch.zeros(1, H, dtype=torch.float64), torch.zeros(H, H * (D + H), dtype=torch.float64)
    for x_t in x:
        rtrl.step(x_t)
        W_x, W_h = cell.x.weight.detach(), cell.h.weight.detach()
        new = torch.tanh(x_t @ W_x.T + s @ W_h.T)
        slope = torch.diag(1 - new[0] ** 2)
        F = slope @ torch.cat([torch.kron(torch.eye(H), one) for one in (x_t, s)], dim=1)
        s, P = new, slope @ W_h @ P + F
        torch.testing.assert_close(rtrl.influence[0], P, rtol=0, atol=1e-14)
        with torch.no_grad():
            for p in cell.parameters():
                p += 0.1 * torch.randn_like(p)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RTRL(unrolled.LSTM(D, H)), "RTRL: expected a cell, a Recurrent or a Stack of them, got LSTM"),
        (lambda: RTRL(unrolled.Recurrent(unrolled.LSTMCell(D, H), reverse=True)), "RTRL: runs forward in time"),
        (lambda: RTRL(unrolled.Zoneout(unrolled.LSTMCell(D, H), 0.5)), r"RTRL: Zoneout draws .* call .eval\(\)"),
        (
            lambda: RTRL(unrolled.Stack([unrolled.GRUCell(D, H), unrolled.GRUCell(H, H)], dropout=0.5)),
            r"RTRL: the stack applies dropout",
        ),
        (lambda: RTRL(unrolled.ElmanCell(D, H).requires_grad_(False)), "RTRL: the layers have no weights"),
        (lambda: RTRL(unrolled.LSTMCell(256, 512)), "RTRL: the influence matrix would have N S P = 1,612,709,888"),
        (lambda: RTRL(unrolled.ElmanCell(D, H), batch=0), "RTRL: batch must be a whole number from 1, got 0"),
        (lambda: RTRL(Modulated(D, H)), "RTRL: 0 constants were given, the cell has: k"),
        (
            lambda: RTRL(
                unrolled.Stack([unrolled.GRUCell(D, H), unrolled.GRUCell(H, H)]), constants=(torch.ones(1),)
            ),
            "RTRL: constants work with a single cell only",
        ),
        (
            lambda: RTRL(unrolled.Stack([Modulated(D, H), unrolled.GRUCell(H, H)])),
            "RTRL: constants work with a single cell only",
        ),
        (lambda: RTRL(unrolled.ElmanCell(D, H)).step(torch.ones(2, D)), r"RTRL: x has shape \(2, 4\), expected"),
        (lambda: RTRL(unrolled.ElmanCell(D, H)).step(torch.ones(1, 9)), r"RTRL: x has shape \(1, 1, 9\)"),
        (lambda: RTRL(unrolled.ElmanCell(D, H)).step([1]), "RTRL: x has type list"),
        (lambda: RTRL(unrolled.ElmanCell(D, H)).step(torch.ones(1, D).double()), "RTRL: x has dtype torch.float64"),
        (
            lambda: RTRL(unrolled.ElmanCell(D, H)).step(torch.ones(1, D, requires_grad=True)),
            r"RTRL: x requires a gradient, .* pass x.detach\(\)",
        ),
        (lambda: RTRL(unrolled.ElmanCell(D, H), 2).reset(torch.ones(2)), r"RTRL: rows must be a bool tensor \(2,\)"),
    ],
)
def test_what_it_cannot_do_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_dropout_that_rests_is_no_hindrance():
    cell = unrolled.Zoneout(unrolled.LSTMCell(D, H).double(), 0.5).eval()
    x = torch.randn(T, N, D, dtype=torch.float64)
    assert largest_difference(by_rtrl(cell, x), by_bptt(cell, x, "eager")) < EXACT
