"""How experiments are trained: when training ends, what is recorded and scored, and data that are the same again."""

import numpy as np
import pytest
import torch

from unrolled.lab import adding, continual_reber
from unrolled.lab.answers import Training, begin, learn, share_wrong, task_of
from unrolled.lab.experiment import Setting
from unrolled.lab.task import LabTask, options, train
from unrolled.training.drawn import Drawn
from unrolled.training.metric import Metric

pytestmark = pytest.mark.usefixtures("one_thread")
SETTING = Setting("gru", 20)
SMALL = Training(hidden=4, batch=10, rate=0.01, budget=200)


def test_data_are_the_same_whenever_they_are_asked_for():
    made = Drawn(lambda count, rng: adding.draw(20, count, rng), 4, 10, [3, 20, 0])
    first, second = made.batch_at(0), made.batch_at(1)
    assert torch.equal(made.batch_at(0).inputs, first.inputs) and first.inputs.shape[1] == 4
    assert first.inputs.shape != second.inputs.shape or not torch.equal(first.inputs, second.inputs)
    one, two = (task_of(adding.PROBLEM, SMALL, 20, 3, part).batches().batch_at(0) for part in (0, 1))
    assert one.inputs.shape != two.inputs.shape or not torch.equal(one.inputs, two.inputs)


def test_endless_streams_are_walked_to():
    one, other = continual_reber.Endless(1), continual_reber.Endless(1)
    batches = [one.batch_at(k) for k in range(20)]
    for k in (7, 7, 3, 19):
        again = other.batch_at(k)
        assert torch.equal(again.inputs, batches[k].inputs) and torch.equal(again.resets, batches[k].resets)
    for k, batch in enumerate(batches):
        assert batch.continues == (k > 0)
        assert batch.resets.nonzero().tolist() == [[0, (k + 1) % 16]]
        assert batch.inputs[0, (k + 1) % 16] == 0  # a B
        kept = [n for n in range(16) if k + 1 < 20 and n != (k + 2) % 16]
        if kept:
            assert torch.equal(batches[k + 1].inputs[0, kept], batch.targets[-1, kept])
    ends = sum(int((batch.targets == 6).sum()) for batch in batches[:9])
    assert one.strings(9) == ends // 2


@pytest.mark.parametrize("stop_at", [7, None])
def test_it_ends_when_the_criterion_is_met_and_scores_what_it_ends_with(stop_at):
    model = begin(adding.PROBLEM, SMALL, SETTING, seed=1)
    told, losses = [], []

    def solved(update, parts, record):
        assert set(parts) == {"wrong", "squared"} and parts["wrong"][1] == 10
        told.append(update)
        record["asked"] = update
        return update == stop_at

    trained = train(task_of(adding.PROBLEM, SMALL, 20, 1), model, SMALL.options(), 5, solved)
    end = stop_at or 20
    assert trained.solved == (stop_at is not None) and trained.shown == 10 * end and told == list(range(1, end + 1))
    assert [c["sequences"] for c in trained.curve] == ([50, 70] if stop_at else [50, 100, 150, 200])
    assert trained.curve[-1]["asked"] == end
    losses = [e["loss"] for e in trained.history if e["event"] == "train"]
    assert trained.curve[0]["loss"] == pytest.approx(np.mean(losses[:5]), rel=1e-6)
    assert trained.score == share_wrong(model, adding.PROBLEM, 20, 2560, np.random.default_rng([1, 20, 1]))


def test_what_diverges_is_not_solved():
    wild = Training(hidden=4, batch=10, rate=1e38, budget=400, clip="off", plain=True)
    outcome = learn(adding.PROBLEM, wild, SETTING, seed=1, stop=lambda model, recent, update: False)
    assert not outcome.solved and outcome.score > 0.5 and 10 * 10 <= outcome.sequences < 400


def test_a_score_that_is_taken_throughout_is_that_of_the_best_weights():
    taken = []

    def score(model):
        taken.append([p.detach().clone() for p in model.parameters()])
        return float(abs(len(taken) - 4))  # the fourth is best

    model = begin(adding.PROBLEM, SMALL, SETTING, seed=1)
    data = task_of(adding.PROBLEM, SMALL, 20, 1).batches()
    trained = train(LabTask("n", data, Metric("distance"), score, throughout=True), model, options(0.01), 20)
    assert len(taken) == 11 and trained.score == 7.0  # what the last call says, of the weights of the fourth
    assert all(torch.equal(a, b) for a, b in zip(taken[3], taken[-1], strict=True))
