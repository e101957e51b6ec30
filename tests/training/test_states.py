"""States that a task's loss carries from batch to batch, of any nesting: resumed equals uninterrupted."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import unrolled
from unrolled.layers.state import nested_as, nesting, tensors
from unrolled.models import Linear, Model, Regression
from unrolled.runs.memory import MemoryRun
from unrolled.training.batches import Batch
from unrolled.training.bptt import batch_loss
from unrolled.training.drawn import Drawn
from unrolled.training.loop import WALL_CLOCK_FIELDS, Trainer
from unrolled.training.losses import Loss
from unrolled.training.options import TrainingOptions
from unrolled.training.task import Task

STATES = st.recursive(
    st.none() | st.integers(0, 3).map(lambda n: torch.randn(n, 2)),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)


def equal(a, b):
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(equal, a, b))
    return a is b is None if a is None else torch.equal(a, b)


@given(STATES)
def test_a_nesting_is_taken_apart_and_put_together(state):
    assert equal(nested_as(nesting(state), list(tensors(state))), state)


@pytest.mark.parametrize("state", [{"h": torch.zeros(2)}, "h", (torch.zeros(2), 1.0)])
def test_what_is_no_state(state):
    with pytest.raises(TypeError, match="Loss: state must be tensors in nested tuples, or None, got"):
        Loss(torch.tensor(1.0), 1, state)


def test_states_come_without_their_gradient():
    h = torch.ones(2, requires_grad=True)
    assert not any(s.requires_grad for s in tensors(Loss(torch.tensor(1.0), 1, ((2 * h, None), h)).state))


class Smoothed(Task):
    """Streams of numbers whose loss weighs a batch by a mean of the losses before, which is part of the state."""

    name = "smoothed"

    def settings(self):
        return {}

    def batches(self, part="training"):
        def draw(N, rng):
            x = torch.from_numpy(rng.normal(size=(6, N, 1)).astype(np.float32)).cumsum(0)
            return Batch(x[:-1], x[1:], continues=True)

        return Drawn(draw, 3, 20, [1])

    def loss(self, model, batch, state):
        own, before, mean = state if state is not None else (None, (), torch.ones(()))
        losses = batch_loss(model, batch, own)
        per_step = losses.total / losses.count
        return Loss(losses.total * (1 + mean), losses.count, (losses.state, before, 0.9 * mean + 0.1 * per_step))

    def validate(self, model, whole, tell=None):
        return None


def trainer(run):
    torch.manual_seed(0)
    model = Model(Linear(1, 4), unrolled.Stack([unrolled.LSTMCell(4, 4)]), Regression(4, 1))
    options = TrainingOptions(epochs=1, lr=0.05, ema=0.0)
    return Trainer(Smoothed(), model, options, run, lambda event: None)


@pytest.mark.parametrize("update", [1, 9])
def test_a_state_with_more_than_the_layers_have_is_resumed(update):
    whole, run = MemoryRun(), MemoryRun()
    trainer(whole).run()
    stopped = trainer(run)
    stopped._start_clock()
    for _ in range(update):
        stopped._update()
    stopped.save()
    resumed = trainer(run)
    resumed.restore()
    assert equal(resumed.state, stopped.state)
    resumed.run()
    one, other = (
        [{k: v for k, v in e.items() if k not in WALL_CLOCK_FIELDS} for e in r.history()] for r in (run, whole)
    )
    assert one == other
