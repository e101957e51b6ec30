"""Hidden layers above one another."""

import pytest
import torch

import unrolled
from helpers import cells
from unrolled import Bidirectional, Recurrent, Stack


@pytest.mark.parametrize("L", [1, 2, 3, 4])
def test_a_stack_is_its_layers_one_after_another(L):
    torch.manual_seed(0)
    names = ["lstm", "gru", "two-widths", "elman"][:L]
    layers = [Recurrent(cells(3, 3)[name]) for name in names]
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    y, state = Stack(layers)(x, lengths=[5, 2])
    expected = x
    for k, layer in enumerate(layers):
        expected, last = layer(expected, lengths=[5, 2])
        torch.testing.assert_close(list(state[k]), list(last))
    torch.testing.assert_close(y, expected)
    again, _ = Stack(layers)(x, state)
    assert not torch.equal(again, y)


def test_dropout_between_layers_only_and_in_training_only():
    torch.manual_seed(0)
    x = torch.randn(50, 20, 4)
    one = Stack([unrolled.ElmanCell(4, 16)], dropout=0.5)
    torch.testing.assert_close(one(x)[0], one(x)[0])
    two = Stack([unrolled.ElmanCell(4, 16), Probe(16)], dropout=0.5)
    seen, _ = two(x)
    dropped = (seen == 0).float().mean()
    assert 0.47 < dropped < 0.53  # 16,000 values: the standard deviation is 0.004
    two.eval()
    assert (two(x)[0] == 0).float().mean() < 0.01


class Probe(unrolled.Cell):
    """Its output is its input."""

    def __init__(self, size):
        super().__init__(size, size)

    def step(self, x, h):
        return x


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="layer 0 has outputs of width 3, but layer 1 takes inputs of width 4"):
        Stack([unrolled.LSTMCell(2, 3), unrolled.LSTMCell(4, 3)])
    with pytest.raises(ValueError, match="layers is empty, expected at least one layer"):
        Stack([])
    with pytest.raises(ValueError, match=r"Stack: dropout must .*got 1\.0"):
        Stack([unrolled.LSTMCell(2, 3)], dropout=1.0)
    with pytest.raises(ValueError, match="one entry per layer"):
        Stack([unrolled.LSTMCell(2, 3)])(torch.zeros(1, 1, 2), (None, None))


def test_gates_of_every_layer():
    stack = Stack([unrolled.GRUCell(2, 3), Bidirectional(unrolled.LSTMCell(3, 2), unrolled.ElmanCell(3, 2))])
    x = torch.randn(4, 1, 2)
    first, second = stack.gates(x)
    assert set("rznh") <= set(first) and set("ifgoch") | {"h_back"} <= set(second)
    before = torch.cat([torch.zeros(1, 1, 3), first["h"][:-1]])
    torch.testing.assert_close(first["h"], first["z"] * before + (1 - first["z"]) * first["n"])
    torch.testing.assert_close(second["h"], second["o"] * second["c"].tanh())
    y, ((h,), _) = stack(x)
    torch.testing.assert_close([first["h"][-1], torch.cat([second["h"], second["h_back"]], 2)], [h, y])
