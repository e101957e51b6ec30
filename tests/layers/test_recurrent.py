"""The unroll: backends against the equation, lengths, resets, directions; values and every gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from helpers import ALL_CELLS, KERNEL_CELLS, cells
from unrolled import Bidirectional, Recurrent
from unrolled.engine import eager, native
from unrolled.layers import torch_kernels

D, H = 3, 4


def results(layer, x, state=None, lengths=None, resets=None, parameters=None):
    """Output, last states, and the gradient of a random function of all of them, by name."""
    x = x.clone().requires_grad_()
    state = None if state is None else tuple(s.clone().requires_grad_() for s in state)
    layer.zero_grad()
    output, last = layer(x, state, lengths, resets)
    torch.manual_seed(1)
    total = sum((part * torch.randn_like(part)).sum() for part in (output, *last))
    total.backward()
    grads = {name: p.grad for name, p in (parameters or layer).named_parameters()}
    grads |= {"x": x.grad} | {f"state{k}": s.grad for k, s in enumerate(state or ())}
    return output.detach(), [s.detach() for s in last], grads


def assert_same(a, b, tolerance=1e-11):
    """Two ways to the same double-precision values: rounding of some hundred operations is below 1e-11."""
    torch.testing.assert_close(a[0], b[0], rtol=tolerance, atol=tolerance)
    for p, q in zip(a[1], b[1], strict=True):
        torch.testing.assert_close(p, q, rtol=tolerance, atol=tolerance)
    assert a[2].keys() == b[2].keys()
    for name in a[2]:
        zero = torch.zeros(())
        p, q = (zero if g is None else g for g in (a[2][name], b[2][name]))
        torch.testing.assert_close(p, q, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")


def some_state(cell, N):
    return tuple(torch.randn(N, *shape, dtype=torch.float64) for shape in cell.state_shapes().values())


@pytest.mark.parametrize("name", KERNEL_CELLS)
@pytest.mark.parametrize("reverse", [False, True])
@settings(max_examples=15, deadline=None)
@given(
    T=st.integers(1, 6),
    N=st.integers(1, 5),
    D=st.integers(1, 4),
    H=st.integers(1, 5),
    extra=st.sampled_from(["", "state", "lengths", "resets", "state+lengths", "state+resets"]),
    seed=st.integers(0, 1000),
)
def test_torchs_kernel_computes_the_equation(name, reverse, T, N, D, H, extra, seed):
    torch.manual_seed(seed)
    cell = cells(D, H)[name]
    x = torch.randn(T, N, D, dtype=torch.float64)
    state = some_state(cell, N) if "state" in extra else None
    lengths = torch.randint(1, T + 1, (N,)) if "lengths" in extra else None
    resets = torch.rand(T, N) < 0.3 if "resets" in extra else None
    fast = Recurrent(cell, reverse=reverse, backend="torch")
    slow = Recurrent(cell, reverse=reverse, backend="eager")
    assert_same(*(results(layer, x, state, lengths, resets) for layer in (fast, slow)))


def test_auto_uses_the_engine_then_torch_then_the_equation(monkeypatch):
    calls = []
    monkeypatch.setenv("UNROLLED_VERIFY", "off")  # it runs the equation
    scan, kernel = eager.scan, torch_kernels.scan
    monkeypatch.setattr(eager, "scan", lambda *a, **k: calls.append("eager") or scan(*a, **k))
    monkeypatch.setattr(torch_kernels, "scan", lambda *a, **k: calls.append("torch") or kernel(*a, **k))
    x = torch.randn(4, 2, D, dtype=torch.float64)
    for name in ALL_CELLS:
        Recurrent(cells(D, H)[name])(x)
    assert not calls
    monkeypatch.setattr(native, "module", None)
    monkeypatch.setattr(native, "missing", "as if there were no compiler")
    for name in KERNEL_CELLS:
        Recurrent(cells(D, H)[name])(x)
    assert set(calls) == {"torch"}
    calls.clear()
    Recurrent(cells(D, H)["gru"])(x)
    Recurrent(cells(D, H)["lstm"])(x, lengths=[4, 0])
    assert calls == ["eager", "eager"]
    with pytest.raises(ValueError, match="no compiler"):
        Recurrent(cells(D, H)["gru"], backend="engine")(x)


def test_a_subclass_of_a_built_in_cell_runs_its_own_step():
    class Negative(unrolled.ElmanCell):
        def step(self, x, h):
            return -super().step(x, h)

    cell = Negative(D, H)
    y, _ = Recurrent(cell)(torch.ones(1, 1, D))
    torch.testing.assert_close(y[0], -torch.tanh(cell.x(torch.ones(1, D))))


@pytest.mark.parametrize("name", ALL_CELLS)
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_the_unroll_against_finite_differences(name, reverse):
    torch.manual_seed(0)
    cell = cells(2, 3)[name]
    layer = Recurrent(cell, reverse=reverse, backend="eager")
    x = torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([4, 1, 3])
    resets = torch.zeros(4, 3, dtype=torch.bool)
    resets[2, 0] = resets[1, 2] = True
    parameters = list(layer.parameters())

    def run(x, *_):
        output, last = layer(x, lengths=lengths, resets=resets)
        return output, *last

    assert torch.autograd.gradcheck(run, (x, *parameters))


@pytest.mark.parametrize("name", ALL_CELLS)
@pytest.mark.parametrize("reverse", [False, True])
@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=5), seed=st.integers(0, 1000), reset=st.booleans())
def test_lengths_equal_one_by_one_runs(name, reverse, lengths, seed, reset):
    torch.manual_seed(seed)
    T, N = 5, len(lengths)
    cell = cells(D, H)[name]
    layer = Recurrent(cell, reverse=reverse)
    x = torch.randn(T, N, D, dtype=torch.float64)
    state = some_state(cell, N)
    resets = torch.rand(T, N) < 0.4 if reset else None
    output, last = layer(x, state, torch.tensor(lengths), resets)
    for n, length in enumerate(lengths):
        assert not output[length:, n].any()
        alone = tuple(s[n : n + 1] for s in state)
        if length:
            own_resets = None if resets is None else resets[:length, n : n + 1]
            y, alone = layer(x[:length, n : n + 1], alone, resets=own_resets)
            torch.testing.assert_close(output[:length, n : n + 1], y, rtol=1e-11, atol=1e-11)
        for a, b in zip(last, alone, strict=True):
            torch.testing.assert_close(a[n : n + 1], b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["lstm", "gru", "two-widths"])
@pytest.mark.parametrize("reverse", [False, True])
def test_resets_equal_separate_sequences(name, reverse):
    torch.manual_seed(0)
    layer = Recurrent(cells(D, H)[name], reverse=reverse)
    x = torch.randn(7, 2, D, dtype=torch.float64)
    resets = torch.zeros(7, 2, dtype=torch.bool)
    resets[3, 0] = resets[5, 1] = True
    output, _ = layer(x, resets=resets)
    for n, cut in enumerate((3, 5)):
        parts = [layer(part, None)[0] for part in (x[:cut, n : n + 1], x[cut:, n : n + 1])]
        torch.testing.assert_close(output[:, n : n + 1], torch.cat(parts), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ALL_CELLS)
def test_what_stands_in_the_padding_has_no_effect(name):
    layer = Recurrent(cells(D, H)[name])
    x = torch.randn(4, 2, D, dtype=torch.float64)
    lengths = torch.tensor([4, 2])
    outcomes = []
    for filler in (0.0, torch.nan):
        x[2:, 1] = filler
        outcomes.append(results(layer, x, lengths=lengths))
    assert_same(*outcomes)


def test_no_gradient_crosses_a_reset():
    for name in ("lstm", "gru"):
        x = torch.randn(6, 1, D, dtype=torch.float64, requires_grad=True)
        resets = torch.zeros(6, 1, dtype=torch.bool)
        resets[4] = True
        Recurrent(cells(D, H)[name])(x, resets=resets)[0][4:].sum().backward()
        assert not x.grad[:4].any()
        assert x.grad[4:].any()


@pytest.mark.parametrize("name", ALL_CELLS)
def test_chunks_with_carried_state_equal_one_long_run(name):
    torch.manual_seed(0)
    cell = cells(D, H)[name]
    layer = Recurrent(cell)
    x = torch.randn(9, 2, D, dtype=torch.float64)
    whole, last = layer(x)
    state, parts = None, []
    for chunk in x.split(4):
        y, state = layer(chunk, state)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-12, atol=1e-12)
    for a, b in zip(state, last, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_bidirectional_is_both_directions_side_by_side():
    torch.manual_seed(0)
    one, two = cells(D, H)["lstm"], cells(D, H)["gru"]
    x = torch.randn(5, 3, D, dtype=torch.float64)
    lengths = torch.tensor([2, 5, 3])
    y, (ahead, back) = Bidirectional(one, two)(x, lengths=lengths)
    a, last_a = Recurrent(one)(x, lengths=lengths)
    b, last_b = Recurrent(two, reverse=True)(x, lengths=lengths)
    torch.testing.assert_close(y, torch.cat([a, b], dim=2))
    torch.testing.assert_close([*ahead, *back], [*last_a, *last_b])
    with pytest.raises(ValueError, match="its own cell"):
        Bidirectional(one, one)
    with pytest.raises(ValueError, match="inputs of width 3 and 4"):
        Bidirectional(one, unrolled.GRUCell(4, 4))


def test_learned_initial_state_gets_a_gradient():
    cell = cells(D, H)["two-widths"]
    Recurrent(cell)(torch.randn(3, 2, D, dtype=torch.float64))[0].sum().backward()
    assert cell.h0.grad.abs().sum() > 0


def test_gates_of_a_layer_are_those_of_each_step():
    torch.manual_seed(0)
    x = torch.randn(5, 2, D, dtype=torch.float64)
    for reverse in (False, True):
        layer = Recurrent(cells(D, H)["lstm"], reverse=reverse)
        named = layer.gates(x)
        assert {name: tuple(v.shape) for name, v in named.items()} == dict.fromkeys("ifgoch", (5, 2, H))
        torch.testing.assert_close(named["h"], layer(x)[0].detach())
        assert_fits_together(named, reverse)
    own = Recurrent(cells(D, H)["peephole"])
    assert_fits_together(named := own.gates(x), False)
    torch.testing.assert_close(named["h"], own(x)[0].detach())


def assert_fits_together(named, reverse):
    """c_t = f_t c_{t-1} + i_t g_t and h_t = o_t tanh(c_t), in the order in which the steps are read."""
    i, f, g, o, c, h = (named[name].flip(0) if reverse else named[name] for name in "ifgoch")
    torch.testing.assert_close(c, f * torch.cat([torch.zeros_like(c[:1]), c[:-1]]) + i * g)
    torch.testing.assert_close(h, o * c.tanh())


def test_constants_reach_the_step():
    class Masked(unrolled.Cell):
        constants = ("mask",)

        def step(self, x, h, mask):
            return (h + x) * mask

    layer = Recurrent(Masked(2, 2))
    mask = torch.tensor([[1.0, 0.0]])
    y, _ = layer(torch.ones(3, 1, 2), torch.zeros(1, 1, 2).unbind(), constants=(mask,))
    assert y[:, 0].tolist() == [[1, 0], [2, 0], [3, 0]]
    with pytest.raises(ValueError, match="got 0 constants, but the cell has: mask"):
        layer(torch.ones(3, 1, 2), torch.zeros(1, 1, 2).unbind())


X = torch.zeros(4, 2, D)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": [1.0]}, r"x must be a tensor"),
        ({"x": X[0]}, r"x has shape \(2, 3\), expected \(T, N, D\)"),
        ({"x": X[..., :2]}, r"D = 3"),
        ({"x": X[:0]}, r"x has shape \(0, 2, 3\), expected at least one step"),
        ({"x": X.long()}, "dtype torch.int64, expected a floating-point type"),
        ({"x": X.double()}, r"x has dtype torch.float64, but the weights have torch.float32"),
        ({"x": X, "state": torch.zeros(2, H)}, r"state must be a tuple \(h, c\) of tensors, got Tensor"),
        ({"x": X, "state": (torch.zeros(2, H),)}, r"got \(Tensor,\)"),
        ({"x": X, "state": (torch.zeros(2, H), torch.zeros(3, H))}, r"state c has shape \(3, 4\)"),
        ({"x": X, "state": (torch.zeros(2, H), torch.zeros(2, H).double())}, "state c has dtype"),
        ({"x": X, "lengths": [4, 5]}, "lengths must lie between 0 and T = 4"),
        ({"x": X, "lengths": [-1, 2]}, "lengths must lie between 0 and T = 4"),
        ({"x": X, "lengths": [4]}, r"expected \(N,\) = \(2,\) integers"),
        ({"x": X, "lengths": [1.5, 2.0]}, "integers"),
        ({"x": X, "resets": torch.zeros(4, 2)}, r"expected \(T, N\) = \(4, 2\) bool"),
        ({"x": X, "resets": torch.zeros(2, 4, dtype=torch.bool)}, "bool"),
    ],
)
def test_what_does_not_fit_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Recurrent(unrolled.LSTMCell(D, H))(**arguments)


def test_construction_errors():
    with pytest.raises(ValueError, match=r"must be an unrolled\.Cell"):
        Recurrent(torch.nn.LSTMCell(2, 2))
    with pytest.raises(ValueError, match="backend must be one of auto, engine, torch, eager"):
        Recurrent(unrolled.GRUCell(2, 2), backend="cudnn")
    with pytest.raises(ValueError, match=r"torch\.nn has no kernel"):
        Recurrent(unrolled.GRUCell(2, 2), backend="torch")


def test_non_contiguous_and_expanded_inputs():
    cell = cells(D, H)["lstm"]
    x = torch.randn(2, 5, D, dtype=torch.float64).transpose(0, 1)
    h = torch.randn(1, H, dtype=torch.float64).expand(2, H)
    a = Recurrent(cell)(x, (h, h))[0]
    b = Recurrent(cell, backend="eager")(x.contiguous(), (h.contiguous(), h.contiguous()))[0]
    torch.testing.assert_close(a, b)
