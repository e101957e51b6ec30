"""The Jacobian of a step, of all states together, and of many steps: its singular values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from unrolled.insight.dynamics import dynamics
from unrolled.insight.opening import plain

SWEEPS = 60
"""Most sweeps of QR along a product."""

STILL = 1e-7
"""A sweep that changes the logarithms less than this is the last."""

WITHIN = 1e-6
"""Singular values above this share of the largest are taken from the product itself: double precision holds them."""

USUAL = (10, 100)
"""Steps of the products that are shown if none are asked for."""

_MOST = 2**31
"""Bytes of all Jacobians."""


@dataclass(frozen=True)
class JacobianSpectrum:
    """Singular values of ds_t/ds_{t-1}, and of products of such Jacobians. S numbers of state, T steps.

    Fields:
        states: name and width of each part of the joint state, in order: ``{"1.h": 8, "1.c": 8}``.
        values: singular values of each step (T, S), largest first.
        blocks: largest singular value of ds'_t/ds_{t-1}, one state after another, by ``(to, from)`` (T,).
        products: for each k, natural logarithms of the largest singular values of the product of k steps
            (T // k, count); the last row ends at the last step.
        notes: what could not be shown, and what is shown in its place.

    Units:
        1 means that a small change of the states (or a gradient) keeps its length.
    """

    states: dict[str, int]
    values: np.ndarray
    blocks: dict[tuple[str, str], np.ndarray]
    products: dict[int, np.ndarray]
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Everything as numbers and lists; the logarithm of 0 is None."""
        blocks = {f"{to} from {source}": values for (to, source), values in self.blocks.items()}
        fields = {"states": self.states, "values": self.values, "products": self.products, "notes": self.notes}
        return plain(fields | {"blocks": blocks})


def jacobian_spectrum(
    model: nn.Module,
    x: Tensor,
    *,
    layer: int | None = None,
    over: Sequence[int] | int | None = None,
    count: int | None = 16,
    sequence: int = 0,
    state: Any = None,
) -> JacobianSpectrum:
    """Singular values of the joint Jacobian of all states, step by step and over many steps.

    Equation::

        J_t = d(h_t, c_t, ...)/d(h_{t-1}, c_{t-1}, ...)        sigma(J_t)        log sigma(J_t J_{t-1} ... J_{t-k+1})

    The singular values of a product of many steps differ so much in size that one matrix of floats cannot hold them
    all. The smaller ones are found by QR, step by step along the product and back, in logarithms.

    Shapes:
        x: symbols (T, N) or vectors (T, N, D), as the model takes them; one sequence also without its N.

    Arguments:
        model: a `Model`, `Stack`, `LSTM`, `GRU`, `Elman` or `Recurrent`, of any cells, in one direction.
        layer: from 1; None for the states of all layers together.
        over: the lengths k of the products, in steps; None: 10 and 100, as far as the sequence has that many. A
            length above T is replaced by T, and ``notes`` says so.
        count: how many of the largest singular values of each product; None for all S.
        sequence: which of the N.
        state: before the first step; one entry a layer, for a single layer its own.

    Cost:
        S forward and backward steps for each step; T S^2 numbers are kept. With count=None, products of hundreds
        of numbers of state take minutes.

    Raises:
        ValueError: layers that run both ways, an argument that does not fit, or Jacobians of more than 2 GiB.

    Source:
        G. W. Stewart, "On graded QR decompositions of products of matrices" (1994).

    >>> spectrum = jacobian_spectrum(unrolled.Recurrent(unrolled.LSTMCell(4, 3)), torch.randn(20, 1, 4), over=[10])
    >>> spectrum.values.shape, spectrum.products[10].shape, spectrum.states
    ((20, 6), (2, 6), {'1.h': 3, '1.c': 3})
    """
    who = "jacobian_spectrum"
    usual = over is None
    over = USUAL if over is None else [over] if isinstance(over, int) else over
    if any(type(k) is not int or k < 1 for k in over):
        raise ValueError(f"{who}: over must contain integers of at least 1, got {list(over)}")
    if count is not None and (type(count) is not int or count < 1):
        raise ValueError(f"{who}: count must be None or an integer of at least 1, got {count!r}")
    system = dynamics(who, model, x, state, layer)
    T, N, S = len(system.x), system.x.shape[1], system.size
    if not -N <= sequence < N:
        raise ValueError(f"{who}: sequence must be an index from {-N} to {N - 1}, got {sequence}")
    if T * S * S * 8 > _MOST:
        raise ValueError(f"{who}: {T} Jacobians of {S} x {S} need more than 2 GiB; pass fewer steps, or layer=")
    jacobians = np.stack([j.numpy() for j in system.jacobians(sequence)])
    long = [] if usual else [k for k in over if k > T]
    notes = [f"the product is shown over {T} steps, not {k}: the sequence has only {T}" for k in long]
    products = {}
    for k in sorted({min(k, T) for k in over if k <= T or not usual}):
        ends = range(T - (T // k - 1) * k, T + 1, k)
        products[k] = np.stack([log_singular_values(jacobians[end - k : end], count) for end in ends])
    values = np.linalg.svd(jacobians, compute_uv=False)
    return JacobianSpectrum(system.names, values, _blocks(jacobians, system.names), products, tuple(notes))


def log_singular_values(matrices: np.ndarray, count: int | None = None) -> np.ndarray:
    """Natural logarithms of the ``count`` largest singular values of the product M_k ... M_2 M_1; None: of all.

    The largest are taken from the product itself. Those that double precision does not hold beside them come from
    QR: along the product it makes a product of triangular matrices; again and again, from alternate sides, it makes
    those nearly diagonal, and the diagonals' logarithms add up.

    Shapes:
        matrices (k, S, S), M_1 first; the result (count,), largest first.

    >>> log_singular_values(np.stack([np.diag([2.0, 1e-3])] * 200)).round(2).tolist()
    [138.63, -1381.55]
    """
    product, scale = np.eye(matrices.shape[1]), 0.0
    for m in matrices:
        product = m @ product
        if (size := np.abs(product).max()) == 0:
            return np.full(len(product), -np.inf)[:count]
        product, scale = product / size, scale + float(np.log(size))
    direct = np.linalg.svd(product, compute_uv=False)
    held = int((direct > WITHIN * direct[0]).sum())
    logs = np.full(len(direct), -np.inf)
    if held < min(len(direct), count or len(direct)):
        logs = _by_sweeps(matrices, held)
    logs[:held] = np.log(direct[:held]) + scale
    return logs[:count]


def _by_sweeps(chain: np.ndarray, held: int) -> np.ndarray:
    """Logarithms of the singular values, largest first, until those from ``held`` on stand still."""
    logs = np.full(chain.shape[1], -np.inf)
    for _ in range(SWEEPS):
        before, (chain, logs) = logs, _sweep(chain)
        logs = np.sort(logs)[::-1]
        rest, old = logs[held:], before[held:]
        finite = np.isfinite(rest)
        if (finite == np.isfinite(old)).all() and np.allclose(rest[finite], old[finite], rtol=0, atol=STILL):
            break
        chain = chain.transpose(0, 2, 1)[::-1]
    return logs


def _sweep(chain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangular R_k, ..., R_1 with M_k ... M_1 = Q R_k ... R_1, and the logarithms of the product's diagonal."""
    q = np.eye(chain.shape[1])
    triangles = np.empty_like(chain)
    for t, m in enumerate(chain):
        q, triangles[t] = np.linalg.qr(m @ q)
    with np.errstate(divide="ignore"):
        logs = np.log(np.abs(np.diagonal(triangles, axis1=1, axis2=2))).sum(axis=0)
    return triangles, logs


def _blocks(jacobians: np.ndarray, names: dict[str, int]) -> dict[tuple[str, str], np.ndarray]:
    ends = np.cumsum([0, *names.values()])
    parts = {name: slice(a, b) for name, a, b in zip(names, ends, ends[1:], strict=False)}
    return {
        (to, source): np.linalg.norm(jacobians[:, rows, columns], ord=2, axis=(1, 2))
        for to, rows in parts.items()
        for source, columns in parts.items()
    }
