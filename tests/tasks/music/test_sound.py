"""WAV: as long as the music, at its pitch, never clipped; and where no sound can be made, why."""

import io
import shutil
import wave

import numpy as np
import pytest

from soundfonts import RATE, sine
from unrolled.errors import UsageError
from unrolled.tasks.music import sound
from unrolled.tasks.music.notes import score_of_roll
from unrolled.tasks.music.shown import shown
from unrolled.tasks.music.sound import soundfont, wav

pytest.importorskip("symusic")
PLAYER = pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="needs the program fluidsynth")


@pytest.fixture
def font(tmp_path):
    file = tmp_path / "sine.sf2"
    file.write_bytes(sine())
    return file


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A system without SoundFonts, and the folder where this person's could be."""
    monkeypatch.setattr(sound, "_SHARED", "")
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path / "shared"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "own"))
    return tmp_path


def heard(content):
    """The samples (n, 2) from -1 to 1."""
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2) / 32_768


def roll(*keys, steps=8):
    made = np.zeros((steps, 88), dtype=np.uint8)
    made[:, list(keys)] = 1
    return made


@PLAYER
@pytest.mark.parametrize("tempo", [60.0, 120.0])
def test_a_note_is_heard_as_long_and_as_high_as_it_is(font, tempo):
    content, silent = wav(score_of_roll(roll(48), 1, tempo), font)  # A4
    samples, seconds = heard(content), 8 * 60 / tempo
    assert not silent and seconds <= len(samples) / RATE < seconds + 5
    loud = np.flatnonzero(np.abs(samples[:, 0]) > 0.3)
    assert loud[0] / RATE < 0.05 and seconds - 0.1 < loud[-1] / RATE < seconds + 0.1
    assert np.abs(np.fft.rfft(samples[RATE : 2 * RATE, 0])).argmax() == 440


@PLAYER
def test_music_is_loud_and_does_not_clip(font):
    for keys in (range(40, 41), range(20, 80)):
        samples = np.abs(heard(wav(score_of_roll(roll(*keys, steps=2), 1, 100.0, velocity=127), font)[0]))
        assert 0.89 < samples.max() < 0.91


@PLAYER
def test_the_systems_own_soundfont_plays():
    font = soundfont(None)
    if font is None:
        pytest.skip("no SoundFont is installed")
    assert heard(wav(score_of_roll(roll(39, 43, 46), 1, 100.0), font)[0]).any()


@pytest.mark.parametrize("place", ["own/soundfonts", "own/sounds/sf2", "shared/sounds/sf3", "shared/fluid-synth/sf2"])
def test_soundfonts_are_found_where_they_lie(bare, font, place):
    assert soundfont(None) is None
    (bare / place).mkdir(parents=True)
    (bare / place / "default.sf2").write_bytes(font.read_bytes()[:900])  # a damaged one is passed over
    (bare / place / "other.sf2").write_bytes(font.read_bytes())
    assert soundfont(None) == bare / place / "other.sf2"


def test_without_a_soundfont_a_note_says_so(bare):
    made = shown(score_of_roll(roll(40), 1, 100.0), 0.0, soundfont(None))
    assert [one.suffix for one in made.beside] == [".png"]
    assert made.note.startswith("no WAV: a SoundFont is missing (apt install fluidsynth fluid")


def test_without_the_program_a_note_says_so(font, monkeypatch):
    monkeypatch.setenv("PATH", "")
    content, silent = wav(score_of_roll(roll(40), 1, 100.0), font)
    assert not content and silent.startswith("the program fluidsynth is missing (apt install fluidsynth fluid")
    with pytest.raises(UsageError, match="--soundfont: the program fluidsynth plays it: install that"):
        soundfont(str(font))


@pytest.mark.parametrize("content", [b"", b"hello", sine()[:900]])
def test_a_damaged_soundfont_is_one_sentence(tmp_path, content):
    (tmp_path / "it.sf2").write_bytes(content)
    with pytest.raises(UsageError, match=r"--soundfont: .*it.sf2 is no SoundFont, or a damaged one"):
        soundfont(str(tmp_path / "it.sf2"))
    with pytest.raises(UsageError, match="--soundfont: there is no file"):
        soundfont(str(tmp_path / "nowhere.sf2"))


@PLAYER
def test_damage_that_only_the_player_finds_is_a_note(tmp_path):
    (tmp_path / "it.sf2").write_bytes(sine().replace(b"phdr", b"xxxx"))
    content, silent = wav(score_of_roll(roll(40), 1, 100.0), tmp_path / "it.sf2")
    assert not content and silent.startswith(f"fluidsynth cannot play {tmp_path / 'it.sf2'}: ")


@PLAYER
def test_hours_of_music_stay_without_sound(font):
    score = score_of_roll(roll(40, steps=400), 1, 10.0)
    assert wav(score, font) == (b"", "the music lasts 40 minutes, and sound is made of 20 at most")
