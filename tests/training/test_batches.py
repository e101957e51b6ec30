"""Batches: each sequence once an epoch, no two epochs alike, the same whenever they are asked for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.errors import DataError
from unrolled.training.padded import Padded
from unrolled.training.streams import Streams


def sequences(lengths, by_step, width=None, dtype=np.int64):
    """Inputs that tell which sequence and step they are, and targets that follow from them."""
    inputs = [1000 * k + np.arange(n, dtype=dtype) for k, n in enumerate(lengths)]
    if width is not None:
        inputs = [np.stack([x + 0.5 * j for j in range(width)], axis=1).astype(dtype) for x in inputs]
    targets = [2 * x if by_step else np.asarray(k) for k, x in enumerate(inputs)]
    return inputs, targets


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=30),
    batch=st.integers(1, 8),
    by_step=st.booleans(),
    width=st.none() | st.integers(1, 3),
    seed=st.integers(0, 2**32),
)
def test_each_sequence_once_an_epoch_whole_and_with_its_targets(lengths, batch, by_step, width, seed):
    dtype = np.int64 if width is None else np.float32
    inputs, targets = sequences(lengths, by_step, width, dtype)
    made = Padded(inputs, targets, batch, seed, by_step)
    assert made.updates_per_epoch == -(-len(lengths) // made.batch) and made.batch == min(batch, len(lengths))
    for epoch in range(2):
        seen = []
        for update in range(made.updates_per_epoch):
            one = made.batch_at(epoch * made.updates_per_epoch + update)
            assert not one.continues and one.steps == int(one.lengths.sum())
            assert one.inputs.dtype == (torch.int64 if width is None else torch.float32)
            assert len(one.inputs) == int(one.lengths.max()) and one.inputs.shape[1] == len(one.lengths) <= batch
            for n, length in enumerate(one.lengths.tolist()):
                x = one.inputs[:length, n].numpy()
                k = int(x.reshape(-1)[0]) // 1000
                assert np.array_equal(x, inputs[k]) and not one.inputs[length:, n].any()
                if by_step:
                    assert np.array_equal(one.targets[:length, n].numpy(), targets[k])
                    assert one.mask[:, n].tolist() == [t < length for t in range(len(one.inputs))]
                else:
                    assert int(one.targets[n]) == k and one.mask is None
                seen.append(k)
        assert sorted(seen) == list(range(len(lengths)))


def test_epochs_are_shuffled_and_a_resumed_run_sees_the_same():
    inputs, targets = sequences([1 + k % 9 for k in range(200)], by_step=False)

    def order(made, updates):
        return [made.batch_at(u).targets.tolist() for u in updates]

    made = Padded(inputs, targets, 8, seed=3)
    first, second = order(made, range(25)), order(made, range(25, 50))
    assert first != second and {tuple(sorted(b)) for b in first} != {tuple(sorted(b)) for b in second}
    assert order(Padded(inputs, targets, 8, seed=3), range(25, 50)) == second  # without the first epoch
    assert order(made, [30, 3, 31]) == [second[5], first[3], second[6]]
    assert order(Padded(inputs, targets, 8, seed=4), range(25)) != first


@pytest.mark.parametrize("kind", ["u2", "i4", "i8", "f4"])
def test_numbers_of_either_byte_order(kind):
    for order in "<>":
        inputs, targets = sequences([3, 5], by_step=True, dtype=np.dtype(order + kind))
        for by_step in (True, False):
            made = Padded(inputs, targets if by_step else [x[-1] for x in inputs], 2, by_step=by_step).batch_at(0)
            steps = [inputs[int(n == 5)].tolist() for n in made.lengths]
            assert [x[:n].tolist() for x, n in zip(made.inputs.T, made.lengths, strict=True)] == steps
        stream = Streams(np.arange(9).astype(order + kind), batch=1, bptt=8).batch_at(0)
        assert stream.inputs[:, 0].tolist() == list(range(8))


def test_sequences_of_similar_length_stand_together():
    random = np.random.default_rng(0)
    inputs, targets = sequences(random.integers(1, 200, 2000).tolist(), by_step=False)
    made = Padded(inputs, targets, 16)
    batches = [made.batch_at(k) for k in range(made.updates_per_epoch)]
    padded = sum(b.inputs.numel() for b in batches) / sum(b.steps for b in batches)
    assert padded < 1.1  # at random it would be about 1.9


@pytest.mark.parametrize(
    ("inputs", "targets", "by_step", "message"),
    [
        ([], [], False, "there are no sequences"),
        ([np.arange(3)], [], False, "1 sequences and 0 targets"),
        ([np.arange(3), np.arange(0)], [np.int64(0)] * 2, False, "sequence 1 has no steps"),
        ([np.arange(3)], [np.arange(2)], True, "sequence 0 has 3 steps and 2 targets"),
        ([np.arange(3), np.arange(3.0)], [np.int64(0)] * 2, False, "inputs of all sequences must have one type"),
        ([np.zeros((3, 2)), np.zeros((3, 1))], [np.int64(0)] * 2, False, "one width, got float64"),
        ([np.arange(3)] * 2, [np.int64(0), np.float64(0)], False, "targets of all sequences must have one type"),
    ],
)
def test_what_does_not_fit(inputs, targets, by_step, message):
    with pytest.raises(DataError, match=message):
        Padded(inputs, targets, 2, by_step=by_step)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64, np.float32, np.float64])
def test_streams_keep_numbers_as_they_are(dtype):
    steps = np.arange(200).astype(dtype)
    if steps.dtype.kind == "f":
        steps = np.stack([steps + 1 / 3, steps], axis=1)
    streams = Streams(steps, batch=3, bptt=10)
    batch = streams.batch_at(streams.updates_per_epoch + 1)  # the second of the second epoch
    assert batch.continues and batch.steps == 3 * batch.counted
    assert batch.inputs.dtype == (torch.from_numpy(steps).dtype if steps.dtype.kind == "f" else torch.int64)
    for n in range(3):
        start = n * streams.length + streams.batch_at(0).advance
        assert np.array_equal(batch.inputs[:, n].numpy(), steps[start : start + len(batch.inputs)])
        assert np.array_equal(batch.targets[:, n].numpy(), steps[start + 1 : start + 1 + len(batch.inputs)])


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        ([[1, 2]], [np.int64(0)], "the inputs of sequence 0 are of type list"),
        ([np.arange(2), torch.arange(2)], [0, 1], "the inputs of sequence 1 are of type Tensor"),
        ([np.int64(3)], [np.int64(0)], "the inputs of sequence 0 are of type int64"),
        ([np.arange(2)], [[0, 1]], "the targets of sequence 0 are of type list"),
    ],
)
def test_sequences_are_arrays(inputs, targets, message):
    """A list says nothing of its type, and none is chosen silently."""
    with pytest.raises(TypeError, match=f"Padded: {message}, expected a numpy array"):
        Padded(inputs, targets, batch=2)
