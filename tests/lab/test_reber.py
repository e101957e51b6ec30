"""The two experiments on the embedded Reber grammar: their criteria can be met, and can fail."""

import numpy as np
import torch

from unrolled.lab import continual_reber, grammar, reber
from unrolled.lab.experiment import Setting


def test_reber_is_solved_and_its_criterion_can_fail():
    """A GRU learns it from 20 of 20 first weights, in a fraction of the budget: three failures are a fault."""
    outcomes = (reber.run(Setting("gru"), seed) for seed in (101, 102, 103))
    made = next(outcome for outcome in outcomes if outcome.solved)
    assert made.score == 1.0 and made.sequences < reber.BUDGET
    net = reber.begin("lstm", 4, seed=1)
    assert reber.right(net, reber.strings_of(1)[1]) < 0.5
    train, test = reber.strings_of(3)
    assert len(train) == len(test) == 256 and not set(train) & set(test)


def test_continual_reber_notices_the_first_error():
    following = torch.tensor([1, 2])
    legal = torch.tensor([[0, 1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0]]).bool()
    good = torch.tensor([[-9.0, 3, 3, -9, -9, -9, -9], [-9, -9, 9, -9, -9, -9, -9]])
    assert continual_reber.right(good, legal, following).tolist() == [True, True]
    assert continual_reber.right(-good, legal, following).tolist() == [False, False]
    net = reber.begin("lstm", 4, seed=1)
    assert max(continual_reber.error_free(net, grammar.Streams(3, np.random.default_rng(1)), 2_000)) < 200
