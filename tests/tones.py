"""Recordings for tests: each letter of a text is a tone of its own pitch."""

import numpy as np

RATE = 8000
PITCH = {"a": 400, "b": 900, "c": 1900}


def tones(text, seed=0, rate=RATE):
    """Each letter for about 80 ms, with short pauses, over soft noise."""
    random = np.random.default_rng(seed)
    pieces = [np.zeros(int(0.03 * rate))]
    for letter in text:
        t = np.arange(int(random.uniform(0.06, 0.1) * rate)) / rate
        pieces += [random.uniform(0.1, 0.5) * np.sin(2 * np.pi * PITCH[letter] * t), np.zeros(int(0.03 * rate))]
    sound = np.concatenate(pieces)
    return sound + 1e-3 * random.standard_normal(len(sound))


def write(path, sound, rate=RATE):
    """A WAV file."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as stream:  # whatever its name
        soundfile.write(stream, sound, rate, format="WAV")
