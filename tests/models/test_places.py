"""Encoders and pools that know places, mixtures of symbols, and weights of classes."""

import math

import pytest
import torch
from torch.nn import functional as F

import unrolled
from unrolled.models.encoders import Mixture, Positions
from unrolled.models.pooling import PositionPool


def test_waves_stand_beside_what_the_encoder_says():
    encoder = Positions(unrolled.OneHot(3), steps=8, waves=2)
    x = encoder(torch.tensor([[2], [0], [1]]))
    assert x[:, 0, :3].tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    for t in range(3):
        angles = [j * math.pi * t / 8 for j in (1, 2)]
        expected = [*map(math.sin, angles), *map(math.cos, angles)]
        assert x[t, 0, 3:].tolist() == pytest.approx(expected, abs=1e-6)
    long = encoder(torch.zeros(11, 1, dtype=torch.long))
    assert torch.equal(long[8, 0], long[10, 0]) and "waves" not in encoder.state_dict()


def test_a_pool_with_a_weight_for_each_place_by_hand():
    torch.manual_seed(1)
    pool = PositionPool(2, steps=3)
    with torch.no_grad():
        pool.weight.copy_(torch.randn(3, 2))
    h = torch.randn(5, 2, 2)
    y = pool(h, [5, 2])
    first = (sum(pool.weight[t] * h[t, 0] for t in range(3)) + h[3, 0] + h[4, 0]) / 5
    assert torch.allclose(y[0], first) and torch.allclose(y[1], (pool.weight[:2] * h[:2, 1]).sum(0) / 2)


def test_mixtures_are_rows_of_their_table():
    table = [[1.0, 0.0], [0.5, 0.5]]
    assert Mixture(table)(torch.tensor([[1], [0]], dtype=torch.uint8)).tolist() == [[[0.5, 0.5]], [[1.0, 0.0]]]
    with pytest.raises(ValueError, match="rows have shape .2,., expected .V, D."):
        Mixture([1.0, 2.0])


def test_weights_of_classes_multiply_their_losses_alone():
    torch.manual_seed(1)
    head, weights = unrolled.Softmax(4, 3, weights=[0.5, 2.0, 1.0]), torch.tensor([0.5, 2.0, 1.0])
    scores, targets = torch.randn(6, 3), torch.tensor([0, 1, 2, 1, 0, -100])
    total, count = head.loss(scores, targets)
    plain = F.cross_entropy(scores[:5], targets[:5], reduction="none")
    assert count == 5 and torch.allclose(total, (weights[targets[:5]] * plain).sum())
    assert torch.allclose(-head.log_prob(scores, targets)[:5], plain) and "weights" not in head.state_dict()
    for bad in ([1.0, 2.0], [1.0, -1.0, 1.0], [1.0, float("nan"), 1.0]):
        with pytest.raises(ValueError, match="one for each class, finite and not negative"):
            unrolled.Softmax(4, 3, weights=bad)
