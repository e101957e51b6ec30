"""The lecture's computational graphs: which steps have an input, which an output."""

import pytest
import torch

import unrolled
from unrolled import Bidirectional, Embedding, Linear, Model, OneHot, Regression, Softmax, Stack

V, D, H, N, T = 5, 4, 3, 2, 6


def stack(width=D):
    return Stack([unrolled.LSTMCell(width, H)])


def test_many_to_many_has_an_output_a_step():
    model = Model(OneHot(V), stack(V), Softmax(H, V))
    symbols = torch.randint(V, (T, N))
    scores, state = model(symbols)
    assert scores.shape == (T, N, V)
    x = torch.nn.functional.one_hot(symbols, V).float()
    h, last = model.stack(x)
    torch.testing.assert_close(scores, h @ model.head.map.weight.T + model.head.map.bias)
    torch.testing.assert_close(state[0][0], last[0][0])


@pytest.mark.parametrize("both", [False, True])
def test_many_to_one_reads_each_sequences_own_end(both):
    torch.manual_seed(0)
    layers = [Bidirectional(unrolled.GRUCell(D, H), unrolled.GRUCell(D, H))] if both else [unrolled.GRUCell(D, H)]
    model = Model(Linear(2, D), Stack(layers), Softmax(H * (1 + both), 3), graph="many-to-one")
    inputs = torch.randn(T, N, 2)
    scores, _ = model(inputs, lengths=torch.tensor([T, 2]))
    assert scores.shape == (N, 3)
    alone, _ = model(inputs[:2, 1:])
    torch.testing.assert_close(scores[1:], alone)


def test_one_to_many_with_zero_inputs_after_the_first():
    model = Model(Linear(2, D), stack(), Regression(H, 1), graph="one-to-many")
    v = torch.randn(N, 2)
    outputs, _ = model(v, steps=T)
    assert outputs.shape == (T, N, 1)
    x = torch.cat([model.encoder(v)[None], torch.zeros(T - 1, N, D)])
    torch.testing.assert_close(outputs, model.head(model.stack(x)[0]))


def test_one_to_many_with_feedback_is_fed_the_known_outputs():
    model = Model(Linear(2, D), stack(), Softmax(H, V), graph="one-to-many", feedback=Embedding(V, D))
    v, words = torch.randn(N, 2), torch.randint(V, (T - 1, N))
    scores, last = model(v, previous=words)
    assert scores.shape == (T, N, V)
    step_scores, state = model.begin(v)
    for t in range(T):
        torch.testing.assert_close(step_scores, scores[t])
        if t < T - 1:
            step_scores, state = model.step(words[t], state)
    torch.testing.assert_close(state[0][1], last[0][1])


def test_one_to_one_is_a_single_step():
    model = Model(Linear(2, D), stack(), Softmax(H, 3), graph="one-to-one")
    v = torch.randn(N, 2)
    scores, _ = model(v)
    assert scores.shape == (N, 3)
    h, _ = model.stack.layers[0].cell(model.encoder(v))
    torch.testing.assert_close(scores, model.head(h))


def test_begin_and_step_go_on_where_forward_ends():
    torch.manual_seed(0)
    model = Model(OneHot(V), Stack([unrolled.GRUCell(V, H), unrolled.LSTMCell(H, H)]), Softmax(H, V))
    symbols = torch.randint(V, (T, N))
    whole, _ = model(symbols)
    scores, state = model.begin(symbols[:3])
    torch.testing.assert_close(scores, whole[2])
    scores, _ = model.step(symbols[3], state)
    torch.testing.assert_close(scores, whole[3])


def test_losses_are_sums_with_their_counts():
    head = Softmax(H, V)
    scores, targets = torch.randn(T, N, V), torch.randint(V, (T, N))
    total, count = head.loss(scores, targets)
    expected = -torch.log_softmax(scores, 2).gather(2, targets[..., None]).sum()
    torch.testing.assert_close(total, expected)
    assert count == T * N
    counted = torch.zeros(T, N, dtype=torch.bool)
    counted[0, 1] = True
    total, count = head.loss(scores, targets, counted)
    torch.testing.assert_close(total, -torch.log_softmax(scores[0, 1], 0)[targets[0, 1]])
    assert count == 1
    numbers = Regression(H, 2)
    total, count = numbers.loss(torch.ones(T, N, 2), torch.zeros(T, N, 2))
    assert (float(total), count) == (T * N, T * N)


def test_dropout_before_the_head_in_training_only():
    torch.manual_seed(0)
    model = Model(OneHot(V), stack(V), Softmax(H, V), dropout=0.5)
    symbols = torch.randint(V, (T, N))
    assert not torch.equal(model(symbols)[0], model(symbols)[0])
    model.eval()
    assert torch.equal(model(symbols)[0], model(symbols)[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Model(OneHot(V), stack(), Softmax(H, V)), "encoder has outputs of width 5, but the stack takes"),
        (lambda: Model(OneHot(D), stack(), Softmax(V, V)), "head takes inputs of width 5, but the stack has"),
        (lambda: Model(OneHot(D), stack(), Softmax(H, V), graph="all-to-all"), "graph must be one of"),
        (
            lambda: Model(OneHot(D), stack(), Softmax(H, V), feedback=OneHot(D)),
            "feedback needs the one-to-many graph",
        ),
        (lambda: Model(OneHot(D), stack(), Softmax(H, V), dropout=1), "dropout"),
        (
            lambda: Model(Linear(2, D), stack(), Softmax(H, V), "one-to-many", OneHot(D))(torch.zeros(N, 2)),
            "takes previous=",
        ),
        (
            lambda: Model(Linear(2, D), stack(), Softmax(H, V), "one-to-many")(torch.zeros(N, 2)),
            "takes steps=",
        ),
        (
            lambda: Model(OneHot(D), stack(), Softmax(H, V))(torch.zeros(T, N).long(), steps=2),
            "need the one-to-many graph",
        ),
        (lambda: Regression(H, 1).loss(torch.zeros(2, 1), torch.zeros(2)), r"targets have shape \(2,\)"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("encoder", [unrolled.models.Linear(2, 3), unrolled.models.Vectors(3)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64])
def test_inputs_of_another_type_than_the_weights(encoder, dtype):
    """Nothing is cast silently, and the sentence is ours."""
    model = unrolled.Model(encoder, unrolled.Stack([unrolled.LSTMCell(3, 4)]), unrolled.Softmax(4, 2))
    width = 2 if isinstance(encoder, unrolled.models.Linear) else 3
    with pytest.raises(ValueError, match=f"(have|has) dtype {dtype}, (but the weights have|expected)"):
        model(torch.zeros(5, 1, width, dtype=dtype))
