"""Gradient times input, against differences and against a linear model by hand."""

import pytest
import torch

import unrolled
from unrolled.insight.importance import importance, mean_by_step
from unrolled.models.encoders import Positions, Vectors
from unrolled.models.pooling import MeanPool


def test_it_is_the_derivative_along_the_input():
    torch.manual_seed(1)
    stack = unrolled.Stack([unrolled.Bidirectional(unrolled.GRUCell(9, 5), unrolled.GRUCell(9, 5))])
    encoder = Positions(Vectors(3), steps=6, waves=3)
    model = unrolled.Model(encoder, stack, unrolled.Softmax(10, 3), "many-to-one", pool=MeanPool()).double()
    x, lengths, targets = torch.randn(6, 2, 3, dtype=torch.float64), torch.tensor([6, 4]), torch.tensor([2, 0])
    found = importance(model, x, targets, lengths)

    def score(inputs):
        y = model(inputs, lengths=lengths)[0].detach()
        return torch.stack([y[n, c] - (y[n].sum() - y[n, c]) / 2 for n, c in enumerate(targets)])

    step = 1e-6
    for t, n, d in ((0, 0, 1), (5, 0, 2), (3, 1, 0)):
        more, less = x.clone(), x.clone()
        more[t, n, d] += step
        less[t, n, d] -= step
        slope = (score(more) - score(less))[n] / (2 * step)
        assert float(found[t, n, d]) == pytest.approx(float(slope * x[t, n, d]), rel=1e-6, abs=1e-9)
    assert not found[4:, 1].any() and model.training  # behind the end; the mode is as before


def test_steps_that_a_sequence_has_not_count_as_nothing():
    made = mean_by_step([torch.tensor([[2.0]]), torch.tensor([[4.0], [6.0], [8.0]])], 2)
    assert made.tolist() == [[3.0], [3.0]]


def test_a_model_with_an_answer_a_step_is_refused():
    model = unrolled.Model(unrolled.OneHot(4), unrolled.Stack([unrolled.GRUCell(4, 3)]), unrolled.Softmax(3, 2))
    with pytest.raises(ValueError, match="scores have shape .5, 1, 2., expected .N, V."):
        importance(model, torch.zeros(5, 1, dtype=torch.long), torch.zeros(1, dtype=torch.long))
