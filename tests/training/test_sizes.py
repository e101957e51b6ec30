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


@pytest.mark.parametrize(
    ("symbols", "hidden", "layers", "minutes", "drops"),
    [
        (1_000_000, None, None, 3.0, False),  # read a few times
        (1_000_000, None, None, 15.0, True),  # a large network for its text, read often
        (2_400_000, 128, 2, 15.0, False),  # a novel, and a network far smaller than that
        (2_400_000, 512, 2, 120.0, True),
    ],
)
def test_dropout_is_for_networks_that_could_learn_their_data_by_heart(symbols, hidden, layers, minutes, drops):
    model = ModelOptions(hidden=hidden, layers=layers)
    dropout = choose_sizes(model, TrainingOptions(minutes=minutes), symbols)[0].dropout
    assert (dropout > 0) == drops and dropout <= 0.5


def test_the_weights_decay_with_muon_alone():
    for name, decay in (("muon", 0.1), ("adam", 0.0), ("sgd", 0.0)):
        for training in (TrainingOptions(epochs=1.0), TrainingOptions(epochs=1.0, optimizer=name)):
            usual = "adam" if training.optimizer else name
            made = choose_sizes(ModelOptions(), training, 10_000, optimizer=usual)[1]
            assert (made.optimizer, made.weight_decay) == (name, decay)
    given = TrainingOptions(epochs=1.0, optimizer="muon", weight_decay=0.0)
    assert choose_sizes(ModelOptions(), given, 10_000)[1].weight_decay == 0.0


def test_texts_are_trained_with_muon():
    from unrolled.tasks.music.task import MusicTask
    from unrolled.tasks.text.task import TextTask

    assert (TextTask.optimizer, MusicTask.optimizer) == ("muon", "adam")


@pytest.mark.parametrize(("optimizer", "minutes", "batch"), [
    ("muon", 0.2, 16), ("muon", 3.0, 16), ("muon", 15.0, 16), ("adam", 0.2, 4), ("adam", 3.0, 16), ("adam", 15.0, 32),
])  # fmt: skip
def test_batches_of_a_million_symbols(optimizer, minutes, batch):
    """Tiny Shakespeare, for which these were measured: Muon in 12 seconds 1.62 nats with 16, 1.79 with 4."""
    training = TrainingOptions(minutes=minutes)
    assert choose_sizes(ModelOptions(), training, 1_003_854, None, optimizer)[1].batch == batch
