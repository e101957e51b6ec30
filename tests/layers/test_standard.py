"""LSTM, GRU and Elman beside torch.nn, and the way to and from it."""

import inspect
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import unrolled

PAIRS = {"lstm": (nn.LSTM, unrolled.LSTM), "gru": (nn.GRU, unrolled.GRU), "rnn": (nn.RNN, unrolled.Elman)}


def tensors(state):
    return list(state) if isinstance(state, tuple) else [state]


@pytest.mark.parametrize("kind", PAIRS)
@settings(max_examples=25, deadline=None)
@given(
    D=st.integers(1, 4),
    H=st.integers(1, 4),
    L=st.integers(1, 3),
    bias=st.booleans(),
    batch_first=st.booleans(),
    both=st.booleans(),
    alone=st.booleans(),
    with_state=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_from_torch_computes_the_same_and_to_torch_goes_back(
    kind, D, H, L, bias, batch_first, both, alone, with_state, seed
):
    torch.manual_seed(seed)
    options = {"num_layers": L, "bias": bias, "batch_first": batch_first, "bidirectional": both}
    module = PAIRS[kind][0](D, H, dtype=torch.float64, **options)
    layer = unrolled.from_torch(module)
    assert isinstance(layer, PAIRS[kind][1])
    x = torch.randn(*((5,) if alone else (5, 3)), D, dtype=torch.float64)
    state = None
    if with_state:
        N = () if alone else (3 if not batch_first else 5,)
        shape = (L * (1 + both), *N, H)
        state = tuple(torch.randn(shape, dtype=torch.float64) for _ in range(2 if kind == "lstm" else 1))
        state = state if kind == "lstm" else state[0]
    expected, last = module(x, state)
    for other in (layer, unrolled.to_torch(layer)):
        got, states = other(x, state)
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
        for a, b in zip(tensors(states), tensors(last), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_relu_goes_both_ways():
    module = nn.RNN(2, 3, nonlinearity="relu")
    layer = unrolled.from_torch(module)
    x = torch.randn(4, 2, 2)
    torch.testing.assert_close(layer(x)[0], module(x)[0])
    assert unrolled.to_torch(layer).nonlinearity == "relu"


def test_mappings_that_would_change_values_are_refused():
    with pytest.raises(ValueError, match="proj_size"):
        unrolled.from_torch(nn.LSTM(3, 4, proj_size=2))
    with pytest.raises(ValueError, match="reset='after'"):
        unrolled.to_torch(unrolled.GRU(3, 4))
    with pytest.raises(ValueError, match=r"expected a torch\.nn\.LSTM"):
        unrolled.from_torch(nn.Linear(3, 4))
    with pytest.raises(ValueError, match="expected an unrolled LSTM"):
        unrolled.to_torch(unrolled.Recurrent(unrolled.LSTMCell(2, 2)))


def test_mode_and_dropout_are_kept():
    layer = unrolled.from_torch(nn.LSTM(2, 3, num_layers=2, dropout=0.5).eval())
    assert not layer.training
    assert layer.dropout == 0.5
    assert unrolled.to_torch(layer.train()).training


def test_defaults_are_the_lectures():
    assert unrolled.GRU(2, 3).reset == "before"
    layer = unrolled.LSTM(2, 3, num_layers=2, bidirectional=True)
    biases = [p for name, p in layer.named_parameters() if name.endswith("bias")]
    assert len(biases) == 4
    assert all(b.view(4, 3)[1].tolist() == [1, 1, 1] for b in biases)


SHARED = {
    "num_layers": 1,
    "bias": True,
    "batch_first": False,
    "dropout": 0.0,
    "bidirectional": False,
    "device": None,
    "dtype": None,
    "backend": "auto",
    "zoneout": 0.0,
    "variational_dropout": 0.0,
    "weight_drop": 0.0,
    "checkpoint": None,
    "recurrent_init": "orthogonal",
}
OWN = {
    unrolled.Elman: {"nonlinearity": "tanh"},
    unrolled.LSTM: {"forget_bias": 1.0, "chrono": None},
    unrolled.GRU: {"reset": "before", "forget_bias": 0.0, "chrono": None},
}


@pytest.mark.parametrize("kind", OWN)
def test_options_are_those_of_the_class(kind):
    parameters = inspect.signature(kind).parameters
    assert list(parameters)[:9] == ["input_size", "hidden_size", *list(SHARED)[:7]]  # as torch.nn orders them
    usual = {name: p.default for name, p in parameters.items()}
    assert usual == dict.fromkeys(("input_size", "hidden_size"), inspect.Parameter.empty) | SHARED | OWN[kind]
    for name in {"nonlinearity", "reset", "forget_bias", "chrono", "nonsense"} - set(OWN[kind]):
        with pytest.raises(
            TypeError, match=rf"^{kind.__name__}.__init__\(\) got an unexpected keyword argument '{name}'$"
        ):
            kind(2, 3, **{name: 1})

    class Small(kind):
        def __init__(self, size):
            super().__init__(size, size)

    assert list(inspect.signature(Small).parameters) == ["size"] and isinstance(Small(2), kind)


def test_options_reach_every_cell():
    both = {"num_layers": 2, "bidirectional": True}
    lstm = unrolled.LSTM(2, 3, forget_bias=4.0, **both)
    gru = unrolled.GRU(2, 3, forget_bias=4.0, reset="after", dtype=torch.float64, **both)
    elman = unrolled.Elman(2, 3, nonlinearity="relu", bias=False, recurrent_init="identity", **both)
    for layers in (lstm.stack.layers, gru.stack.layers, elman.stack.layers):
        assert len(layers) == 2 and all(isinstance(layer, unrolled.Bidirectional) for layer in layers)

    def cells(layer):
        return [way.cell for part in layer.stack.layers for way in (part.forward_layer, part.backward_layer)]

    for cell in cells(lstm):
        assert cell.x.bias[cell.x.rows("f")].tolist() == [4, 4, 4]
    for cell in cells(gru):
        assert cell.x.bias[cell.x.rows("z")].tolist() == [4, 4, 4]
        assert cell.d_n is not None and cell.x.weight.dtype == torch.float64
    for cell in cells(elman):
        assert cell.nonlinearity == "relu" and cell.x.bias is None and torch.equal(cell.h.weight, torch.eye(3))


def test_lengths_and_resets_with_batch_first():
    torch.manual_seed(0)
    time_first = unrolled.LSTM(2, 3, dtype=torch.float64)
    batch_first = unrolled.LSTM(2, 3, batch_first=True, dtype=torch.float64)
    batch_first.load_state_dict(time_first.state_dict())
    x = torch.randn(4, 3, 2, dtype=torch.float64)
    resets = torch.rand(4, 3) < 0.4
    a, _ = time_first(x, lengths=[4, 1, 2], resets=resets)
    b, _ = batch_first(x.transpose(0, 1), lengths=[4, 1, 2], resets=resets.transpose(0, 1))
    torch.testing.assert_close(a, b.transpose(0, 1))
    assert not a[1:, 1].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: unrolled.LSTM(2, 3, num_layers=0), "num_layers must be"),
        (
            lambda: unrolled.LSTM(2, 3, num_layers=2)(torch.zeros(4, 5, 2), (torch.zeros(1, 5, 3),) * 2),
            r"LSTM: h0 has shape \(1, 5, 3\), expected \(num_layers \* directions, N, H\) = \(2, 5, 3\)",
        ),
        (
            lambda: unrolled.LSTM(2, 3)(torch.zeros(4, 5, 2), torch.zeros(1, 5, 3)),
            r"a tuple \(h, c\) of tensors, got Tensor",
        ),
        (lambda: unrolled.GRU(2, 3)(torch.zeros(4)), "expected 3 dimensions"),
        (
            lambda: unrolled.GRU(2, 3)(nn.utils.rnn.pack_sequence([torch.zeros(3, 2)])),
            "pass the padded tensor and lengths=",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("kind", [partial(unrolled.LSTM, num_layers=2), unrolled.GRU, unrolled.Elman])
def test_in_anybodys_training_loop(kind):
    """Learn to tell the sign of the first input after eight steps."""
    torch.manual_seed(0)
    layer = kind(4, 6)
    head = nn.Linear(6, 1)
    x = torch.randn(8, 64, 4)
    y = (x[0, :, :1] > 0).float()
    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.02)
    losses = []
    for _ in range(150):
        loss = nn.functional.binary_cross_entropy_with_logits(head(layer(x)[0][-1]), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
