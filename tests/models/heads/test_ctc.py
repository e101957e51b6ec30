"""CTC against sums over all paths; padding; decoding."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from unrolled.models import CTC
from unrolled.models.philox import Philox

V, H = 3, 4


def outputs_of(T, N, seed=0, V=V):
    return torch.randn(T, N, V, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def collapsed(path):
    """The labels of a path: repeats merged, then blanks removed."""
    return tuple(k for k, _ in itertools.groupby(path) if k)


def every(outputs):
    """The probability of every label sequence, by the sum over all paths of one sequence (T, V)."""
    p = torch.softmax(outputs, 1)
    found = {}
    for path in itertools.product(range(p.shape[1]), repeat=len(p)):
        labels = collapsed(path)
        found[labels] = found.get(labels, 0.0) + math.prod(float(p[t, k]) for t, k in enumerate(path))
    return found


def padded(sequences, rows=None):
    rows = max(map(len, sequences)) if rows is None else rows
    return torch.tensor([[s[k] if k < len(s) else -100 for s in sequences] for k in range(rows)]).reshape(rows, -1)


@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_probability_of_every_label_sequence(T, seed):
    outputs = outputs_of(T, 1, seed)
    expected = every(outputs[:, 0])
    labels = list(expected)
    assert sum(expected.values()) == pytest.approx(1)
    head = CTC(H, V)
    many = outputs.expand(T, len(labels), V)
    logs = head.log_prob(many, padded(labels))
    np.testing.assert_allclose(logs.exp().numpy(), list(expected.values()), rtol=1e-12)
    total, count = head.loss(many, padded(labels))
    assert count == len(labels)
    assert float(total) == pytest.approx(-float(logs.sum()), rel=1e-12)


def test_labels_that_the_steps_cannot_hold_have_probability_zero_and_no_loss():
    outputs, head = outputs_of(2, 3), CTC(H, V)
    targets = padded([(1, 2), (1, 1), (2,)])
    assert head.log_prob(outputs, targets).isneginf().tolist() == [False, True, False]
    with pytest.raises(ValueError, match="CTC: sequence 1 has 2 labels, of which 1 repeat .* takes 3 steps, but 2"):
        head.loss(outputs, targets)


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(0, 4), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_padding_equals_sequences_one_by_one(lengths, seed):
    T, N, head = 4, len(lengths), CTC(H, V)
    outputs = outputs_of(T, N, seed)
    labels = [tuple(1 + (seed + n) % 2 for _ in range(min(1, length))) for n, length in enumerate(lengths)]
    expected, slopes = [], torch.zeros_like(outputs)
    for n, (length, own) in enumerate(zip(lengths, labels, strict=True)):
        if not length:
            continue
        alone = outputs[:length, n : n + 1].clone().requires_grad_()
        total, count = head.loss(alone, padded([own], 2))
        assert count == 1
        (slopes[:length, n : n + 1],) = torch.autograd.grad(total, alone)
        expected.append(total.item())
        assert total.item() == pytest.approx(-math.log(every(outputs[:length, n])[own]))
    counted = torch.arange(T)[:, None] < torch.tensor(lengths)
    targets = padded(labels, 2)
    targets[:, [n for n, length in enumerate(lengths) if not length]] = 99
    for poison in (math.nan, math.inf, 1e300):
        bad = outputs.clone()
        bad[~counted] = poison
        bad.requires_grad_()
        total, count = head.loss(bad, targets, counted)
        (found,) = torch.autograd.grad(total, bad)
        assert count == len(expected) == int(head.counts(targets, counted).sum())
        assert total.item() == pytest.approx(sum(expected))
        torch.testing.assert_close(found, slopes, rtol=1e-12, atol=1e-14)
        logs = head.log_prob(bad, targets, counted)
        assert [-x for x in logs.tolist() if x] == pytest.approx(expected)
    assert head.counts(targets).all()


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_only_empty_label_sequences(rows):
    outputs, head = outputs_of(3, 2), CTC(H, V)
    expected = torch.log_softmax(outputs, 2)[..., 0].sum(0)
    torch.testing.assert_close(head.log_prob(outputs, torch.full((rows, 2), -100)), expected)


def test_gradients_are_those_of_finite_differences():
    head, targets = CTC(H, V), padded([(1, 2, 1), (), (2, 2), (1,)])
    outputs = outputs_of(5, 4).requires_grad_()
    counted = torch.arange(5)[:, None] < torch.tensor([5, 3, 4, 0])
    assert torch.autograd.gradcheck(lambda y: head.loss(y, targets, counted)[0], outputs)
    assert torch.autograd.gradcheck(lambda y: head.log_prob(y, targets, counted), outputs)


def test_greedy_takes_the_labels_of_the_best_path():
    outputs = outputs_of(9, 6, V=4)
    lengths = torch.tensor([9, 9, 5, 1, 0, 7])
    counted = torch.arange(9)[:, None] < lengths
    bad = outputs.clone()
    bad[~counted] = math.nan
    found = CTC(H, 4).greedy(bad, counted)
    expected = [collapsed(outputs[:n, k].argmax(1).tolist()) for k, n in enumerate(lengths.tolist())]
    assert torch.equal(found, padded(expected))
    blank = torch.zeros(4, 2, 4)
    blank[..., 0] = 1
    assert CTC(H, 4).greedy(blank).shape == (0, 2)


def test_samples_have_the_probabilities_of_the_label_sequences():
    stats = pytest.importorskip("scipy.stats")
    one = outputs_of(3, 1, 5)
    expected = every(one[:, 0])
    head, many = CTC(H, V), 40_000
    found = head.sample(one.expand(3, many, V), Philox(2))
    counts = dict.fromkeys(expected, 0)
    for column in found.T.tolist():
        counts[tuple(k for k in column if k != -100)] += 1
    p = np.array([expected[labels] for labels in counts])
    assert stats.chisquare(list(counts.values()), p * many).pvalue > 1e-6
    wrong = p * np.where(np.arange(len(p)) % 2, 1.05, 0.95)
    assert stats.chisquare(list(counts.values()), wrong / wrong.sum() * many).pvalue < 1e-6


def test_sampling_at_temperature_zero_is_greedy():
    outputs = outputs_of(8, 5)
    counted = torch.arange(8)[:, None] < torch.tensor([8, 0, 3, 6, 1])
    head = CTC(H, V)
    assert torch.equal(head.sample(outputs, Philox(1), 0), head.greedy(outputs))
    outputs[~counted] = math.nan
    assert torch.equal(head.sample(outputs, Philox(1), 0, counted), head.greedy(outputs, counted))


def test_ctc_learns_an_alignment():
    """The labels of each sequence are those of its inputs, whose places the targets do not say."""
    torch.manual_seed(0)
    stack = unrolled.Stack([unrolled.GRUCell(3, 8)])
    model = unrolled.Model(unrolled.OneHot(3), stack, CTC(8, 3))
    path = torch.randint(3, (12, 16))
    targets = padded([collapsed(column) for column in path.T.tolist()])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        total, count = model.head.loss(model(path)[0], targets)
        (total / count).backward()
        optimizer.step()
    assert float(total.detach()) / count < 0.5
    assert torch.equal(model.head.greedy(model(path)[0]), targets)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((outputs_of(4, 2)[0], padded([(1,), (2,)])), r"outputs have shape \(2, 3\), expected \(T, N, 3\)"),
        ((outputs_of(4, 2)[..., :2], padded([(1,), (2,)])), r"expected \(T, N, 3\)"),
        (
            (outputs_of(4, 2), padded([(1,), (2,), (1,)])),
            r"targets have shape \(1, 3\), expected \(S, N\) with N = 2",
        ),
        ((outputs_of(4, 2), torch.ones(2).long()), r"targets have shape \(2,\)"),
        ((outputs_of(4, 2), torch.ones(1, 2)), "dtype torch.float32, expected integers"),
        ((outputs_of(4, 2), [[1, 2]]), "targets is list"),
        ((outputs_of(4, 2), padded([(0,), (2,)])), "a target is 0, expected a label from 1 to 2"),
        ((outputs_of(4, 2), padded([(1,), (3,)])), "a target is 3, expected a label"),
        ((outputs_of(4, 2), padded([(1, -100, 2), (2,)])), "a label behind -100"),
        ((outputs_of(2, 2), padded([(1,), (2,)]), torch.tensor([[1, 1], [1, 1]])), "counted is .* torch.int64"),
        ((outputs_of(2, 2), padded([(1,), (2,)]), torch.ones(2).bool()), r"counted is \(2,\)"),
        (
            (outputs_of(2, 2), padded([(1,), (2,)]), torch.tensor([[False, True], [True, True]])),
            "a step that counts after one that does not",
        ),
    ],
)
def test_what_does_not_fit_is_named(arguments, message):
    for call in (CTC(H, V).loss, CTC(H, V).log_prob):
        with pytest.raises(ValueError, match=f"CTC: .*{message}"):
            call(*arguments)


def test_labels_cannot_be_fed_back():
    with pytest.raises(ValueError, match="CTC: labels have no steps, so they cannot be fed back as the next input"):
        CTC(H, V).feedback(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="vocabulary_size must be a whole number from 2, got 1"):
        CTC(H, 1)
