"""What the analyses are given: one sequence alone, other devices and precisions, and what no layer takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import unrolled
from unrolled.insight import gates, gradient_through_time, jacobian_spectrum, lyapunov, spectral_radius, state_names
from unrolled.layers import Bidirectional, Recurrent, Stack

T, D, H = 30, 4, 5
ANALYSES = [gradient_through_time, jacobian_spectrum, lyapunov, gates]


def language_model() -> unrolled.Model:
    return unrolled.Model(unrolled.Embedding(6, D), Stack([unrolled.LSTMCell(D, H)]), unrolled.Softmax(H, 6))


def numbers(found) -> dict:
    return {key: v.tolist() for key, v in found.items()} if isinstance(found, dict) else found.as_json()


@pytest.mark.parametrize("analysis", ANALYSES)
@pytest.mark.parametrize(
    "make",
    [
        lambda: unrolled.LSTM(D, H, num_layers=2),
        lambda: unrolled.GRU(D, H, batch_first=True),
        lambda: Recurrent(unrolled.LSTMCell(D, H)),
        lambda: Stack([unrolled.ElmanCell(D, H)]),
        language_model,
    ],
)
def test_one_sequence_may_come_without_its_batch(make, analysis):
    torch.manual_seed(1)
    model = make()
    x = torch.randint(6, (T,)) if isinstance(model, unrolled.Model) else torch.randn(T, D)
    batch = x.unsqueeze(0) if getattr(model, "batch_first", False) else x.unsqueeze(1)
    assert numbers(analysis(model, x)) == numbers(analysis(model, batch))


@pytest.mark.parametrize("analysis", [gradient_through_time, gates])
def test_one_sequence_in_both_directions(analysis):
    torch.manual_seed(1)
    layer, x = Bidirectional(unrolled.GRUCell(D, H), unrolled.GRUCell(D, H)), torch.randn(T, D)
    assert numbers(analysis(layer, x)) == numbers(analysis(layer, x.unsqueeze(1)))


def test_one_sequence_with_its_targets_and_its_state():
    torch.manual_seed(1)
    model = language_model()
    symbols, targets = torch.randint(6, (2, T))
    whole = gradient_through_time(model, symbols[:, None], targets[:, None])
    for given in (targets, targets[-1]):
        assert gradient_through_time(model, symbols, given).as_json() == whole.as_json()
    layer, x, state = Recurrent(unrolled.LSTMCell(D, H)), torch.randn(T, D), (torch.ones(H), torch.ones(H))
    batch = tuple(s[None] for s in state)
    for analysis in ANALYSES:
        assert numbers(analysis(layer, x, state=state)) == numbers(analysis(layer, x[:, None], state=batch))


@pytest.mark.parametrize("analysis", ANALYSES)
def test_numbers_that_are_nowhere_are_named(analysis):
    name = analysis.__name__
    x = torch.zeros(T, 1, D)
    layer = Recurrent(unrolled.GRUCell(D, H))
    with pytest.raises(ValueError, match=f"{name}: stack.layers.0.cell.x.weight is on the meta device"):
        analysis(unrolled.LSTM(D, H).to("meta"), x)
    with pytest.raises(ValueError, match=f"{name}: encoder.weight is on the meta device"):
        analysis(language_model().to("meta"), torch.zeros(T, 1, dtype=torch.long))
    with pytest.raises(ValueError, match=f"{name}: x is on the meta device"):
        analysis(layer, x.to("meta"))
    with pytest.raises(ValueError, match=f"{name}: state is on the meta device"):
        analysis(layer, x, state=(torch.zeros(1, H, device="meta"),))


@pytest.mark.parametrize("analysis", ANALYSES)
@pytest.mark.parametrize(
    ("make", "x", "said"),
    [
        (lambda: torch.nn.LSTM(D, H), torch.zeros(T, D), "LSTM is neither a Model, a Stack"),
        (lambda: unrolled.LSTM(D, H), torch.zeros(T), r"x has shape \(30,\) and torch.float32; .* D = 4"),
        (lambda: Recurrent(unrolled.GRUCell(D, H)), torch.zeros(0, D), r"x has shape \(0, 4\)"),
        (lambda: Stack([unrolled.GRUCell(D, H)]), torch.zeros(T, 1, D).long(), "torch.int64; expected floats"),
        (language_model, torch.zeros(T, 1), "torch.float32, which the model's encoder cannot read"),
        (language_model, torch.full((T, 1), 6), "the model's encoder cannot read: Embedding: symbols range from"),
        (language_model, torch.zeros(T, 1, 1, dtype=torch.long), r"\(30, 1, 1, 4\) after the encoder"),
        (language_model, [1, 2, 3], "x must be a tensor, got list"),
    ],
)
def test_nonsense_is_named_by_each(analysis, make, x, said):
    with pytest.raises(ValueError, match=f"{analysis.__name__}: .*{said}"):
        analysis(make(), x)


def test_gates_reads_in_the_precision_of_the_weights():
    torch.manual_seed(1)
    layer, x = unrolled.LSTM(D, H).double(), torch.randn(T, 2, D)
    found = gates(layer, x)
    assert found["1.f"].dtype == np.float64
    np.testing.assert_array_equal(found["1.h"], gates(layer, x.double())["1.h"])


def test_cells_and_layers_that_are_none_are_named():
    with pytest.raises(ValueError, match=r"spectral_radius: x\.weight is on the meta"):
        spectral_radius(unrolled.LSTMCell(D, H).to("meta"))
    with pytest.raises(ValueError, match=r"expected a cell, got LSTM; pass the \.cell of one layer"):
        spectral_radius(unrolled.LSTM(D, H))
    with pytest.raises(ValueError, match="state_names: Linear is neither a Model"):
        state_names(torch.nn.Linear(2, 2))
