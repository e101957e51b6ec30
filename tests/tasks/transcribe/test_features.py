"""Log-mel spectra, by the formula."""

import math

import numpy as np
import pytest
import torch

from unrolled.tasks.transcribe import choices
from unrolled.tasks.transcribe.features import LogMel
from unrolled.tasks.transcribe.fronts import PRIOR, Spectra


def by_formula(x, rate, bands):
    """One frame at a time, one frequency at a time."""
    window, hop = round(0.025 * rate), round(0.010 * rate)
    size = 1 << math.ceil(math.log2(window))
    mels = np.linspace(2595 * math.log10(1 + 20 / 700), 2595 * math.log10(1 + rate / 2 / 700), bands + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    found = []
    for start in range(0, len(x) - window + 1, hop):
        hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / (window - 1)) for n in range(window)]
        piece = x[start : start + window] * np.array(hann)
        row = np.zeros(bands)
        for k in range(size // 2 + 1):
            f = k * rate / size
            angles = 2 * math.pi * k * np.arange(window) / size
            energy = (piece @ np.cos(angles)) ** 2 + (piece @ np.sin(angles)) ** 2
            for band in range(bands):
                low, middle, high = edges[band : band + 3]
                row[band] += max(0.0, min((f - low) / (middle - low), (high - f) / (high - middle))) * energy
        found.append(np.log(row + 1e-6))
    return np.array(found)


@pytest.mark.parametrize(("rate", "bands"), [(2000, 8), (3000, 11)])
def test_frames_are_those_of_the_formula(rate, bands):
    x = np.random.default_rng(rate).standard_normal(round(0.06 * rate)) / 4
    made = LogMel(rate, bands)(torch.from_numpy(x)[:, None])[:, 0]
    expected = by_formula(x, rate, bands)
    assert made.shape == expected.shape == (int(LogMel(rate, bands).frames(torch.tensor(len(x)))), bands)
    assert np.abs(made.numpy() - expected).max() < 1e-8


def test_spectra_in_pieces_are_those_of_the_whole(monkeypatch):
    x = torch.randn(40_000, 3, dtype=torch.double)
    whole = LogMel(2000, 8)(x)
    monkeypatch.setattr("unrolled.tasks.transcribe.features._AT_ONCE", 50)
    assert (LogMel(2000, 8)(x) - whole).abs().max() < 1e-12


def test_a_band_that_is_empty_in_training_does_not_drown_the_others():
    """As above 3.5 kHz, where all recordings are those of a telephone."""
    random, t = np.random.default_rng(0), np.arange(16_000) / 16_000
    loudness = np.exp(-4 * np.sin(2 * np.pi * 3 * t) ** 2)

    def sound(highest):
        spectrum = np.fft.rfft(random.standard_normal(len(t)))
        spectrum[np.fft.rfftfreq(len(t), 1 / 16_000) > highest] = 0
        return (4000 * loudness * np.fft.irfft(spectrum)).astype(np.int16)

    spectra = choices.fitted(LogMel(16_000, 40), [sound(3500) for _ in range(5)])
    low, wide = (
        spectra(torch.from_numpy(sound(highest) / 32768).float()[:, None])[50:, 0] for highest in (3500, 8000)
    )
    assert 0.5 < low[:, 5:25].std() < 1.5
    assert wide[:, 5:25].std() / wide[:, 36:].abs().max() > 0.1  # it was 0.01


def test_a_tone_is_loudest_in_its_band():
    mel = LogMel(8000, 40)
    t = torch.arange(8000) / 8000
    loudest = [int(mel(torch.sin(2 * math.pi * f * t)[:, None]).mean((0, 1)).argmax()) for f in (300, 1000, 3000)]
    assert loudest[0] < loudest[1] < loudest[2]


def test_silence_and_short_sounds_have_finite_frames():
    mel = LogMel(8000, 20)
    for samples in (1, 100, 199, 200, 201):
        y = mel(torch.zeros(samples, 1))
        assert y.shape == (1, 1, 20) and torch.isfinite(y).all()


def spectra_of(bands):
    random = np.random.default_rng(1)
    mean, scale = random.standard_normal(bands) - 4, random.uniform(0.5, 2, bands)
    return Spectra(LogMel(8000, bands), mean.astype(np.float32), scale.astype(np.float32))


def test_frames_are_less_the_mean_so_far():
    """One frame at a time; what follows in the padding changes nothing."""
    spectra, x = spectra_of(12), torch.randn(2000, 2) / 4
    z = (spectra.mel(x).double().numpy() - spectra.mean) / spectra.scale
    made = spectra(x)
    for t in range(len(z)):
        truth = z[t] - sum(z[: t + 1]) / (PRIOR + t + 1)
        np.testing.assert_allclose(made[t].numpy(), truth, atol=1e-4)
    padded = spectra(torch.cat([x, torch.zeros(700, 2)]))
    torch.testing.assert_close(padded[: len(made)], made)


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_pieces_have_the_frames_of_the_whole(frames):
    spectra, x = spectra_of(12), torch.randn(2000, 1) / 4
    whole, past, made = spectra(x), None, []
    size, hop = (frames - 1) * spectra.mel.hop + spectra.mel.window, spectra.mel.hop
    for start in range(0, len(x) - size + 1, frames * hop):
        some, past = spectra.after(x[start : start + size], past)
        made.append(some)
    torch.testing.assert_close(torch.cat(made), whole[: frames * len(made)])


def test_a_louder_recording_has_nearly_the_same_frames_in_time():
    """Ten times the amplitude adds a constant to every band, which the mean so far takes away."""
    spectra, x = spectra_of(12), torch.randn(80_000, 1) / 40
    soft, loud = spectra(x), spectra(10 * x)
    assert float((soft[0] - loud[0]).abs().mean()) > 10 * float((soft[-1] - loud[-1]).abs().mean())
