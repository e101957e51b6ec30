"""Batches of every kind that a task may give: their losses, cut or whole, are those of sequences alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from unrolled.insight.probes import GradientProbe
from unrolled.models import Linear, Regression, SideBySide
from unrolled.training.batches import Batch, at_the_end
from unrolled.training.bptt import batch_loss
from unrolled.training.losses import Loss
from unrolled.training.task import Task

V, C, H = 5, 3, 4


class Usual(Task):
    """The loss that the program has."""

    name = "usual"


class Own(Usual):
    """A loss that counts every step inside, whatever the mask says."""

    def loss(self, model, batch, state):
        outputs, _ = model(batch.inputs, lengths=batch.lengths)
        inside = None
        if model.graph == "many-to-many" and batch.lengths is not None:
            inside = torch.arange(len(batch.inputs))[:, None] < batch.lengths
        return Loss(*model.head.loss(outputs, batch.targets, inside))


@st.composite
def cases(draw):
    """A model, and a batch for it: one target a step or one a sequence, of one head or several, with and without
    lengths, which may be 0, and a mask; in the padding stands what no model can read."""
    torch.manual_seed(draw(st.integers(0, 10**6)))
    graph = draw(st.sampled_from(["many-to-many", "many-to-one"]))
    T, N = draw(st.integers(1, 6)), draw(st.integers(1, 20))
    by_step, several = graph == "many-to-many", draw(st.booleans())
    leading = (T, N) if by_step else (N,)
    lengths = draw(st.none() | st.lists(st.integers(0, T), min_size=N, max_size=N).map(torch.tensor))
    inputs = torch.randint(V, (T, N))
    symbols, numbers = torch.randint(C, leading), torch.randn(*leading, 2, dtype=torch.float64)
    counts = torch.rand(leading) < 0.7
    inside = torch.ones(leading, dtype=torch.bool)
    if lengths is not None:
        at = torch.arange(T)[:, None]
        inside = at < lengths if by_step else lengths > 0
        inputs[at >= lengths] = -1
    ignored = not several and draw(st.booleans())  # the targets themselves say what counts
    wanted = counts & inside
    if ignored:
        symbols[~wanted] = -100
    mask = None if ignored else wanted
    if mask is None and not ignored:
        wanted = torch.ones(leading, dtype=torch.bool)
    head = unrolled.Softmax(H, C)
    targets = symbols
    if several:
        head = SideBySide({"symbol": unrolled.Softmax(H, C), "number": Regression(H, 2)})
        targets = {"symbol": symbols, "number": numbers}
        mask = draw(st.sampled_from([mask, {"symbol": mask, "number": mask}]))
    stack = unrolled.Stack([unrolled.GRUCell(V, H)])
    model = unrolled.Model(unrolled.OneHot(V), stack, head, graph).double()
    return model, Batch(inputs, targets, lengths, mask), wanted


def alone(model, batch, wanted, n, last_only=False):
    """The sum of the losses of sequence ``n``, which is read by itself, and how many they are."""
    T = len(batch.inputs) if batch.lengths is None else int(batch.lengths[n])
    if not T:
        return torch.zeros(()), 0
    outputs, _ = model(batch.inputs[:T, n : n + 1])
    by_step = model.graph == "many-to-many"

    def own(one):
        return one[:T, n : n + 1] if by_step else one[n : n + 1]

    targets = batch.targets
    targets = {k: own(v) for k, v in targets.items()} if isinstance(targets, dict) else own(targets)
    counts = own(wanted).clone()
    if last_only:
        counts[:-1] = False
    return model.head.loss(outputs, targets, counts)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_the_loss_is_that_of_sequences_alone(case):
    model, batch, wanted = case
    found = batch_loss(model, batch, None)
    sums = [alone(model, batch, wanted, n) for n in range(batch.inputs.shape[1])]
    assert found.count == sum(count for _, count in sums) == int(wanted.sum())
    assert float(found.total.detach()) == pytest.approx(float(sum(total.detach() for total, _ in sums)), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(1, 16))
def test_the_last_steps_of_the_longest_alone(case, most):
    model, batch, wanted = case
    by_step = model.graph == "many-to-many"
    N = batch.inputs.shape[1]
    lengths = torch.full((N,), len(batch.inputs)) if batch.lengths is None else batch.lengths
    rows = [n for n in range(N) if lengths[n] == lengths.max()][:most]
    cut = at_the_end(batch, most, by_step)
    if not lengths.max():
        assert cut is None
        return
    few, chosen = cut
    assert chosen.tolist() == rows
    found = batch_loss(model, few, None)
    sums = [alone(model, batch, wanted, n, last_only=by_step) for n in rows]
    assert found.count == sum(count for _, count in sums)
    assert float(found.total.detach()) == pytest.approx(float(sum(total.detach() for total, _ in sums)), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(cases(), st.sampled_from([Usual, Own]))
def test_a_curve_over_lags_is_of_the_last_step_or_is_not_drawn(case, task):
    """By hand: the norms of the gradient of the mean loss at the last steps, by the states of those sequences."""
    model, batch, wanted = case
    curves = GradientProbe(model).by_lag(task(), batch, None)
    list(GradientProbe(model).units(batch, None))
    lengths = torch.full((batch.inputs.shape[1],), len(batch.inputs)) if batch.lengths is None else batch.lengths
    T = int(lengths.max())
    if not T:
        assert not curves
    if not curves:
        return
    rows = [n for n in range(len(lengths)) if lengths[n] == T][:16]
    by_step = model.graph == "many-to-many"
    x = model.encoder(batch.inputs[:T, rows])
    states, h = [], torch.zeros(len(rows), H, dtype=torch.float64)
    for t in range(T):
        h = model.stack.layers[0].cell.step(x[t], h)
        h.retain_grad()
        states.append(h)

    def last(one):
        return one[T - 1, rows] if by_step else one[rows]

    targets = batch.targets
    targets = {k: last(v) for k, v in targets.items()} if isinstance(targets, dict) else last(targets)
    total, count = model.head.loss(model.read(h), targets, last(wanted) if task is Usual else None)
    (total / count).backward()
    assert curves["1.h"] == pytest.approx([float(s.grad.norm()) for s in states[::-1]], rel=6e-3, abs=1e-9)


def test_targets_that_only_their_own_loss_understands():
    """Another sequence, or none: nothing is cut, and no curve is drawn."""
    inputs, lengths = torch.randint(V, (7, 20)), torch.randint(1, 8, (20,))
    for targets in (torch.randint(C, (4, 20)), None, [1, 2], {"a": torch.zeros(3)}):
        for by_step in (True, False):
            assert at_the_end(Batch(inputs, targets, lengths), 16, by_step) is None


def test_one_input_for_a_sequence():
    """Nothing lies back in time, and no unit is looked at step by step."""
    stack = unrolled.Stack([unrolled.GRUCell(4, H)])
    batch = Batch(torch.randn(20, 6), torch.randint(C, (20,)), torch.ones(20, dtype=torch.long))
    model = unrolled.Model(Linear(6, 4), stack, unrolled.Softmax(H, C), "one-to-one")
    assert batch_loss(model, batch, None).count == 20 and batch.steps == 20
    assert GradientProbe(model).by_lag(Usual(), batch, None) == {}
    assert list(GradientProbe(model).units(batch, None)) == []
    with pytest.raises(NotImplementedError, match="one input a step"):
        Usual().evidence(model, "validation")
