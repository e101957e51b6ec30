"""The lecture's lesson on gradients: why a recurrent network forgets, or explodes, and what gates and clipping do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.cells.initial import chrono_, recurrent_
from unrolled.insight import gradient_through_time, lyapunov
from unrolled.insight.opening import plain
from unrolled.layers import Recurrent, Stack
from unrolled.models.encoders import Linear
from unrolled.models.heads import Softmax
from unrolled.models.model import Model
from unrolled.training.gradient import backward

WEIGHTS, DEPTHS = (0.3, 1.0, 1.7), (1, 2, 5, 10, 20, 50)
"""Of f(x) = w x; and how often it is applied."""

RADII = (0.8, 1.0, 1.25)
"""Spectral radius under, at and above 1."""

UNITS, INPUTS, LAGS = 32, 8, 100
"""Of the networks that are looked at, untrained: hidden units, input width, and steps back."""

STEPS, STARTS, UPDATES, RATE, LIMIT = 30, 10, 250, 1.0, 0.2
"""Of the networks that are trained: length, number of first weights, updates, learning rate, --clip.

At a rate of 0.2 some networks learn without clipping, and rounding decides which. At 1, of 20 first weights on each
of three instruction sets, 1 of 60 networks learnt without clipping, and all 60 with it.
"""

EXPLODING = 1.5
"""The spectral radius that training begins with."""

LEARNT = 0.1
"""A mean loss of the last updates below this, in nats; guessing gives log 2 = 0.693."""


@dataclass(frozen=True)
class Product:
    """f(x) = w x applied n times: the derivative of the last value with respect to the first, by n."""

    weight: float
    derivatives: dict[int, float]


@dataclass(frozen=True)
class Network:
    """The gradient of one loss in an untrained network, by lag.

    Fields:
        name: in words.
        radius: spectral radius of W_hh; None for a cell with several recurrent matrices.
        silent: whether the inputs are zero.
        norms: ||dL/ds|| of each state, 0 to ``LAGS`` steps back.
        kept: the product of the gate that keeps, where there is one.
        slope: of the log norm of the state that lasts longest, a step.
        exponent: the largest Lyapunov exponent.
        verdict: in words.
    """

    name: str
    radius: float | None
    silent: bool
    norms: dict[str, list[float]]
    kept: list[float] | None
    slope: float
    exponent: float
    verdict: str


@dataclass(frozen=True)
class Training:
    """Training from several first weights, with one limit of the gradient's norm, or none.

    Fields:
        clip: the limit; None for none.
        losses, norms: of each start, update by update; norms before clipping.
        learnt: how many starts ended with a loss below ``LEARNT``.
    """

    clip: float | None
    losses: list[list[float]]
    norms: list[list[float]]
    learnt: int


@dataclass(frozen=True)
class Lesson:
    """All four parts."""

    products: list[Product]
    tanh: list[Network]
    gates: list[Network]
    training: list[Training]

    def as_json(self) -> dict[str, Any]:
        """Everything as numbers and words."""
        return plain(asdict(self))


def run(seed: int = 1, starts: int = STARTS) -> Lesson:
    """All numbers of the lesson, computed now.

    Arguments:
        seed: of first weights and inputs.
        starts: first weights that training is begun from, with and without clipping.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tanh = [_tanh(radius, silent) for silent in (True, False) for radius in RADII]
        gates = [_network(name, make()) for name, make in CELLS.items()]
    training = [_train(clip, seed, starts) for clip in (None, LIMIT)]
    return Lesson([_product(w) for w in WEIGHTS], tanh, gates, training)


CELLS: dict[str, Callable[[], Cell]] = {
    "Elman": lambda: ElmanCell(INPUTS, UNITS),
    "GRU": lambda: GRUCell(INPUTS, UNITS),
    "LSTM": lambda: LSTMCell(INPUTS, UNITS),
    f"GRU, chrono={LAGS}": lambda: chrono_(GRUCell(INPUTS, UNITS), LAGS),
    f"LSTM, chrono={LAGS}": lambda: chrono_(LSTMCell(INPUTS, UNITS), LAGS),
}
"""What the third part compares."""


def _product(weight: float) -> Product:
    """By backpropagation through the applications, not by a power."""
    found = {}
    for n in DEPTHS:
        first = x = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        for _ in range(n):
            x = weight * x
        (d,) = torch.autograd.grad(x, first)
        found[n] = float(d)
    return Product(weight, found)


def _tanh(radius: float, silent: bool) -> Network:
    cell = recurrent_(ElmanCell(INPUTS, UNITS), "orthogonal", radius)
    return _network(f"tanh, W_hh orthogonal times {radius:g}", cell, radius, silent)


def _network(name: str, cell: Cell, radius: float | None = None, silent: bool = False) -> Network:
    layer = Recurrent(cell)
    x = torch.zeros(3 * LAGS, 1, INPUTS) if silent else torch.randn(3 * LAGS, 1, INPUTS)
    found = gradient_through_time(layer, x, lags=LAGS, fit=(LAGS // 10, LAGS))
    told = found.verdict
    return Network(
        name=name,
        radius=radius,
        silent=silent,
        norms={state.removeprefix("1."): norms.tolist() for state, norms in found.norms.items()},
        kept=next((kept.tolist() for kept in found.kept.values()), None),
        slope=told.rate,
        exponent=float(lyapunov(layer, x, count=1).exponents[0]),
        verdict=f"{told.kind}: {told.why}",
    )


def _train(clip: float | None, seed: int, starts: int) -> Training:
    losses, norms = [], []
    for start in range(starts):
        loss, norm = _one(clip, seed + start)
        losses.append(loss)
        norms.append(norm)
    ends = [sum(loss[-20:]) / 20 for loss in losses]
    return Training(clip, losses, norms, sum(end < LEARNT for end in ends))


def _one(clip: float | None, seed: int) -> tuple[list[float], list[float]]:
    """Remember a sign for STEPS steps: an Elman network that begins above 1, and plain gradient descent.

    The first input is +1 or -1, the others are noise; the last output must say which it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        cell = recurrent_(ElmanCell(1, UNITS), "orthogonal", EXPLODING)
        model = Model(Linear(1, 1), Stack([cell]), Softmax(UNITS, 2), graph="many-to-one")
        optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
        losses, norms = [], []
        for _ in range(UPDATES):
            x, sign = _signs(32)
            scores, _ = model(x)
            total, count = model.head.loss(scores, sign)
            gradient = backward(total / count, model.parameters())
            losses.append(float(total.detach()) / count)
            norms.append(gradient.norm)
            if clip is not None:
                gradient.clip_norm(clip)
            if not (math.isfinite(losses[-1]) and gradient.finite):
                break
            optimizer.step()
    return losses, norms


def _signs(N: int) -> tuple[Tensor, Tensor]:
    x, sign = 0.2 * torch.randn(STEPS, N, 1), torch.randint(2, (N,))
    x[0, :, 0] = 2.0 * sign - 1
    return x, sign
