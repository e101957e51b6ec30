"""Clipping, and that it cannot come too early."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import unrolled
from unrolled.training.gradient import Gradient


def weights(*values):
    return [torch.nn.Parameter(torch.tensor(v, dtype=torch.float64)) for v in values]


def half_square(ws):
    return sum(w.square().sum() for w in ws) / 2  # its gradient is the weights themselves


def test_backward_replaces_earlier_gradients():
    ws = weights([3.0], [4.0])
    for _ in range(2):
        assert unrolled.backward(half_square(ws), ws).norm == 5.0
    assert [w.grad.tolist() for w in ws] == [[3.0], [4.0]]


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=6), st.floats(0.01, 100))
def test_clip_by_global_norm(values, limit):
    ws = weights(*[[v] for v in values])
    gradient = unrolled.backward(half_square(ws), ws)
    norm = math.sqrt(sum(v * v for v in values))
    assert gradient.norm == pytest.approx(norm)
    clipped = gradient.clip_norm(limit)
    assert clipped == (gradient.norm > limit)
    scale = min(1.0, limit / norm) if norm else 1.0
    for w, v in zip(ws, values, strict=True):
        assert float(w.grad) == pytest.approx(v * scale, rel=1e-9)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=6), st.floats(0.01, 100))
def test_clip_by_value(values, limit):
    ws = weights(values)
    clipped = unrolled.backward(half_square(ws), ws).clip_value(limit)
    assert clipped == any(abs(v) > limit for v in values)
    assert ws[0].grad.tolist() == [min(max(v, -limit), limit) for v in values]


def test_clipping_twice_is_clipping_once():
    ws = weights([3.0], [4.0])
    gradient = unrolled.backward(half_square(ws), ws)
    assert gradient.clip_norm(1)
    assert not gradient.clip_norm(1.0001)
    assert [round(float(w.grad), 12) for w in ws] == [0.6, 0.8]
    gradient = unrolled.backward(half_square(ws), ws)
    assert gradient.clip_value(0.5)
    assert not gradient.clip_norm(1)
    assert [float(w.grad) for w in ws] == [0.5, 0.5]
    assert gradient.norm == 5.0


def test_there_is_no_clipping_before_a_gradient():
    """Only `backward` makes the object that clips, and there is no function that takes parameters."""
    with pytest.raises(TypeError, match=r"call unrolled\.backward"):
        Gradient(weights([1.0]))
    with pytest.raises(TypeError, match=r"call unrolled\.backward"):
        Gradient(weights([1.0]), _token=object())
    with pytest.raises(ValueError, match="depends on none of the parameters"):
        unrolled.backward(torch.tensor(1.0), weights([1.0]))
    with pytest.raises(ValueError, match=r"loss has shape \(2,\), expected one number"):
        unrolled.backward(weights([1.0, 2.0])[0] * 2, weights([1.0]))
    assert not [name for name in unrolled.__all__ if "clip" in name.lower()]


def test_not_finite_and_limits():
    ws = weights([1.0])
    assert not unrolled.backward(half_square(ws) * math.inf, ws).finite
    gradient = unrolled.backward(half_square(ws), ws)
    for clip in (gradient.clip_norm, gradient.clip_value):
        for limit in (0, -1, math.nan):
            with pytest.raises(ValueError, match="limit must be more than 0"):
                clip(limit)
