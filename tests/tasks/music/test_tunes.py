"""ABC as scores: nothing of the parser's reaches the terminal, and what is wrong is one sentence."""

import pytest

from unrolled.errors import DataError
from unrolled.tasks.music.tunes import score_of_tune

pytest.importorskip("symusic")
HEAD = "X:1\nT:Tune\nL:1/4\nK:C\n"


@pytest.fixture(autouse=True)
def silence(capfd):
    """What the test writes is still seen; the parser writes nothing."""
    print("before", flush=True)
    yield
    print("after", flush=True)
    assert capfd.readouterr() == ("before\nafter\n", "")


def test_a_tune_is_read():
    score, wrong = score_of_tune(HEAD + "CDEF|GABc|]\n", "it")  # the parser warns: no line M:
    assert [note.pitch for note in score.tracks[0].notes] == [60, 62, 64, 65, 67, 69, 71, 72] and not wrong


def test_a_mistake_is_named():
    score, wrong = score_of_tune(HEAD + "[C[EG]]|CD|]\n", "it")
    assert score.note_num() and wrong.startswith("line 5: Attempt to nest chords")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("X:1\nT:Tune\nCDEF\n", "it is not a tune in ABC notation: line 4: No valid K: field found"),
        ("hello", "it is not a tune in ABC notation: line 2: No tune processed"),
        (HEAD, "it has no notes"),
    ],
)
def test_what_is_no_tune_is_one_sentence(text, message):
    with pytest.raises(DataError) as caught:
        score_of_tune(text, "it")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
