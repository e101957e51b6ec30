"""What layers are given: empty batches, lengths and resets of every type and layout, states, parts, sizes."""

import numpy as np
import pytest
import torch

import unrolled
from helpers import TwoWidths
from unrolled import Bidirectional, Recurrent, Stack

D, H, T, N = 3, 4, 200, 3
MAKE = {
    "lstm": lambda b: unrolled.LSTM(D, H, 2, bidirectional=True, backend=b),
    "gru": lambda b: unrolled.GRU(D, H, backend=b, **({"reset": "after"} if b == "torch" else {})),
    "elman": lambda b: unrolled.Elman(D, H, backend=b),
    "checkpoint": lambda b: unrolled.LSTM(D, H, backend=b, checkpoint=2),
    "recurrent": lambda b: Recurrent(unrolled.LSTMCell(D, H) if b == "torch" else TwoWidths(D, H), backend=b),
    "bidirectional": lambda b: Bidirectional(unrolled.LSTMCell(D, H), unrolled.ElmanCell(D, H), backend=b),
    "stack": lambda b: Stack([Recurrent(unrolled.LSTMCell(D, H), backend=b), unrolled.GRUCell(H, H)]),
}


@pytest.mark.parametrize("given", ["", "lengths", "resets", "lengths resets"])
@pytest.mark.parametrize("backend", ["auto", "engine", "torch", "eager"])
@pytest.mark.parametrize("kind", MAKE)
def test_no_sequences_give_empty_outputs_and_gradients_of_zero(kind, backend, given):
    layer = MAKE[kind](backend)
    x = torch.zeros(5, 0, D, requires_grad=True)
    more = {"lengths": []} if "lengths" in given else {}
    more |= {"resets": torch.zeros(5, 0, dtype=torch.bool)} if "resets" in given else {}
    y, last = layer(x, **more)
    truth, states = layer(torch.zeros(5, 2, D))
    assert y.shape == (5, 0, truth.shape[2])
    for a, b in zip(*map(torch.utils._pytree.tree_leaves, (last, states)), strict=True):
        assert list(a.shape) == [0 if n == 2 and k == a.dim() - 2 else n for k, n in enumerate(b.shape)]
    (y.sum() + sum(s.sum() for s in torch.utils._pytree.tree_leaves(last))).backward()
    assert x.grad.shape == x.shape
    assert all(p.grad is not None and not p.grad.any() for p in layer.parameters())
    with pytest.raises(ValueError, match=r"at least one step"):
        layer(torch.zeros(0, 2, D))


@pytest.mark.parametrize(
    "lengths",
    [
        torch.tensor([100, 7, 0], dtype=torch.int8), torch.tensor([100, 7, 0], dtype=torch.uint8),
        torch.tensor([100, 7, 0], dtype=torch.int16), torch.tensor([100, 7, 0], dtype=torch.int32),
        torch.tensor([100, 7, 0], dtype=torch.uint16), np.array([100, 7, 0]), np.array([100, 7, 0], dtype=np.uint16),
        np.array([0, 7, 100])[::-1], [100, 7, 0], (100, 7, 0), [np.int64(100), np.int8(7), 0],
    ],
    ids=lambda v: f"{type(v).__name__} {getattr(v, 'dtype', '')}",
)  # fmt: skip
def test_lengths_of_any_integer_type(lengths):
    layer, x = unrolled.GRU(D, H), torch.randn(T, N, D)
    truth = layer(x, lengths=torch.tensor([100, 7, 0]))
    torch.testing.assert_close(layer(x, lengths=lengths), truth, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("abc", "must be a tensor, a numpy array or a list of numbers, got str"),
        ([None, 1, 2], "must be a tensor, .*, got (None, int, int)"),
        ([[1], [2, 3]], "must be a tensor, .*, got ((int,), (int, int))"),
        ({"a": 1}, "must be a tensor, .*, got dict"),
        ([1.0, 2.0, 3.0], "has shape (3,) and dtype torch.float32, expected (N,) = (3,) integers"),
        ([True] * 3, "has shape (3,) and dtype torch.bool, expected"),
        (3, "has shape () and dtype torch.int64, expected"),
        ([1j] * 3, "has shape (3,) and dtype torch.complex64, expected"),
    ],
    ids=str,
)
def test_lengths_of_no_integer_type(wrong, reason):
    reason = reason.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=f"lengths {reason}"):
        unrolled.GRU(D, H)(torch.zeros(T, N, D), lengths=wrong)


RESETS = torch.rand(N, 6) < 0.4


@pytest.mark.parametrize(
    "give", [torch.clone, torch.Tensor.numpy, torch.Tensor.tolist], ids=["tensor", "numpy", "list"]
)
def test_batch_first_is_true_of_resets_of_every_type(give):
    layer = unrolled.LSTM(D, H, 2, bidirectional=True)
    turned = unrolled.LSTM(D, H, 2, bidirectional=True, batch_first=True)
    turned.load_state_dict(layer.state_dict())
    x = torch.randn(6, N, D)
    y, last = layer(x, resets=RESETS.T, lengths=[6, 2, 0])
    other, same = turned(x.transpose(0, 1), resets=give(RESETS), lengths=[6, 2, 0])
    torch.testing.assert_close((other.transpose(0, 1), same), (y, last), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"resets has shape \(6, 3\) .*expected \(N, T\) = \(3, 6\)"):
        turned(x.transpose(0, 1), resets=give(RESETS.T))
    alone = turned(x[:, 0], resets=give(RESETS[0]), lengths=4)[0]
    torch.testing.assert_close(alone, turned(x[:, :1].transpose(0, 1), resets=RESETS[:1], lengths=[4])[0][0])


h = torch.zeros(1, 2, H)
s = torch.zeros(2, H)
ONE, TWO = Recurrent(unrolled.LSTMCell(D, H)), Stack([unrolled.LSTMCell(D, H), unrolled.GRUCell(H, H)])
BOTH = Bidirectional(unrolled.LSTMCell(D, H), unrolled.GRUCell(D, H))


@pytest.mark.parametrize(
    ("layer", "state", "message"),
    [
        (unrolled.LSTM(D, H), (None, None), r"LSTM: state must be a tuple \(h, c\) of tensors, got \(None, None\)"),
        (unrolled.LSTM(D, H), (h, None), r"got \(Tensor, None\)"),
        (unrolled.LSTM(D, H), h, "got Tensor"),
        (unrolled.LSTM(D, H), ((h, h),), r"got \(\(Tensor, Tensor\),\)"),
        (unrolled.LSTM(D, H), {"h": h}, "got dict"),
        (unrolled.GRU(D, H), (h, h), "GRU: state must be a tensor, h, got"),
        (unrolled.GRU(D, H), (None,), r"got \(None,\)"),
        (unrolled.GRU(D, H), 3, "got int"),
        (ONE, (None, None), r"tuple \(h, c\) of tensors, got \(None, None\)"),
        (ONE, s, "got Tensor"),
        (ONE, ((s, s),), r"got \(\(Tensor, Tensor\),\)"),
        (
            TWO,
            (None, (s,)),
            r"Stack: state must be a tuple with one entry per layer \(2\), got \(None, \(Tensor,\)\)",
        ),
        (TWO, (s, s), "state must be a tuple"),
        (TWO, s, "got Tensor"),
        (BOTH, (None, None), r"Bidirectional: state must be a pair .*got \(None, None\)"),
        (BOTH, ((s, s), s), r"state must be a tuple \(h,\)"),
    ],
)
def test_states_that_do_not_fit(layer, state, message):
    with pytest.raises(ValueError, match=message):
        layer(torch.zeros(5, 2, D), state)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Recurrent(unrolled.GRUCell), r"Recurrent: cell must be an unrolled.Cell, got the class GRUCell"),
        (lambda: Recurrent(unrolled.GRU(D, H)), "got GRU"),
        (lambda: Bidirectional(unrolled.GRU(D, H), unrolled.GRUCell(D, H)), "forward_cell must be .* got GRU"),
        (lambda: Bidirectional(unrolled.GRUCell(D, H), None), "backward_cell must be .* got NoneType"),
        (lambda: Stack([unrolled.LSTM(D, H)]), "layer 0 must be a cell, .* got LSTM"),
        (lambda: Stack([unrolled.LSTMCell(D, H), unrolled.GRUCell]), "layer 1 must be .* the class GRUCell"),
        (lambda: Stack(unrolled.LSTMCell(D, H)), "layers must be a list .* got LSTMCell"),
        (lambda: Stack([unrolled.LSTMCell(D, H)], dropout="0.1"), "Stack: dropout must lie in"),
        (lambda: unrolled.Zoneout(unrolled.LSTM(D, H), 0.1), "Zoneout: cell must be .* got LSTM"),
        (lambda: unrolled.explain(unrolled.GRU), "explain: cell must be .* the class GRU"),
        (lambda: unrolled.to_torch(unrolled.GRU), "the class GRU"),
        (lambda: unrolled.Gates(["i"], D, H), "Gates: names must be a string"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit(make, message):
    with pytest.raises(ValueError, match=message):
        make()


SIZED = {
    "LSTM": lambda n: unrolled.LSTM(D, n), "GRUCell": lambda n: unrolled.GRUCell(n, H),
    "Gates": lambda n: unrolled.Gates("i", D, n),
    "num_layers": lambda n: unrolled.GRU(D, H, n),
    "checkpoint": lambda n: Recurrent(unrolled.GRUCell(D, H), checkpoint=n),
}  # fmt: skip


@pytest.mark.parametrize("what", SIZED)
def test_sizes_are_whole_numbers_of_any_type(what):
    SIZED[what](np.int64(2))
    for wrong in (True, 2.0, np.float64(2), "2", 0, -1, None):
        if what == "checkpoint" and wrong is None:
            continue
        with pytest.raises(ValueError, match="must be a whole number from 1"):
            SIZED[what](wrong)
