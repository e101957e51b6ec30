"""Padding and targets that do not count: whatever stands there, sequences one by one give the same numbers."""

import pytest
import torch
from torch import nn

import unrolled
from unrolled import Embedding, Linear, Model, OneHot, Regression, Softmax, Stack

V, D, H, T, C = 6, 4, 5, 5, 3
LENGTHS = [5, 2, 0, 4, 1]
N = len(LENGTHS)


class Direction(nn.Module):
    """An encoder that is infinite at 0: the direction of its input."""

    input_kind, output_size = "numbers", D

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(3, D, bias=False)

    def forward(self, v):
        u = self.map(v)
        return u / u.square().sum(-1, keepdim=True).sqrt()


ENCODERS = {
    "one-hot": lambda: OneHot(V),
    "embedding": lambda: Embedding(V, D),
    "linear": lambda: Linear(3, D),
    "direction": Direction,
}
HEADS = {"softmax": lambda: Softmax(2 * H, C), "regression": lambda: Regression(2 * H, C)}
POISON = {"symbols": (-1, -100, 10**9), "numbers": (float("nan"), -1.0, -100.0, 1e30, float("inf"))}


def model(encoder, head, graph, fed):
    torch.manual_seed(0)
    made = ENCODERS[encoder]()
    width = made.output_size
    if graph.startswith("many"):
        layers = [unrolled.Bidirectional(unrolled.GRUCell(width, H), unrolled.LSTMCell(width, H))]
    else:
        layers = [unrolled.LSTMCell(width, H), unrolled.GRUCell(H, 2 * H)]
    feedback = Embedding(V, width) if fed else None
    return Model(made, Stack(layers), HEADS[head](), graph, feedback).double()


def drawn(kind, *shape):
    return torch.randint(V, shape) if kind == "symbols" else torch.randn(*shape, 3, dtype=torch.float64)


def grads(m, total):
    m.zero_grad()
    total.backward()
    return {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in m.named_parameters()}


def targets(head, *shape):
    return torch.randint(C, shape) if head == "softmax" else torch.randn(*shape, C, dtype=torch.float64)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(
    ("graph", "fed"),
    [("many-to-many", False), ("many-to-one", False), ("one-to-many", False), ("one-to-many", True),
     ("one-to-one", False)],
)  # fmt: skip
def test_poisoned_padding_equals_sequences_one_by_one(head, encoder, graph, fed):
    m = model(encoder, head, graph, fed)
    kind, many, steps = m.encoder.input_kind, graph.startswith("many"), 1 if graph == "one-to-one" else T
    lengths = torch.tensor(LENGTHS).clamp(max=steps)
    inputs = drawn(kind, steps, N) if many else drawn(kind, N)
    previous = torch.randint(V, (T - 1, N)) if fed else None
    y_a_step = graph in ("many-to-many", "one-to-many")
    known = targets(head, steps, N) if y_a_step else targets(head, N)
    at = torch.arange(steps)[:, None]
    counted = at < lengths if y_a_step else lengths > 0

    expected, count, one_by_one = 0.0, 0, 0.0
    for n, length in enumerate(lengths.tolist()):
        if not length:
            continue
        more = {"previous": previous[: length - 1, n : n + 1]} if fed else {}
        more |= {"steps": length} if graph == "one-to-many" and not fed else {}
        given = inputs[:length, n : n + 1] if many else inputs[n : n + 1]
        y, _ = m(given, **more)
        own = known[:length, n : n + 1] if y_a_step else known[n : n + 1]
        total, some = m.head.loss(y, own)
        one_by_one, count, expected = one_by_one + total, count + some, expected + total.item()
    truth = grads(m, one_by_one)

    for poison in POISON[kind]:
        bad, bad_known, bad_previous = inputs.clone(), known.clone(), previous
        if many:
            bad[at >= lengths] = poison
        else:
            bad[lengths == 0] = poison
        if fed:
            bad_previous = previous.clone()
            bad_previous[at[1:] >= lengths] = POISON["symbols"][0]
        bad_known[~counted] = -100 if head == "softmax" else float("nan")
        more = {"previous": bad_previous} if fed else {"steps": T} if graph == "one-to-many" else {}
        y, _ = m(bad, lengths=lengths, **more)
        ways = [m.head.loss(y, bad_known, counted)]
        if head == "softmax":
            ways.append(m.head.loss(y, bad_known))
        for total, some in ways:
            assert some == count
            torch.testing.assert_close(total.item(), expected, rtol=1e-10, atol=1e-10)
        for name, g in grads(m, ways[-1][0]).items():
            torch.testing.assert_close(g, truth[name], rtol=1e-9, atol=1e-9, msg=lambda s, n=name: f"{n}: {s}")


def test_all_sequences_empty():
    m = model("linear", "softmax", "many-to-many", False)
    y, _ = m(torch.full((T, 2, 3), torch.nan, dtype=torch.float64), lengths=[0, 0])
    total, count = m.head.loss(y, torch.full((T, 2), -100))
    assert (total.item(), count) == (0, 0)
    assert not any(g.any() for g in grads(m, total).values())


SCORES, TARGETS = torch.randn(6, 3, C), torch.randint(C, (6, 3))
NUMBERS = torch.randn(6, 3, C)


@pytest.mark.parametrize(
    ("head", "arguments", "message"),
    [
        ("softmax", (SCORES, TARGETS.T), r"targets have shape \(3, 6\), expected \(6, 3\)"),
        ("softmax", (SCORES, TARGETS.flatten()), r"targets have shape \(18,\)"),
        ("softmax", (SCORES[..., :2], TARGETS), "V = 3"),
        ("softmax", (SCORES, TARGETS.float()), "dtype torch.float32, expected integers"),
        ("softmax", (SCORES, TARGETS > 0), "dtype torch.bool, expected integers"),
        ("softmax", (SCORES, TARGETS, torch.ones(6, 3).long()), r"counted is \(6, 3\) torch.int64, expected"),
        ("softmax", (SCORES, TARGETS, torch.ones(3, 6).bool()), r"counted is \(3, 6\) torch.bool, expected"),
        ("softmax", (SCORES, TARGETS, torch.ones(6).bool()), r"counted is \(6,\)"),
        ("softmax", (SCORES, TARGETS, [True]), "counted is list"),
        ("regression", (NUMBERS, NUMBERS.transpose(0, 1)), r"targets have shape \(3, 6, 3\)"),
        ("regression", (NUMBERS[..., :2], NUMBERS[..., :2]), "width = 3"),
        ("regression", (NUMBERS, NUMBERS, torch.ones(6, 3).int()), "torch.int32, expected"),
        ("regression", (NUMBERS, NUMBERS, torch.ones(6, 3, C).bool()), r"counted is \(6, 3, 3\)"),
    ],
)
def test_losses_refuse_what_does_not_fit(head, arguments, message):
    with pytest.raises(ValueError, match=message):
        HEADS[head]().loss(*arguments)


def test_ignored_targets_are_torchs():
    wanted = TARGETS.clone()
    wanted[2:, 1] = -100
    total, count = HEADS["softmax"]().loss(SCORES, wanted.to(torch.int16))
    mean = nn.functional.cross_entropy(SCORES.flatten(0, 1), wanted.flatten())
    assert count == 14
    torch.testing.assert_close(total / count, mean)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OneHot(4)(torch.tensor([4])), "OneHot: symbols range from 4 to 4, expected 0 to 3"),
        (lambda: Embedding(4, 2)(torch.tensor([-1, 0])), "Embedding: symbols range from -1 to 0"),
        (lambda: Embedding(4, 2)(torch.zeros(2)), "dtype torch.float32, expected integers"),
        (lambda: OneHot(4.0), "OneHot: vocabulary_size must be a whole number from 1, got 4.0"),
        (lambda: Embedding(True, 2), "Embedding: vocabulary_size .* got True"),
        (lambda: Linear(0, 2), "Linear: input_size .* got 0"),
        (lambda: Softmax("3", 2), "Softmax: hidden_size .* got '3'"),
        (lambda: Regression(3, None), "Regression: output_size .* got None"),
        (lambda: Model(OneHot(4), unrolled.LSTM(4, 3, batch_first=True), Softmax(3, 4)), "stack must be .* got LSTM"),
        (lambda: Model(OneHot(4), unrolled.GRUCell(4, 3), Softmax(3, 4)), "stack must be .* got GRUCell"),
        (lambda: Model(OneHot(4), Stack, Softmax(3, 4)), "stack must be .* got the class Stack"),
        (lambda: Model(OneHot, Stack([unrolled.GRUCell(4, 3)]), Softmax(3, 4)), "encoder must be .* class OneHot"),
        (lambda: Model(OneHot(4), Stack([unrolled.GRUCell(4, 3)]), Softmax), "head must be .* class Softmax"),
    ],
)  # fmt: skip
def test_parts_of_models_that_do_not_fit(make, message):
    with pytest.raises(ValueError, match=message):
        make()
