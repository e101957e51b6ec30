"""Alignments at the border of the engine: what is refused, threads, and that nothing else is read or written."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.engine import native

ROOM = 16
"""Numbers before and behind each array, which nothing may touch."""


class Arrays:
    """The arrays of a call, each with NaN or the largest number around it."""

    def __init__(self, T, N, V, S, seed=0):
        random = torch.Generator().manual_seed(seed)
        self.sizes = [T, N, V, S]
        self.counts = torch.randint(0, S + 1, (N,), generator=random)
        least = (2 * self.counts).clamp(min=1)
        self.steps = least + (torch.rand(N, generator=random) * (T - least + 1)).long()
        y = torch.rand(T, N, V, generator=random, dtype=torch.double).softmax(-1)
        labels = torch.randint(1, V, (S, N), generator=random)
        self.rooms = {}
        for name, array in (
            ("y", y), ("labels", labels), ("steps", self.steps), ("counts", self.counts),
            ("losses", torch.zeros(N, dtype=torch.double)), ("gradient", y.clone()),
        ):  # fmt: skip
            around = torch.nan if array.is_floating_point() else torch.iinfo(torch.long).max
            room = torch.full((array.numel() + 2 * ROOM,), around, dtype=array.dtype)
            room[ROOM:-ROOM] = array.flatten()
            self.rooms[name] = room

    def __getitem__(self, name):
        return self.rooms[name][ROOM:-ROOM]

    def call(self, threads=1, sizes=None, **addresses):
        given = {name: self[name].data_ptr() for name in self.rooms} | addresses
        native.module.align(threads, sizes or self.sizes, *given.values())

    def untouched(self):
        edges = [torch.cat([room[:ROOM], room[-ROOM:]]) for room in self.rooms.values()]
        return all(
            bool(edge.isnan().all() if edge.is_floating_point() else (edge == torch.iinfo(torch.long).max).all())
            for edge in edges
        )


@settings(max_examples=60, deadline=None)
@given(
    S=st.integers(1, 20), extra=st.integers(0, 5), N=st.integers(1, 6), V=st.integers(2, 6), seed=st.integers(0, 999)
)
def test_nothing_around_the_arrays_is_read_or_written(S, extra, N, V, seed):
    arrays = Arrays(2 * S + extra, N, V, S, seed)
    before = {name: arrays[name].clone() for name in ("y", "labels", "steps", "counts")}
    arrays.call()
    assert arrays.untouched() and all(torch.equal(arrays[name], old) for name, old in before.items())
    assert arrays["losses"].isfinite().all() and arrays["gradient"].isfinite().all()
    left = arrays["gradient"].view(arrays["y"].numel() // (N * V), N, V)
    inside = torch.arange(len(left))[:, None] < arrays.steps
    sums = left.sum(-1)
    torch.testing.assert_close(sums, (~inside).double(), rtol=0, atol=1e-12)  # all paths are taken away, once


@pytest.mark.parametrize("threads", [2, 5, 64])
def test_the_number_of_threads_changes_nothing(threads, path):
    one, several = Arrays(60, 9, 5, 20), Arrays(60, 9, 5, 20)
    one.call()
    several.call(threads)
    assert torch.equal(one["losses"], several["losses"]) and torch.equal(one["gradient"], several["gradient"])


def test_losses_alone(path):
    one, other = Arrays(60, 3, 5, 20), Arrays(60, 3, 5, 20)
    one.call()
    other.call(gradient=0)
    assert torch.equal(one["losses"], other["losses"])
    assert torch.equal(other["gradient"], other["y"])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("steps", 0, "steps is out of range"),
        ("steps", 41, "steps is out of range"),
        ("counts", -1, "labels is out of range"),
        ("counts", 21, "labels is out of range"),
        ("labels", 0, "a label is out of range"),
        ("labels", 5, "a label is out of range"),
        ("labels", -(2**62), "a label is out of range"),
    ],
)
def test_numbers_out_of_range(name, value, message):
    arrays = Arrays(40, 3, 5, 20)
    arrays["counts"][:] = 20
    arrays["steps"][:] = 40
    arrays[name][0] = value
    with pytest.raises(ValueError, match=message):
        arrays.call()


def test_sizes_and_addresses():
    arrays = Arrays(4, 1, 3, 2)
    few, huge = ([4, 1, 3], [0, 1, 3, 2], [4, 1, -3, 2], [4, 1, 3, 2, 1]), 2**62
    for sizes in (*few, [huge, huge, 3, 2], [4, 1, 3, huge], [huge, 1, 3, 2]):
        with pytest.raises(ValueError, match=r"sizes|size is|beyond any memory"):
            arrays.call(sizes=sizes)
    for threads in (0, -1, 2**40):
        with pytest.raises(ValueError, match="one thread"):
            arrays.call(threads)
    with pytest.raises(ValueError, match="an array is missing"):
        arrays.call(labels=0)
