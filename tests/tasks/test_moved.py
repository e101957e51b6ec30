"""The same text at a new path is the same text; a changed one is not."""

import os
import shutil
from pathlib import Path

import pytest

import unrolled
from helpers import TEXT, TINY, history
from unrolled.errors import DataError, RunError, UsageError
from unrolled.tasks.text.options import TextOptions
from unrolled.tasks.text.reading import number_text


@pytest.fixture
def run(tmp_path):
    (tmp_path / "old.txt").write_text(TEXT)
    unrolled.fit(tmp_path / "old.txt", tmp_path / "run", epochs=0.5, **TINY)
    return tmp_path / "run"


def test_a_run_goes_on_with_its_text_at_a_new_path(run, tmp_path):
    straight = tmp_path / "straight"
    shutil.copytree(run, straight)
    unrolled.fit(None, straight, resume=True, epochs=0.7)
    (tmp_path / "old.txt").rename(tmp_path / "new.txt")
    before = (run / "config.toml").read_bytes()
    with pytest.raises(RunError, match=r"is no longer at .*old\.txt: give its new path, unrolled train FILE --run"):
        unrolled.fit(None, run, resume=True, epochs=0.7)
    (tmp_path / "other.txt").write_text(TEXT.replace("7", "8"))
    with pytest.raises(UsageError, match=r"was started on .*old\.txt, and .*other\.txt is not the same text"):
        unrolled.fit(tmp_path / "other.txt", run, resume=True, epochs=0.7)
    assert (run / "config.toml").read_bytes() == before
    unrolled.fit(tmp_path / "new.txt", run, resume=True, epochs=0.7)
    assert history(run)[-1]["validation"] == history(straight)[-1]["validation"]
    config = unrolled.load(run).config
    assert config["data"]["path"] == str(tmp_path / "new.txt")
    unrolled.load(run).evaluate(on="test")


def test_parts_of_a_text_that_has_moved(run, tmp_path):
    model = unrolled.load(run)
    wanted = {on: model.evaluate(on=on) for on in ("validation", "test")}
    (tmp_path / "old.txt").rename(tmp_path / "new.txt")
    with pytest.raises(DataError, match=r"no longer at .*old\.txt: give its new path, .* FILE --on test"):
        model.evaluate(on="test")
    for on, scores in wanted.items():
        assert model.evaluate(str(tmp_path / "new.txt"), on) == scores
    whole = model.evaluate(str(tmp_path / "new.txt"))
    assert whole["scored"] == len(TEXT) - 1
    (tmp_path / "new.txt").write_text(TEXT + "1")
    with pytest.raises(UsageError, match=r"--on test: .*new\.txt is not the text that this run was trained on"):
        model.evaluate(str(tmp_path / "new.txt"), "test")
    (tmp_path / "new.txt").rename(tmp_path / "old.txt")
    with pytest.raises(DataError, match="has changed since"):
        model.evaluate(on="test")


def test_a_passage_of_the_runs_own_text_is_of_its_validation_part(run, tmp_path):
    model = unrolled.load(run)
    wanted = model.evidence()
    (tmp_path / "old.txt").rename(tmp_path / "new.txt")
    assert "no longer at" in model.evidence().notes[0]
    moved = model.evidence(str(tmp_path / "new.txt"))
    assert moved.origin == wanted.origin == "the run's validation part"
    assert moved.labels == wanted.labels


def folder_of(path: Path, files: dict[str, str]) -> str:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(content)
    return str(path)


def test_the_fingerprint_is_of_names_and_contents_wherever_they_lie(tmp_path):
    files = {"a.txt": "one\n", "b/c.txt": "two\n"}
    options = TextOptions()

    def fingerprint(name, files):
        return number_text(folder_of(tmp_path / name, files), options)[2]

    known = fingerprint("here", files)
    assert fingerprint("there/deep", files) == known
    for name, changed in {
        "renamed": {"a.txt": "one\n", "b/d.txt": "two\n"},
        "moved": {"a.txt": "one\n", "c.txt": "two\n"},
        "shifted": {"a.txt": "one\nt", "b/c.txt": "wo\n"},
        "changed": {"a.txt": "one\n", "b/c.txt": "twO\n"},
        "more": files | {"b/e.txt": ""},
    }.items():
        assert fingerprint(name, changed) != known, name
    os.utime(tmp_path / "here" / "a.txt", (0, 0))
    assert fingerprint("here", files) == known


def test_a_folder_that_has_moved_or_lost_a_name(tmp_path):
    half = len(TEXT) // 2
    files = {"a.txt": TEXT[:half], "b.txt": TEXT[half:]}
    folder_of(tmp_path / "old", files)
    unrolled.fit(tmp_path / "old", tmp_path / "run", epochs=0.3, **TINY)
    (tmp_path / "old").rename(tmp_path / "new")
    folder_of(tmp_path / "renamed", {"a.txt": TEXT[:half], "c.txt": TEXT[half:]})
    with pytest.raises(UsageError, match="is not the same text"):
        unrolled.fit(tmp_path / "renamed", tmp_path / "run", resume=True, epochs=0.5)
    unrolled.fit(tmp_path / "new", tmp_path / "run", resume=True, epochs=0.5)
    assert history(tmp_path / "run")[-1]["event"] == "finished"


def test_begun_without_a_checkpoint_on_a_text_that_has_moved_or_changed(run, tmp_path):
    (run / "resume.safetensors").unlink()
    (tmp_path / "old.txt").rename(tmp_path / "new.txt")
    with pytest.raises(RunError, match="give its new path"):
        unrolled.fit(None, run, resume=True)
    (tmp_path / "other.txt").write_text(TEXT.replace("7", "8"))
    with pytest.raises(UsageError, match="is not the same text"):
        unrolled.fit(tmp_path / "other.txt", run, resume=True)
    unrolled.fit(tmp_path / "new.txt", run, resume=True)
    assert unrolled.load(run).config["data"]["path"] == str(tmp_path / "new.txt")
