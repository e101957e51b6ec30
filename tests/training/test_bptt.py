"""Backpropagation through time, proved against derivations of its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from unrolled.errors import DataError
from unrolled.layers.state import detach
from unrolled.models import Model, OneHot, Softmax
from unrolled.training.batches import Batch, at_the_end
from unrolled.training.bptt import batch_loss
from unrolled.training.streams import Streams

V, H = 4, 5


def model(cell=unrolled.LSTMCell, layers=1):
    torch.manual_seed(0)
    cells = [cell(V if k == 0 else H, H) for k in range(layers)]
    return Model(OneHot(V), unrolled.Stack(cells), Softmax(H, V)).double()


def symbols(length, seed=0):
    return np.random.default_rng(seed).integers(0, V, length).astype(np.uint8)


def gradients(m, loss):
    m.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in m.parameters()]


def run_epoch(m, streams):
    """The windows' losses and gradients with frozen weights, as training sees them."""
    state, out = None, []
    for k in range(streams.updates_per_epoch):
        window = streams.batch_at(k)
        losses = batch_loss(m, window, state)
        total, count, state = losses.total, losses.count, losses.state
        out.append((window, total.detach(), count, gradients(m, total)))
    return out


# -- streams


@settings(max_examples=200, deadline=None)
@given(
    length=st.integers(2, 300),
    batch=st.integers(1, 5),
    bptt=st.integers(0, 20),
    update_every=st.none() | st.integers(1, 20),
)
def test_each_symbol_is_a_target_once_an_epoch_and_windows_join(length, batch, bptt, update_every):
    text = np.arange(length)
    S = (length - 1) // batch
    if max(bptt, 1) > S:
        with pytest.raises(DataError, match="need at least"):
            Streams(text, batch, bptt, update_every)
        return
    streams = Streams(text, batch, bptt, update_every)
    targets = [[] for _ in range(batch)]
    next_start = np.arange(batch) * S
    for k in range(streams.updates_per_epoch):
        w = streams.batch_at(k)
        steps = len(w.inputs)
        assert w.continues == (k > 0) and w.steps == w.counted * batch
        assert steps <= (bptt or S)
        assert w.counted <= (update_every or bptt or S)
        assert w.counted <= steps
        assert (w.inputs[0].numpy() == next_start).all()
        assert (w.targets == w.inputs + 1).all()
        next_start = next_start + w.advance
        for n in range(batch):
            targets[n] += w.targets[-w.counted :, n].tolist()
        if k > 2 and update_every and bptt > update_every and k + 1 < streams.updates_per_epoch:
            assert steps == min(bptt, streams._edge(k + 1))
    for n in range(batch):
        assert targets[n] == list(range(n * S + 1, (n + 1) * S + 1))


def test_chunks_of_an_epoch_are_nearly_equal():
    streams = Streams(symbols(1051), 1, 100)
    sizes = {streams.batch_at(k).counted for k in range(streams.updates_per_epoch)}
    assert streams.updates_per_epoch == 11
    assert sizes == {95, 96}


# -- the proofs


@pytest.mark.parametrize("cell", [unrolled.ElmanCell, unrolled.LSTMCell, unrolled.GRUCell])
def test_chunks_with_carried_state_have_the_losses_of_one_long_run(cell):
    m, text = model(cell, layers=2), symbols(91)
    chunked = sum(float(total) for _, total, _, _ in run_epoch(m, Streams(text, 3, 7)))
    whole = sum(float(total) for _, total, _, _ in run_epoch(m, Streams(text, 3, 0)))
    assert chunked == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(("K2", "K1"), [(12, None), (9, 4)])
def test_a_reset_begins_anew_and_no_gradient_passes_it(K2, K1):
    """Stream 1 of 2 is reset at step 5: the losses and gradients of three separate stretches."""
    m, text = model(), symbols(25)
    batch = Streams(text, 2, K2, K1).batch_at(1 if K1 else 0)
    T = len(batch.inputs)
    resets = torch.zeros(T, 2, dtype=torch.bool)
    resets[5, 1] = True
    state = m.unroll(m.encoder(torch.ones(3, 2, dtype=torch.long)))[1]
    got = batch_loss(m, replace(batch, resets=resets), state)
    found = gradients(m, got.total)
    alone = detach(state)
    total, first = 0.0, T - batch.counted
    for n, begin, end, fresh in ((0, 0, T, False), (1, 0, 5, False), (1, 5, T, True)):
        own = None if fresh else tuple(tuple(s[n : n + 1] for s in layer) for layer in alone)
        h, _ = m.unroll(m.encoder(batch.inputs[begin:end, n : n + 1]), own)
        counts = slice(max(first, begin) - begin, None)
        total = total + m.head.loss(m.read(h[counts]), batch.targets[begin:end, n : n + 1][counts])[0]
    assert got.total.item() == pytest.approx(total.item(), rel=1e-12)
    for a, b in zip(found, gradients(m, total), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    few, rows = at_the_end(replace(batch, resets=resets), 1)
    assert rows.tolist() == [0] and torch.equal(few.resets, resets[:, :1])


def test_the_gradient_before_the_boundary_is_exactly_zero():
    """The first chunk's inputs enter through vectors of their own: the second chunk's loss gives them none."""
    m, text = model(), torch.from_numpy(symbols(21).astype(np.int64))[:, None]
    x = m.encoder(text[:10]).requires_grad_()
    h, state = m.unroll(x)
    window = Batch(text[10:20], text[11:21], counted=10, advance=10, continues=True)
    total = batch_loss(m, window, state).total
    assert torch.autograd.grad(total, x, allow_unused=True, retain_graph=True) == (None,)
    m.head.loss(m.read(h), text[1:11])[0].backward()
    assert x.grad.any()


def test_returned_states_carry_no_gradient():
    m = model()
    for k, streams in ((1, Streams(symbols(40), 2, 5)), (3, Streams(symbols(40), 2, 6, 2))):
        state = batch_loss(m, streams.batch_at(k), m.initial_state(2)).state
        assert not any(s.requires_grad for layer in state for s in layer)


@pytest.mark.parametrize(("K2", "K1"), [(6, 2), (6, 5), (7, 3), (5, 1), (4, 4)])
@pytest.mark.parametrize("layers", [1, 2])
def test_at_learning_rate_zero_the_window_is_the_analytic_truncation(K2, K1, layers):
    """Losses of the new steps, differentiated with the true state at the window's start held constant."""
    m, text, N = model(layers=layers), symbols(61), 2
    streams = Streams(text, N, K2, K1)
    S = streams.length
    rows = np.arange(N) * S + np.arange(S + 1)[:, None]
    stretch = torch.from_numpy(text[rows].astype(np.int64))
    for k, (window, total, count, got) in enumerate(run_epoch(m, streams)):
        stop = (k + 1) * S // streams.updates_per_epoch
        new = stop - k * S // streams.updates_per_epoch
        start = max(0, stop - K2) if K1 < K2 else stop - new
        state = None
        if start:
            _, state = m.unroll(m.encoder(stretch[:start]))
        h, _ = m.unroll(m.encoder(stretch[start:stop]), detach(state))
        expected, n = m.head.loss(m.read(h)[-new:], stretch[stop - new + 1 : stop + 1])
        assert (count, len(window.inputs)) == (n, stop - start)
        assert float(total) == pytest.approx(expected.item(), rel=1e-12)
        for a, b in zip(got, gradients(m, expected), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_a_longer_window_reaches_further_back():
    """The truncated gradient differs from the full one, and the full window gives the full one."""
    m, text = model(), symbols(41)
    full = run_epoch(m, Streams(text, 1, 0))[0][3]
    for bptt, same in ((40, True), (5, False)):
        parts = [g for _, _, _, g in run_epoch(m, Streams(text, 1, bptt))]
        total = [sum(gs) for gs in zip(*parts, strict=True)]
        assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(total, full, strict=True)) == same


def rtrl(m, text):
    """Real-time recurrent learning: the derivative of h by every weight, carried forward in time, in numpy.

    dh_t/dw = diag(1 - h_t^2) (W_hh dh_{t-1}/dw + d(W_hh h_{t-1} + W_xh x_t + b)/dw)   with h_{t-1}, x_t held
    R. Williams & D. Zipser (1989).
    """
    cell = m.stack.layers[0].cell
    W, U, b = (p.detach().numpy() for p in (cell.x.weight, cell.h.weight, cell.x.bias))
    A, a = m.head.map.weight.detach().numpy(), m.head.map.bias.detach().numpy()
    sizes = {"W": W.size, "U": U.size, "b": b.size}
    P = np.zeros((H, sum(sizes.values())))
    g = np.zeros(P.shape[1])
    dA, da = np.zeros_like(A), np.zeros_like(a)
    h = np.zeros(H)
    for now, target in zip(text[:-1], text[1:], strict=True):
        x = np.eye(V)[now]
        h_before = h
        h = np.tanh(W @ x + U @ h_before + b)
        direct = np.hstack([np.kron(np.eye(H), x), np.kron(np.eye(H), h_before), np.eye(H)])
        P = (1 - h**2)[:, None] * (U @ P + direct)
        y = A @ h + a
        p = np.exp(y - y.max())
        dy = p / p.sum() - np.eye(V)[target]
        g += (dy @ A) @ P
        dA += np.outer(dy, h)
        da += dy
    dW, dU, db = np.split(g, np.cumsum(list(sizes.values()))[:-1])
    return {"W": dW.reshape(W.shape), "U": dU.reshape(U.shape), "b": db, "A": dA, "a": da}


def test_full_bptt_equals_real_time_recurrent_learning():
    m, text = model(unrolled.ElmanCell), symbols(31)
    window = Streams(text, 1, 0).batch_at(0)
    total = batch_loss(m, window, None).total
    total.backward()
    cell, head = m.stack.layers[0].cell, m.head.map
    got = {"W": cell.x.weight, "U": cell.h.weight, "b": cell.x.bias, "A": head.weight, "a": head.bias}
    for name, expected in rtrl(m, text).items():
        np.testing.assert_allclose(got[name].grad.numpy(), expected, rtol=1e-9, atol=1e-12, err_msg=name)
