"""One step at a time: the same as the whole sequence, with gradients and without."""

import pytest
import torch

import unrolled
from helpers import cells
from unrolled import Bidirectional, Recurrent, Stack
from unrolled.engine.binding import _FEW_ROWS

T, N, D, H = 6, 2, 3, 5


@pytest.mark.parametrize("backend", ["auto", "eager"])
@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "gru-after", "peephole", "two-widths"])
def test_steps_make_the_sequence(name, backend):
    torch.manual_seed(0)
    layer = Recurrent(cells(D, H)[name], backend=backend)
    x = torch.randn(T, N, D, dtype=torch.float64, requires_grad=True)
    truth, last = layer(x)
    outputs, state = [], None
    for x_t in x:
        y, state = layer.step(x_t, state)
        outputs.append(y)
    torch.testing.assert_close(torch.stack(outputs), truth)
    for a, b in zip(state, last, strict=True):
        torch.testing.assert_close(a, b)
    upstream = torch.randn_like(truth)
    wanted = [x, *layer.parameters()]
    for a, b in zip(
        torch.autograd.grad(torch.stack(outputs), wanted, upstream),
        torch.autograd.grad(truth, wanted, upstream),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7, _FEW_ROWS, _FEW_ROWS + 1])
@pytest.mark.parametrize("hidden", [1, 5, 16, 37])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_few_rows_are_multiplied_without_a_copy_of_the_weights(rows, hidden, dtype):
    """Up to some rows the matrices are read as they lie, beyond they are packed: the same numbers."""
    torch.manual_seed(0)
    layer = Recurrent(unrolled.LSTMCell(D, hidden)).to(dtype)
    x, state = torch.randn(rows, D, dtype=dtype), tuple(torch.randn(rows, hidden, dtype=dtype) for _ in "hc")
    with torch.no_grad():
        y, new = layer.step(x, state)
        truth = layer.cell.step(x, *state)
    torch.testing.assert_close(y, truth[0])
    torch.testing.assert_close(new[1], truth[1])


def test_the_weights_of_now_are_used():
    layer, x = Recurrent(unrolled.GRUCell(D, H)), torch.randn(N, D)
    with torch.no_grad():
        before = layer.step(x)[0]
        layer.cell.x.weight.data.mul_(2)
        torch.testing.assert_close(layer.step(x)[0], layer(x[None])[0][0])
        assert not torch.equal(layer.step(x)[0], before)


def test_a_stack_is_stepped_layer_by_layer():
    torch.manual_seed(0)
    stack = Stack([unrolled.LSTMCell(D, H), unrolled.GRUCell(H, 4)], dropout=0.5).eval()
    x, state = torch.randn(T, N, D), None
    truth, last = stack(x)
    for x_t, y_t in zip(x, truth, strict=True):
        y, state = stack.step(x_t, state)
        torch.testing.assert_close(y, y_t)
    torch.testing.assert_close(state[0][1], last[0][1])
    both = Stack([Bidirectional(unrolled.LSTMCell(D, H), unrolled.LSTMCell(D, H))])
    with pytest.raises(ValueError, match="needs the whole sequence"):
        both.step(x[0])


def test_bad_steps():
    layer = Recurrent(unrolled.LSTMCell(D, H))
    with pytest.raises(ValueError, match=r"shape \(6, 2, 3\), expected one step \(N, D\) with D = 3"):
        layer.step(torch.zeros(T, N, D))
    with pytest.raises(ValueError, match=r"shape \(2, 4\), expected one step"):
        layer.step(torch.zeros(N, D + 1))
    assert layer.step(torch.zeros(0, D))[0].shape == (0, H)
    with pytest.raises(ValueError, match="type list"):
        layer.step([1.0])
    with pytest.raises(ValueError, match="state h has shape"):
        layer.step(torch.zeros(N, D), (torch.zeros(N, H + 1), torch.zeros(N, H)))
    with pytest.raises(ValueError, match="reverse=True"):
        Recurrent(unrolled.LSTMCell(D, H), reverse=True).step(torch.zeros(N, D))
