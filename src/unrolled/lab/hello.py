"""The lecture's first language model: vocabulary [h e l o], one training sequence, "hello"."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unrolled.cells import ElmanCell
from unrolled.layers import Stack
from unrolled.models.decode import sample
from unrolled.models.encoders import OneHot
from unrolled.models.heads import Softmax
from unrolled.models.model import Model
from unrolled.training.gradient import backward

VOCABULARY = "helo"
SEQUENCE = "hello"
HIDDEN = 3
UPDATES = 200
LEARNING_RATE = 0.05


@dataclass(frozen=True)
class Step:
    """One time step of the unrolled network, as the lecture's figure has it."""

    input: str
    one_hot: list[float]
    hidden: list[float]
    scores: list[float]
    target: str
    probability: float
    """Of the target."""


@dataclass(frozen=True)
class Lesson:
    """The lesson's outcome: the network before and after training, and what it then writes."""

    before: list[Step]
    after: list[Step]
    loss_before: float
    loss_after: float
    parameters: int
    written: str


def run(seed: int = 1) -> Lesson:
    """Train an Elman network of 3 hidden units on "hello" by full backpropagation through time.

    Equation::

        h_t = tanh(W_hh h_{t-1} + W_xh x_t + b)    y_t = W_hy h_t + b_y    loss = -sum log softmax(y_t)[target]

    The 4 inputs are h, e, l, l; the 4 targets e, l, l, o. The first l must be followed by l and the second
    by o: the input alone does not say which, the hidden state does.

    Source:
        A. Karpathy, "The unreasonable effectiveness of recurrent neural networks" (2015), and the lecture's
        figure after it.

    >>> run().written
    'hello'
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        V = len(VOCABULARY)
        model = Model(OneHot(V), Stack([ElmanCell(V, HIDDEN)]), Softmax(HIDDEN, V))
    numbers = torch.tensor([[VOCABULARY.index(s)] for s in SEQUENCE])
    inputs, targets = numbers[:-1], numbers[1:]
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    before, loss_before = _steps(model, inputs, targets)
    for _ in range(UPDATES):
        scores, _ = model(inputs)
        total, _ = model.head.loss(scores, targets)
        backward(total, model.parameters()).clip_norm(1.0)
        optimizer.step()
    after, loss_after = _steps(model, inputs, targets)
    written = sample(model, inputs[:1], len(SEQUENCE) - 1, temperature=0)
    text = SEQUENCE[0] + "".join(VOCABULARY[k] for k in written)
    parameters = sum(p.numel() for p in model.parameters())
    return Lesson(before, after, loss_before, loss_after, parameters, text)


@torch.no_grad()
def _steps(model: Model, inputs: Tensor, targets: Tensor) -> tuple[list[Step], float]:
    """Every number of the unrolled network, and the sum of the losses."""
    x = model.encoder(inputs)
    h, _ = model.unroll(x)
    scores = model.read(h)
    right = torch.softmax(scores, dim=2).gather(2, targets[..., None])
    steps = [
        Step(
            input=VOCABULARY[inputs[t, 0]],
            one_hot=x[t, 0].tolist(),
            hidden=h[t, 0].tolist(),
            scores=scores[t, 0].tolist(),
            target=VOCABULARY[targets[t, 0]],
            probability=float(right[t, 0, 0]),
        )
        for t in range(len(inputs))
    ]
    return steps, float(model.head.loss(scores, targets)[0])
