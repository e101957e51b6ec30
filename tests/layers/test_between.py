"""Layers between the recurrent ones: each sequence as if it were alone, whatever stands in the padding."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import unrolled
from unrolled import Stack
from unrolled.layers import Activation, Convolution, Layer, LayerNorm, TimeExpansion, TimeReduction, TimeWindow

D, H = 3, 4


def numbers(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def begun(layer):
    """With other weights than at the start, so that none is 0 or 1."""
    layer.double()
    for p in layer.parameters():
        nn.init.normal_(p)
    return layer


def normed(layer, x):
    return F.layer_norm(x, x.shape[1:], layer.weight, layer.bias, layer.eps)


def activated(layer, x):
    """By their formulas."""
    e = torch.exp(-x)
    return {"relu": x * (x > 0), "silu": x / (1 + e), "tanh": (1 - e**2) / (1 + e**2)}[layer.kind]


def convolved(layer, x):
    """torch's convolution of one sequence (n, D), padded by hand."""
    before = layer.kernel - 1 if layer.causal else layer.padding
    x = F.pad(x, (0, 0, before, layer.padding))
    if len(x) < layer.kernel:
        return x.new_zeros(0, layer.output_size)
    return F.conv1d(x.T[None], layer.weight, layer.bias, layer.stride)[0].T


def joined(layer, x):
    """A loop over groups of steps."""
    rows = []
    for start in range(0, len(x), layer.factor):
        group = list(x[start : start + layer.factor])
        rows.append(torch.cat(group + [torch.zeros_like(x[0])] * (layer.factor - len(group))))
    return torch.stack(rows)


def expanded(layer, x):
    """A loop over steps, and over what each becomes."""
    weights, biases = layer.map.weight.split(H), layer.map.bias.split(H)
    return torch.stack([weight @ step + bias for step in x for weight, bias in zip(weights, biases, strict=True)])


def surrounded(layer, x):
    """A loop over steps, with zeros before the first and behind the last one."""
    zeros = [torch.zeros_like(x[0, : layer.of])] * layer.reach
    steps = [*zeros, *x[:, : layer.of], *zeros]
    rows = [torch.cat([*steps[t : t + 2 * layer.reach + 1], x[t, layer.of :]]) for t in range(len(x))]
    return torch.stack(rows)


def one_by_one(layer, x, lengths, alone):
    """(T', N, H) from each sequence alone; those without steps have no outputs."""
    steps = int(layer.output_lengths(len(x)))
    y = x.new_zeros(steps, x.shape[1], layer.output_size)
    for n, length in enumerate(lengths):
        if length:
            own = alone(layer, x[:length, n])
            assert len(own) == int(layer.output_lengths(torch.tensor([length]))) == layer.output_lengths(length)
            y = torch.cat([y[:, :n], F.pad(own, (0, 0, 0, steps - len(own)))[:, None], y[:, n + 1 :]], 1)
    return y


LAYERS = st.one_of(
    st.builds(lambda: (LayerNorm(D), normed)),
    st.builds(lambda kind: (Activation(D, kind), activated), st.sampled_from(["relu", "silu", "tanh"])),
    st.builds(lambda k: (TimeReduction(D, k), joined), st.integers(1, 4)),
    st.builds(lambda k: (TimeExpansion(D, H, k), expanded), st.integers(1, 4)),
    st.builds(lambda k, of: (TimeWindow(D, k, of), surrounded), st.integers(1, 4), st.sampled_from([None, 1, 2, D])),
    st.builds(lambda k, b: (Convolution(D, H, k, causal=True, bias=b), convolved), st.integers(1, 4), st.booleans()),
    st.builds(
        lambda k, s, p: (Convolution(D, H, k, stride=s, padding=p), convolved),
        st.integers(1, 4),
        st.integers(1, 3),
        st.integers(0, 3),
    ),
)


@settings(max_examples=120, deadline=None)
@given(LAYERS, st.integers(4, 9), st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(0, 2**32))
def test_each_sequence_is_alone(case, T, lengths, seed):
    """Values, the gradient of x and of the weights; NaN in the padding of x, and of the gradient from above."""
    layer, alone = case
    torch.manual_seed(seed)
    layer = begun(layer)
    lengths = [min(n, T) for n in lengths]
    x = numbers(T, len(lengths), D).requires_grad_()
    truth = one_by_one(layer, x, lengths, alone)
    within = torch.arange(T)[:, None] < torch.tensor(lengths)
    y, _ = layer(torch.where(within[..., None], x, torch.nan), lengths=lengths)
    torch.testing.assert_close(y, truth, rtol=1e-12, atol=1e-12)
    assert layer.output_lengths(lengths).tolist() == [layer.output_lengths(n) for n in lengths]
    upstream = torch.randn_like(y)
    counted = torch.arange(len(y))[:, None] < layer.output_lengths(torch.tensor(lengths))
    if not truth.requires_grad:
        return  # no output at all
    wanted = [x, *layer.parameters()]
    expected = torch.autograd.grad(truth, wanted, torch.where(counted[..., None], upstream, 0), allow_unused=True)
    found = torch.autograd.grad(y, wanted, torch.where(counted[..., None], upstream, torch.nan))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, torch.zeros_like(a) if b is None else b, rtol=1e-11, atol=1e-11)
    if all(n == T for n in lengths):
        torch.testing.assert_close(layer(x)[0], y)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 5),
    st.lists(st.integers(0, 5), min_size=1, max_size=3),
    st.integers(0, 2**32),
    st.floats(0, 1),
)
def test_a_causal_convolution_goes_on_where_it_stopped(kernel, T1, T2, lengths, seed, share):
    """In pieces, with lengths and resets: each sequence's outputs are those of its steps in one piece."""
    torch.manual_seed(seed)
    layer = begun(Convolution(D, H, kernel, causal=True))
    N = len(lengths)
    first = torch.tensor(lengths).clamp(max=T1)
    x1, x2 = numbers(T1, N, D).requires_grad_(), numbers(T2, N, D).requires_grad_()
    r1, r2 = torch.rand(T1, N) < share, torch.rand(T2, N) < share
    y1, state = layer(x1, layer.initial_state(N, x1), first, r1)
    y2, _ = layer(x2, state, resets=r2)
    for n, length in enumerate(first.tolist()):
        x = torch.cat([x1[:length, n], x2[:, n]])
        starts = torch.cat([r1[:length, n], r2[:, n]]).nonzero()[:, 0].tolist()
        pieces = [x[a:b] for a, b in zip([0, *starts], [*starts, len(x)], strict=True) if b > a]
        truth = torch.cat([convolved(layer, piece) for piece in pieces])
        ours = torch.cat([y1[:length, n], y2[:, n]])
        torch.testing.assert_close(ours, truth, rtol=1e-12, atol=1e-12)
        upstream, wanted = torch.randn_like(ours), [x1, x2, *layer.parameters()]
        ours = torch.autograd.grad(ours, wanted, upstream, retain_graph=True, allow_unused=True)
        truth = torch.autograd.grad(truth, wanted, upstream, allow_unused=True)
        for a, b in zip(ours, truth, strict=True):
            b = torch.zeros_like(a) if b is None and a is not None else b
            torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


SEEING_NEIGHBOURS = st.one_of(
    st.builds(lambda k: (begun(Convolution(D, H, k, padding=k // 2)), convolved), st.sampled_from([1, 3, 5])),
    st.builds(lambda k: (TimeWindow(D, k), surrounded), st.integers(1, 4)),
)


@settings(max_examples=120, deadline=None)
@given(SEEING_NEIGHBOURS, st.integers(1, 8), st.integers(0, 2**32), st.floats(0, 1))
def test_a_layer_sees_nothing_beyond_a_reset(made, T, seed, share):
    layer, alone = made
    torch.manual_seed(seed)
    x, resets = numbers(T, 2, D), torch.rand(T, 2) < share
    lengths = [T, T // 2]
    y, _ = layer(x, lengths=lengths, resets=resets)
    for n, length in enumerate(lengths):
        starts = resets[:length, n].nonzero()[:, 0].tolist()
        pieces = [x[a:b, n] for a, b in zip([0, *starts], [*starts, length], strict=True) if b > a]
        truth = torch.cat([x.new_zeros(0, layer.output_size), *(alone(layer, piece) for piece in pieces)])
        torch.testing.assert_close(y[:length, n], truth, rtol=1e-12, atol=1e-12)
        assert not y[length:, n].any()


def pyramid():
    """Recurrent layers with one of each kind between them."""
    torch.manual_seed(0)
    return begun(
        Stack(
            [
                Convolution(D, H, 3, stride=2, padding=1),
                unrolled.GRUCell(H, H),
                LayerNorm(H),
                TimeReduction(H, 2),
                unrolled.Bidirectional(unrolled.LSTMCell(2 * H, 2), unrolled.LSTMCell(2 * H, 2)),
                Convolution(4, H, 3, causal=True),
                unrolled.ElmanCell(H, H),
            ]
        )
    )


def test_a_stack_hands_the_shorter_lengths_on():
    stack, lengths = pyramid(), [9, 6, 1, 0]
    assert stack.output_lengths(9) == 3 and stack.output_lengths(lengths).tolist() == [3, 2, 1, 0]
    x = numbers(9, 4, D).requires_grad_()
    within = torch.arange(9)[:, None] < torch.tensor(lengths)
    y, state = stack(torch.where(within[..., None], x, torch.nan), lengths=lengths)
    assert y.shape == (3, 4, H) and state[0] == state[2] == state[3] == () and state[5][0].shape == (4, 2, 4)
    upstream = torch.randn_like(y)
    total, last = 0.0, []
    for n, length in enumerate(lengths[:3]):
        own, end = stack(x[:length, n : n + 1])
        torch.testing.assert_close(y[: len(own), n : n + 1], own)
        assert not y[len(own) :, n].any()
        total = total + (own * upstream[: len(own), n : n + 1]).sum()
        last.append(end)
    torch.testing.assert_close(state[4][1][0][:3], torch.cat([end[4][1][0] for end in last]))
    torch.testing.assert_close(state[5][0][:3], torch.cat([end[5][0] for end in last]))
    torch.testing.assert_close(state[6][0][:3], torch.cat([end[6][0] for end in last]))
    wanted = [x, *stack.parameters()]
    for a, b in zip(
        torch.autograd.grad((y * upstream).sum(), wanted), torch.autograd.grad(total, wanted), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_a_forward_stack_runs_as_a_stream():
    torch.manual_seed(0)
    stack = begun(
        Stack([Convolution(D, H, 3, causal=True), unrolled.LSTMCell(H, H), LayerNorm(H), unrolled.GRUCell(H, 2)])
    )
    x = numbers(7, 2, D)
    truth, last = stack(x)
    state = stack.initial_state(2, x)
    outputs, state = stack(x[:2], state)
    outputs = list(outputs)
    for x_t in x[2:]:
        y, state = stack.step(x_t, state)
        outputs.append(y)
    torch.testing.assert_close(torch.stack(outputs), truth)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize(
    "layer",
    [
        TimeReduction(D, 2),
        TimeWindow(D, 1),
        Convolution(D, D, 3, padding=1),
        unrolled.Recurrent(unrolled.GRUCell(D, D), reverse=True),
    ],
)
def test_what_needs_the_whole_sequence_refuses_steps(layer):
    with pytest.raises(ValueError, match=f"Stack: layer 0 is {type(layer).__name__}, which needs the whole sequence"):
        Stack([layer]).step(torch.zeros(2, D))
    with pytest.raises(ValueError, match="needs the whole sequence|step runs forward in time"):
        layer.step(torch.zeros(2, D))
    model = unrolled.Model(unrolled.OneHot(D), Stack([layer]), unrolled.Softmax(layer.output_size, D))
    with pytest.raises(ValueError, match="layer 0 is .* which needs the whole sequence and cannot run step by step"):
        next(unrolled.sample(model, torch.tensor([[0]]), 3))


def test_sampling_through_a_norm_and_a_convolution():
    torch.manual_seed(0)
    stack = Stack([unrolled.GRUCell(6, H), LayerNorm(H), Convolution(H, H, 2, causal=True)])
    model = begun(unrolled.Model(unrolled.OneHot(6), stack, unrolled.Softmax(H, 6)))
    made = list(unrolled.sample(model, torch.tensor([[1], [4]]), 12, temperature=0))
    scores, _ = model(torch.tensor([1, 4, *made])[:, None])
    assert made == scores[1:-1, 0].argmax(1).tolist() and len(set(made)) > 1
    best, *_ = unrolled.beam_search(model, torch.tensor([[1], [4]]), 3, width=2)
    logs = torch.log_softmax(model(torch.tensor([1, 4, *best.symbols])[:, None])[0][:, 0].detach(), 1)
    total = sum(float(logs[1 + k, symbol]) for k, symbol in enumerate(best.symbols))
    assert best.log_probability == pytest.approx(total, abs=1e-10)


def test_dropout_is_on_the_inputs_of_recurrent_layers():
    torch.manual_seed(0)
    x = torch.ones(50, 20, 16)
    once = Stack([Convolution(16, 16, 1), Echo(16)], dropout=0.5)
    nn.init.zeros_(once.layers[0].weight)
    nn.init.ones_(once.layers[0].bias)
    dropped = (once(x)[0] == 0).float().mean()
    assert 0.47 < dropped < 0.53  # 16,000 values: the standard deviation is 0.004
    never = Stack([Echo(16), Convolution(16, 16, 1), LayerNorm(16)], dropout=0.5)
    assert torch.equal(never(x)[0], never.eval()(x)[0])


class Echo(unrolled.Cell):
    """Its output is its input."""

    def __init__(self, size):
        super().__init__(size, size)

    def step(self, x, h):
        return x


class Squares(Layer):
    """A person's own layer: the three arguments of the simplest ones."""

    def forward(self, x, state=None, lengths=None, resets=None):
        return x.square(), ()


class Centred(Layer):
    """One that takes a constant."""

    constants = ("centre",)

    def forward(self, x, state=None, lengths=None, resets=None, constants=()):
        return x - constants["centre"], ()


def test_a_layer_of_ones_own():
    stack = Stack([unrolled.GRUCell(D, H), Squares(H, H), Centred(H, H)]).double()
    x, centre = numbers(5, 2, D), numbers(2, H)
    y, (_, empty, _) = stack(x, constants={"centre": centre})
    torch.testing.assert_close(y, stack.layers[0](x)[0].square() - centre)
    assert empty == () and stack.constants == ("centre",)
    assert stack.gates(x, constants={"centre": centre})[1:] == [{}, {}]
    with pytest.raises(ValueError, match="layer 1 is Squares, which needs the whole sequence"):
        stack.step(x[0], constants={"centre": centre})


@pytest.mark.parametrize(("backend", "lengths"), [("aot_eager", None), ("inductor", torch.tensor([8, 3]))])
def test_inside_torch_compile(backend, lengths):
    """One graph, with its gradient; once down to the C++ that torch makes of it, which takes half a minute."""
    stack, x = pyramid(), numbers(8, 2, D).requires_grad_()
    compiled = torch.compile(stack, fullgraph=True, backend=backend)
    ours, truth = compiled(x, None, lengths)[0], stack(x, None, lengths)[0]
    torch.testing.assert_close(ours, truth)
    wanted, upstream = [x, *stack.parameters()], torch.randn_like(truth)
    for a, b in zip(
        torch.autograd.grad(ours, wanted, upstream), torch.autograd.grad(truth, wanted, upstream), strict=True
    ):
        torch.testing.assert_close(a, b)


class Outputs(nn.Module):
    """The outputs of a stack, without its states."""

    def __init__(self, stack):
        super().__init__()
        self.stack = stack

    def forward(self, x, lengths):
        return self.stack(x, None, lengths)[0]


def test_traces_exports_and_second_derivatives():
    torch.manual_seed(0)
    stack = begun(Stack([Convolution(D, 2, 2, causal=True), LayerNorm(2), TimeReduction(2, 2), Convolution(4, 2, 2)]))
    x, other, lengths = numbers(4, 2, D), numbers(4, 2, D), torch.tensor([4, 3])
    truth = stack(other, None, lengths)[0]
    traced = torch.jit.trace(Outputs(stack), (x, lengths.flip(0)))
    torch.testing.assert_close(traced(other, lengths), truth)
    exported = torch.export.export(stack, (x, None, lengths.flip(0)))
    torch.testing.assert_close(exported.module()(other, None, lengths)[0], truth)
    many = torch.stack([x, other])
    torch.testing.assert_close(torch.func.vmap(lambda x: stack(x)[0])(many)[1], stack(other)[0])
    assert torch.autograd.gradgradcheck(lambda x: stack(x, None, lengths)[0], x.requires_grad_())


@pytest.mark.parametrize(
    "layer",
    [LayerNorm(D), TimeReduction(D, 2), TimeWindow(D, 2), Convolution(D, H, 2), Convolution(D, H, 3, causal=True)],
)
def test_an_empty_batch(layer):
    y, state = layer(torch.zeros(4, 0, D), lengths=[])
    assert y.shape == (layer.output_lengths(4), 0, layer.output_size)
    assert [s.shape for s in state] == ([(0, 2, D)] if layer.streams and state else [])


X = torch.zeros(4, 2, D)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LayerNorm(0), "LayerNorm: size must be a whole number from 1, got 0"),
        (lambda: LayerNorm(D, eps=0), "LayerNorm: eps must be a number above 0, got 0"),
        (lambda: LayerNorm(D)(X[..., :2]), r"LayerNorm: x has shape \(4, 2, 2\), expected \(T, N, D\) with D = 3"),
        (lambda: LayerNorm(D)(X, (X,)), r"LayerNorm: state must be \(\), since the layer has none, got \(Tensor,\)"),
        (
            lambda: LayerNorm(D)(X.double()),
            "LayerNorm: x has dtype torch.float64, but the weights have torch.float32",
        ),
        (lambda: LayerNorm(D)(X, lengths=[5, 0]), "LayerNorm: lengths must lie between 0 and T = 4"),
        (lambda: LayerNorm(D).step(X), r"LayerNorm: x has shape \(4, 2, 3\), expected one step \(N, D\)"),
        (lambda: TimeWindow(D, 1, of=4), "TimeWindow: of must be at most the input size 3, got 4"),
        (lambda: TimeWindow(D, 0), "TimeWindow: reach must be a whole number from 1, got 0"),
        (lambda: TimeReduction(D, 1.5), "TimeReduction: factor must be a whole number from 1, got 1.5"),
        (lambda: TimeReduction(D, 2)(X, resets=X[..., 0] > 0), "TimeReduction: resets must be None, since no output"),
        (
            lambda: TimeReduction(D, 2).output_lengths([[1]]),
            r"lengths has shape \(1, 1\) .* expected \(N,\) integers",
        ),
        (lambda: TimeReduction(D, 2).output_lengths([0.5]), r"dtype torch.float32, expected \(N,\) integers"),
        (lambda: Convolution(D, H, 0), "Convolution: kernel must be a whole number from 1, got 0"),
        (lambda: Convolution(D, H, 2, padding=-1), "Convolution: padding must be a whole number from 0, got -1"),
        (lambda: Convolution(D, H, 2, stride=2, causal=True), "needs stride=1 and padding=0, got 2 and 0"),
        (lambda: Convolution(D, H, 6)(X), r"x has shape \(4, 2, 3\), expected T of at least 6 for kernel=6"),
        (lambda: Convolution(D, H, 2)(X, resets=X[..., 0] > 0), "Convolution: resets must be None"),
        (lambda: Convolution(D, H, 2)(X, (X,)), r"Convolution: state must be \(\)"),
        (lambda: Convolution(D, H, 2, causal=True)(X, (None,)), r"a tuple with the last inputs, got \(None,\)"),
        (
            lambda: Convolution(D, H, 3, causal=True)(X, (X,)),
            r"state has shape \(4, 2, 3\), expected \(N, k - 1, D\)",
        ),
        (
            lambda: Convolution(D, H, 3, causal=True)(X, (torch.zeros(2, 2, D).double(),)),
            "state is torch.float64 on cpu, but x is torch.float32 on cpu",
        ),
        (lambda: Stack([nn.LayerNorm(D)]), "layer 0 must be a cell, .* or another layers.Layer, got LayerNorm"),
        (
            lambda: Stack([LayerNorm(D), TimeReduction(H, 2)]),
            "outputs of width 3, but layer 1 takes inputs of width 4",
        ),
        (lambda: Stack([LayerNorm(D), unrolled.GRUCell(D, H)])(X, (None, None)), "one entry per layer"),
    ],
)
def test_what_does_not_fit(make, message):
    with pytest.raises(ValueError, match=message):
        make()
