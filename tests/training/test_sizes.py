"""What is chosen where a person leaves it open."""

import pytest

from unrolled.errors import UsageError
from unrolled.models.options import ModelOptions
from unrolled.training.options import TrainingOptions
from unrolled.training.sizes import choose_sizes


def chosen(sequences, **given):
    return choose_sizes(ModelOptions(), TrainingOptions(epochs=1.0, **given), 10_000, sequences)[1]


def test_separate_sequences_are_unrolled_whole():
    assert chosen(None).bptt == 100 and chosen(None, bptt=7).bptt == 7
    assert chosen(50).bptt == 0 and chosen(50, bptt=0).bptt == 0


@pytest.mark.parametrize(("name", "value"), [("bptt", 50), ("update_every", 20)])
def test_what_only_a_stream_has_is_refused_for_separate_sequences(name, value):
    assert getattr(chosen(None, **{name: value}), name) == value
    with pytest.raises(UsageError, match=f"^--{name.replace('_', '-')}: these sequences are separate"):
        chosen(50, **{name: value})
