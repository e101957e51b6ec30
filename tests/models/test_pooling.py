"""Pooling over time: each sequence as if it were alone, those without steps give 0."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from unrolled import Linear, Model, Softmax, Stack
from unrolled.layers import LayerNorm, TimeReduction
from unrolled.models import AttentionPool, ConcatPool, LastPool, MaxPool, MeanPool

H = 3


def attended(pool, h):
    """Yang et al., equations 5 to 7, in a loop."""
    scores = [torch.tanh(pool.map.weight @ h_t + pool.map.bias) @ pool.score.weight[0] for h_t in h]
    weights = [score.exp() / sum(other.exp() for other in scores) for score in scores]
    return sum(a * h_t for a, h_t in zip(weights, h, strict=True))


POOLS = {
    "last": (LastPool, lambda pool, h: h[-1]),
    "mean": (MeanPool, lambda pool, h: sum(h) / len(h)),
    "max": (MaxPool, lambda pool, h: torch.stack([max(unit) for unit in h.T])),
    "attention": (lambda: AttentionPool(H, 5).double(), attended),
    "several": (
        lambda: ConcatPool(H, [MaxPool(), AttentionPool(H, 5), MeanPool()]).double(),
        lambda pool, h: torch.cat([POOLS["max"][1](None, h), attended(pool.pools[1], h), POOLS["mean"][1](None, h)]),
    ),
}


@pytest.mark.parametrize("name", POOLS)
@settings(max_examples=40, deadline=None)
@given(T=st.integers(1, 6), lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4), seed=st.integers(0, 2**32))
def test_each_sequence_is_alone(name, T, lengths, seed):
    """Values and gradients, with NaN in the padding."""
    torch.manual_seed(seed)
    make, alone = POOLS[name]
    pool, lengths = make(), [min(n, T) for n in lengths]
    h = torch.randn(T, len(lengths), H, dtype=torch.float64, requires_grad=True)
    truth = torch.stack([alone(pool, h[: n or 1, k]) * bool(n) for k, n in enumerate(lengths)])
    within = torch.arange(T)[:, None] < torch.tensor(lengths)
    y = pool(torch.where(within[..., None], h, torch.nan), lengths)
    torch.testing.assert_close(y, truth, rtol=1e-12, atol=1e-12)
    assert not y[torch.tensor(lengths) == 0].any()
    upstream, wanted = torch.randn_like(y), [h, *pool.parameters()]
    expected = torch.autograd.grad(truth, wanted, upstream, allow_unused=True)
    for a, b in zip(torch.autograd.grad(y, wanted, upstream), expected, strict=True):
        torch.testing.assert_close(a, torch.zeros_like(a) if b is None else b, rtol=1e-11, atol=1e-11)
    if all(n == T for n in lengths):
        torch.testing.assert_close(pool(h), y)


def test_scores_beyond_the_range_of_exp():
    """One step takes all the weight; the plain ratio of exponentials would be infinity over infinity."""
    pool = AttentionPool(H).double()
    with torch.no_grad():
        pool.score.weight.copy_(torch.tensor([[1e6, 0, 0]]))
        pool.map.weight.copy_(torch.eye(H))
        pool.map.bias.zero_()
    h = torch.tensor([[-1.0, 2, 3], [1, 4, 5]], dtype=torch.float64)[:, None]
    torch.testing.assert_close(pool(h)[0], h[1, 0])
    torch.testing.assert_close(pool(h, [1])[0], h[0, 0])


@pytest.mark.parametrize("name", POOLS)
def test_a_model_pools_what_its_stack_puts_out(name):
    """Through fewer steps than the inputs have; the states are those of the stack."""
    torch.manual_seed(0)
    make, alone = POOLS[name]
    stack = Stack([unrolled.GRUCell(2, 4), TimeReduction(4, 2), unrolled.LSTMCell(8, H), LayerNorm(H)])
    pool = make()
    width = getattr(pool, "output_size", H)
    model = Model(Linear(2, 2), stack, Softmax(width, 5), "many-to-one", pool=pool).double()
    lengths = [7, 4, 1, 0]
    inputs = torch.randn(7, 4, 2, dtype=torch.float64)
    poisoned = torch.where((torch.arange(7)[:, None] < torch.tensor(lengths))[..., None], inputs, torch.nan)
    y, state = model(poisoned, lengths=lengths)
    for k, n in enumerate(lengths):
        h = stack(model.encoder(inputs[:n, k : k + 1]))[0][:, 0] if n else None
        pooled = alone(model.pool, h) if n else torch.zeros(width, dtype=torch.float64)
        torch.testing.assert_close(y[k], model.head(pooled))
    for k, n in enumerate(lengths[:3]):
        _, last = stack(model.encoder(inputs[:n, k : k + 1]))
        torch.testing.assert_close([state[0][0][k], state[2][1][k]], [last[0][0][0], last[2][1][0]])
    model.head.loss(y, torch.tensor([0, 1, 2, 3]))[0].backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_the_pool_of_the_last_steps_is_the_state_of_a_forward_layer():
    torch.manual_seed(0)
    stack, encoder, head = Stack([unrolled.GRUCell(2, H)]), Linear(2, 2), Softmax(H, 5)
    inputs, lengths = torch.randn(6, 3, 2), [6, 1, 4]
    plain = Model(encoder, stack, head, "many-to-one")
    pooled = Model(encoder, stack, head, "many-to-one", pool=LastPool())
    torch.testing.assert_close(pooled(inputs, lengths=lengths)[0], plain(inputs, lengths=lengths)[0])


def test_losses_of_outputs_that_are_fewer_than_inputs():
    torch.manual_seed(0)
    model = Model(Linear(2, 2), Stack([TimeReduction(2, 2), unrolled.GRUCell(4, H)]), Softmax(H, 5))
    lengths = torch.tensor([7, 2])
    scores, _ = model(torch.randn(7, 2, 2), lengths=lengths)
    assert scores.shape == (4, 2, 5) and model.stack.output_lengths(lengths).tolist() == [4, 1]


@pytest.mark.parametrize("name", POOLS)
def test_inside_torch_compile(name):
    pool, h, lengths = POOLS[name][0](), torch.randn(5, 3, H, dtype=torch.float64), torch.tensor([5, 0, 2])
    compiled = torch.compile(pool, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(h, lengths), pool(h, lengths))


def parts(*layers, pool=None, graph="many-to-one"):
    stack = Stack(list(layers) or [unrolled.GRUCell(2, H)])
    return Model(Linear(2, 2), stack, Softmax(stack.output_size, 5), graph, pool=pool)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MeanPool()(torch.zeros(3, 2)), r"MeanPool: h has shape \(3, 2\), expected \(T, N, H\)"),
        (lambda: MeanPool()(torch.zeros(0, 2, 3)), "T of at least 1"),
        (lambda: MeanPool()(torch.zeros(3, 2, H), [1, 4]), "MeanPool: lengths must lie between 0 and T = 3"),
        (
            lambda: AttentionPool(2)(torch.zeros(3, 2, H)),
            r"AttentionPool: h has shape \(3, 2, 3\), expected .* H = 2",
        ),
        (lambda: AttentionPool(0), "AttentionPool: input_size must be a whole number from 1"),
        (lambda: parts(pool=MeanPool(), graph="many-to-many"), "pool needs the many-to-one graph, got many-to-many"),
        (lambda: parts(pool="mean"), "pool must be a module such as MeanPool, got str"),
        (
            lambda: parts(pool=AttentionPool(4)),
            "the pool takes inputs of width 4, but the stack has outputs of width 3",
        ),
        (
            lambda: parts(pool=ConcatPool(H, [MeanPool(), MaxPool()])),
            "the head takes inputs of width 3, but the pool has outputs of width 6",
        ),
        (lambda: ConcatPool(H, []), "ConcatPool: expected at least one pool, got none"),
        (lambda: ConcatPool(H, [AttentionPool(4)]), "ConcatPool: AttentionPool takes inputs of width 4, expected 3"),
        (lambda: parts(unrolled.GRUCell(2, H), LayerNorm(H)), "but LayerNorm has none to read; pass pool="),
    ],
)
def test_what_does_not_fit(make, message):
    with pytest.raises(ValueError, match=message):
        make()
