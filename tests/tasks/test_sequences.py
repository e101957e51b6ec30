"""Sequences in memory and in a file are the same."""

import numpy as np
import pytest

from unrolled.errors import UsageError
from unrolled.tasks.extras import needed
from unrolled.tasks.sequences import Chosen, Sequences


@pytest.mark.parametrize("width", [None, 3])
@pytest.mark.parametrize("in_memory", [1 << 20, 40])
def test_they_are_read_as_they_were_appended(width, in_memory):
    random = np.random.default_rng(1)
    arrays = [random.random((n, width) if width else n).astype(np.float32) for n in (5, 1, 9, 4)]
    made = Sequences(np.float32, width, in_memory)
    for array in arrays[:2]:
        made.append(array)
    assert np.array_equal(made[1], arrays[1])  # read between two that are appended
    made.append(arrays[0])
    made.cut(2)
    for array in arrays[2:]:
        made.append(array)
    assert made.lengths.tolist() == [5, 1, 9, 4] and len(made) == 4
    assert all(np.array_equal(one, array) for one, array in zip(made, arrays, strict=True))
    assert isinstance(made.flat, np.memmap) == (in_memory == 40)
    chosen = Chosen(made, np.array([3, 0]), lambda x: x * 2)
    assert [np.array_equal(one, 2 * arrays[k]) for one, k in zip(chosen, (3, 0), strict=True)] == [True, True]


def test_a_missing_library_is_named_with_what_installs_it():
    with pytest.raises(
        UsageError, match=r"FASTA files need no_such_one: install it with .* -m pip install no_such_one"
    ):
        needed("no_such_one", "FASTA files")
