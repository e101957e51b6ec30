"""The lecture's example: from any first weights, and every number of it by hand."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import numpy as np
import pytest
import torch

from unrolled.lab import hello
from unrolled.lab.hello import run

Weights = dict[str, np.ndarray]
X, TARGETS = np.eye(4)[[0, 1, 2, 2]], [1, 2, 2, 3]
"""The inputs h, e, l, l as unit vectors, and the targets e, l, l, o."""


@pytest.fixture
def double() -> Iterator[None]:
    """Everything in float64, so that what 200 updates make of a difference in the last bit stays below 1e-9."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def forward(w: Weights) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """h, y, the probabilities, and the loss of W_xh, W_hh, b, W_hy and b_y."""
    h, hs = np.zeros(3), []
    for x in X:
        h = np.tanh(w["hh"] @ h + w["xh"] @ x + w["b"])
        hs.append(h)
    y = np.array(hs) @ w["hy"].T + w["by"]
    p = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    return np.array(hs), y, p, -sum(np.log(p[t, k]) for t, k in enumerate(TARGETS))


def gradient(w: Weights) -> Weights:
    """Backpropagation through time, as the textbook writes it."""
    h, _, p, _ = forward(w)
    dy = p - np.eye(4)[TARGETS]
    d = {name: np.zeros_like(value) for name, value in w.items()}
    dh = np.zeros(3)
    for t in reversed(range(4)):
        dh = w["hy"].T @ dy[t] + dh
        da = dh * (1 - h[t] ** 2)
        d["xh"] += np.outer(da, X[t])
        d["b"] += da
        d["hy"] += np.outer(dy[t], h[t])
        d["by"] += dy[t]
        if t:
            d["hh"] += np.outer(da, h[t - 1])
        dh = w["hh"].T @ da
    return d


def trained(w: Weights) -> Weights:
    """200 updates of Adam (Kingma & Ba 2015, algorithm 1) on the gradient, clipped to norm 1."""
    w = {name: value.copy() for name, value in w.items()}
    m, v = ({name: np.zeros_like(value) for name, value in w.items()} for _ in range(2))
    for k in range(1, 201):
        d = gradient(w)
        norm = np.sqrt(sum((g**2).sum() for g in d.values()))
        for name, g in d.items():
            g = g * min(1.0, 1.0 / norm)
            m[name] = 0.9 * m[name] + 0.1 * g
            v[name] = 0.999 * v[name] + 0.001 * g**2
            w[name] -= 0.05 * (m[name] / (1 - 0.9**k)) / (np.sqrt(v[name] / (1 - 0.999**k)) + 1e-8)
    return w


def test_hello_is_learnt_from_any_seed():
    """All of 40 starts learnt it, with first weights that differ in their last bits too; one or two may fail."""
    written = [run(seed).written for seed in range(20)]
    assert written.count("hello") >= 18


def test_the_numbers_are_the_networks(double):
    """Before training and after it, all from the first weights: forward, backward and Adam once more in numpy."""
    models, look = [], hello._steps

    def looked(model, *rest):
        models.append(_weights(model))
        return look(model, *rest)

    with mock.patch.object(hello, "_steps", looked):
        lesson = run(3)
    first, last = models[0], trained(models[0])
    for name, value in last.items():
        np.testing.assert_allclose(models[1][name], value, rtol=1e-9, atol=1e-9, err_msg=name)
    for steps, loss, w in ((lesson.before, lesson.loss_before, first), (lesson.after, lesson.loss_after, last)):
        h, y, p, expected = forward(w)
        assert "".join(s.input for s in steps) == "hell" and "".join(s.target for s in steps) == "ello"
        assert [s.one_hot for s in steps] == X.tolist()
        np.testing.assert_allclose([s.hidden for s in steps], h, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose([s.scores for s in steps], y, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose([s.probability for s in steps], p[range(4), TARGETS], rtol=1e-9)
        assert loss == pytest.approx(expected, rel=1e-9)
    assert lesson.loss_after < lesson.loss_before
    assert lesson.parameters == 4 * 3 + 3 * 3 + 3 + 3 * 4 + 4


def _weights(model) -> Weights:
    cell = model.stack.layers[0].cell
    tensors = {"xh": cell.x.weight, "hh": cell.h.weight, "b": cell.x.bias}
    tensors |= {"hy": model.head.map.weight, "by": model.head.map.bias}
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}
