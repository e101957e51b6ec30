"""Recordings in batches: each once an epoch, joined as asked, and the same for the same number."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.tasks.transcribe.features import LogMel
from unrolled.tasks.transcribe.fronts import Spectra
from unrolled.tasks.transcribe.utterances import Utterances

MEL = LogMel(8000, 8)
SPECTRA = Spectra(MEL, np.zeros(8, np.float32), np.ones(8, np.float32))


def utterances(count, **settings):
    random = np.random.default_rng(count)
    sounds = [(3000 * random.standard_normal(int(n))).astype(np.int16) for n in random.integers(300, 3000, count)]
    labels = [np.array([k + 1] * (1 + k % 3)) for k in range(count)]
    return Utterances(sounds, labels, SPECTRA, **settings), sounds, labels


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 30), join=st.integers(1, 5), batch=st.integers(1, 8), seed=st.integers(0, 9))
def test_every_recording_is_in_one_utterance_of_an_epoch(count, join, batch, seed):
    made, _, labels = utterances(count, batch=batch, join=join, between=[99], seed=seed, varied=True)
    for epoch in range(2):
        found = []
        for k in range(made.updates_per_epoch):
            one = made.batch_at(epoch * made.updates_per_epoch + k)
            assert one.inputs.shape[1] <= batch and one.inputs.shape[0] >= int(one.lengths.max())
            for row in one.targets.T.tolist():
                row = [label for label in row if label != -100]
                parts, part = [], []
                for label in [*row, 99]:
                    if label == 99:
                        parts.append(part)
                        part = []
                    else:
                        part.append(label)
                assert 1 <= len(parts) <= join
                found += parts
        assert sorted(found) == sorted(one.tolist() for one in labels)


def test_recordings_as_they_are_have_their_own_spectra():
    made, sounds, labels = utterances(5, batch=2)
    for k in range(made.updates_per_epoch):
        one = made.batch_at(k)
        for n, length in enumerate(one.lengths.tolist()):
            number = one.targets[0, n].item() - 1
            alone = SPECTRA(torch.from_numpy(sounds[number].astype(np.float32) / 32768)[:, None])[:, 0]
            assert length == len(alone)
            assert (one.inputs[:length, n] - alone).abs().max() < 1e-5
            assert [x for x in one.targets[:, n].tolist() if x > 0] == labels[number].tolist()


@pytest.mark.parametrize("varied", [False, True])
def test_a_batch_follows_from_its_number_alone(varied):
    made, _, _ = utterances(12, batch=3, join=3, varied=varied)
    again, _, _ = utterances(12, batch=3, join=3, varied=varied)
    numbers = [7, 0, 3, 7]
    first = [made.batch_at(k) for k in numbers]
    for k, one in zip(numbers, first, strict=True):
        other = again.batch_at(k)
        assert (one.inputs == other.inputs).all() and (one.targets == other.targets).all()
    assert (first[0].inputs == first[3].inputs).all()


@pytest.mark.parametrize("batch", [2, 16])
def test_one_of_33_utterances_is_a_pause(batch):
    made, _, _ = utterances(100, batch=batch, pauses=True)
    without, _, _ = utterances(100, batch=batch)
    rows = pauses = 0
    for k in range(1500 // batch):
        one, plain = made.batch_at(k), without.batch_at(k)
        own, said = plain.inputs.shape[1], (one.targets > 0).any(0)
        assert (one.inputs[:, :own] == plain.inputs).all() and (one.targets[:, :own] == plain.targets).all()
        assert said[:own].all() and not said[own:].any()
        assert int(one.lengths.min()) > 0 and one.inputs.shape[0] == int(plain.lengths.max())
        rows, pauses = rows + own, pauses + one.inputs.shape[1] - own
    assert pauses / rows == pytest.approx(1 / 32, abs=0.015)  # three standard deviations


def test_variation_changes_sounds_but_not_texts():
    plain, _, _ = utterances(6, batch=6)
    varied, _, _ = utterances(6, batch=6, varied=True)
    one, other = plain.batch_at(0), varied.batch_at(0)
    assert (one.targets == other.targets).all()
    assert one.inputs.shape != other.inputs.shape or not (one.inputs == other.inputs).all()
    speeds = other.lengths.double() / one.lengths.double()
    assert speeds.min() > 0.8 and speeds.max() < 1.3 and speeds.std() > 0


def test_bands_are_stretched_and_masked():
    """Against interpolation of each frame, with the same numbers."""
    from unrolled.tasks.transcribe.utterances import BANDS, TRACT, _vary_bands

    x = torch.randn(5, 3, 20)
    made, random = x.clone(), np.random.default_rng(3)
    _vary_bands(made, random)
    random = np.random.default_rng(3)
    for n in range(3):
        places = np.arange(20) * random.uniform(1 - TRACT, 1 + TRACT)
        width = random.integers(0, int(BANDS * 20) + 1)
        start = random.integers(0, 20 - width + 1)
        for t in range(5):
            truth = np.interp(places, np.arange(20), x[t, n].numpy())
            truth[start : start + width] = 0
            np.testing.assert_allclose(made[t, n].numpy(), truth, atol=1e-5)
