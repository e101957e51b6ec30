"""The run folder: whole or not at all, checked when read."""

import errno
import json
import os
import stat

import numpy as np
import pytest

from unrolled.errors import RunError, UsageError
from unrolled.runs import files
from unrolled.runs.arrays import read_about, read_arrays, write_arrays
from unrolled.runs.files import append_line, write_atomically
from unrolled.runs.folder import FORMAT, RunFolder, find_runs

ARRAYS = {
    "w": np.arange(6, dtype=np.float32).reshape(2, 3),
    "n": np.array(3),
    "random": np.zeros(5, np.uint8),
}


CONFIG = {"task": "text", "options": {}, "model": {}, "training": {}, "data": {"path": "input.txt"}}


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(CONFIG | {"training": {"lr": 0.1, "epochs": None}})
    return folder


def test_arrays_and_json_come_back(tmp_path):
    path = tmp_path / "a.safetensors"
    write_arrays(path, ARRAYS, {"update": 3, "loss": 0.1 + 0.2})
    arrays, about = read_arrays(path)
    assert about == {"update": 3, "loss": 0.1 + 0.2}
    assert read_about(path) == about
    for name, array in ARRAYS.items():
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(arrays[name], array)


def test_every_cut_and_every_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    write_arrays(path, ARRAYS, {"update": 3})
    content = path.read_bytes()
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        with pytest.raises(RunError, match="damaged"):
            read_arrays(path)
    for place in range(len(content)):
        altered = bytearray(content)
        altered[place] ^= 1
        path.write_bytes(altered)
        try:
            arrays, about = read_arrays(path)
        except RunError:
            continue
        # a byte that means nothing (white space that pads the header) may change; no content may
        assert about == {"update": 3}
        assert all(np.array_equal(arrays[name], ARRAYS[name]) for name in ARRAYS)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RunError, match="no space left on the disk"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="folders are not synced")
def test_content_is_synced_before_its_name_and_the_folder_after(tmp_path, monkeypatch):
    """What a loss of power leaves is the old file or the new one, too."""
    done, replace = [], os.replace

    def synced(handle):
        about = os.fstat(handle)
        done.append("folder" if stat.S_ISDIR(about.st_mode) else about.st_size)

    def renamed(*paths):
        done.append("renamed")
        replace(*paths)

    monkeypatch.setattr(files.os, "fsync", synced)
    monkeypatch.setattr(files.os, "replace", renamed)
    write_atomically(tmp_path / "file", b"ne", b"w")
    assert done == [3, "renamed", "folder"]
    append_line(tmp_path / "file", "line")
    files.sync(tmp_path / "file")
    assert done[3:] == [8]


def test_a_really_full_disk():
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    from pathlib import Path

    with pytest.raises(RunError, match="no space left on the disk"):
        append_line(Path("/dev/full"), "x" * 100_000)


def test_config(run):
    config = run.config()
    assert config["format"] == FORMAT
    assert config["training"] == {"lr": 0.1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("format = 99\nunrolled = '9.0'\ntask = 'text'", "written by a newer unrolled"),
        ("format = ", "damaged"),
        ("task = 'text'", "the format or the task is missing"),
        (f"format = {FORMAT}\ntask = 'text'", "a section is missing"),
        ("format = 1\ntask = 'text'", f"has format 1 .* reads format {FORMAT}: train the run again"),
        ("\udcff", "damaged"),
    ],
)
def test_configs_that_cannot_be_read(run, content, message):
    (run.path / "config.toml").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(RunError, match=message):
        run.config()


def test_sections_that_do_not_fit_are_damage(run):
    from unrolled.training.options import TrainingOptions

    assert run.options(TrainingOptions, "training").lr == 0.1
    for content in ("lr = 'fast'", "lr = -1.0", "lrr = 0.1"):
        head = f"format = {FORMAT}\ntask = 'text'\n[options]\nwidth = 3\n[model]\n[data]\npath = 'a'\n"
        text = f"{head}[training]\n{content}\n"
        (run.path / "config.toml").write_text(text)
        with pytest.raises(RunError, match=r"damaged: section \[training\]"):
            run.options(TrainingOptions, "training")
    with pytest.raises(RunError, match=r"damaged: section \[text\]"):
        run.options(TrainingOptions, "text")


def test_no_run_folder(tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        RunFolder(tmp_path).config()
    with pytest.raises(RunError, match="not a run folder"):
        RunFolder(tmp_path / "nowhere").config()


def test_side_files(run):
    run.write_json("vocabulary.json", {"a": "é"})
    assert run.read_json("vocabulary.json") == {"a": "é"}
    for damaged in ('{"a"', "[" * 200_000):
        (run.path / "vocabulary.json").write_text(damaged)
        with pytest.raises(RunError, match="damaged"):
            run.read_json("vocabulary.json")
    with pytest.raises(RunError, match="missing"):
        run.read_json("other.json")


def test_weights_that_are_not_there(run):
    with pytest.raises(RunError, match="has no weights yet"):
        run.read_model()


def test_history_is_cut_at_the_checkpoint_and_forgives_a_last_line_cut_short(run):
    run.append_history({"update": 1})
    size = run.history_size
    run.append_history({"update": 2})
    with open(run.path / "history.jsonl", "a") as file:
        file.write('{"upd')
    assert run.history() == [{"update": 1}, {"update": 2}]
    run.cut_history(size)
    assert run.history() == [{"update": 1}]
    (run.path / "history.jsonl").write_text('{"update": 1}\nnonsense\n{"update": 3}\n')
    with pytest.raises(RunError, match="damaged at line 2"):
        run.history()


def test_folders_that_are_taken(run, tmp_path):
    with pytest.raises(RunError, match="unfinished run: name another folder, or continue with --resume"):
        run.check_free()
    run.write_checkpoint(ARRAYS, {"finished": True})
    with pytest.raises(RunError, match="holds a finished run"):
        run.check_free()
    (tmp_path / "other").mkdir()
    RunFolder(tmp_path / "other").check_free()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(UsageError, match="holds other files"):
        RunFolder(tmp_path / "other").check_free()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="this is a file"), RunFolder(tmp_path / "file").locked():
        pass


def test_two_processes_cannot_train_in_one_folder(run):
    with run.locked(), pytest.raises(RunError, match="another process"), RunFolder(run.path).locked():
        pass
    with run.locked():
        pass


def test_who_may_not_train_takes_no_folder_away(tmp_path):
    """An empty folder, whose run is still being read: without it, a third process would find nobody there."""
    run = RunFolder(tmp_path / "a")
    with run.locked():
        for _ in range(2):
            with pytest.raises(RunError, match="another process"), RunFolder(run.path).locked():
                pass
            assert run.path.is_dir()
    assert not run.path.exists()


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_goes_while_it_is_taken_is_made_again(tmp_path, monkeypatch, again):
    """Whoever held it removes it between its opening and its lock, and perhaps makes another one of its name."""
    fcntl = pytest.importorskip("fcntl")
    run, flock, taken = RunFolder(tmp_path / "a"), fcntl.flock, []

    def slow(handle, operation):
        if not taken:
            run.path.rmdir()
            if again:
                run.path.mkdir()
        taken.append(handle)
        return flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", slow)
    with run.locked():
        assert len(taken) == 2 and run.path.is_dir()
        with pytest.raises(RunError, match="another process"), RunFolder(run.path).locked():
            pass


def test_an_empty_folder_goes_again(tmp_path):
    with RunFolder(tmp_path / "a").locked():
        assert (tmp_path / "a").is_dir()
    assert not (tmp_path / "a").exists()


def test_find_runs(run, tmp_path):
    deep = RunFolder(tmp_path / "more" / "deep")
    deep.create(CONFIG)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "config.toml").write_text("title = 'no run'")
    assert [r.path for r in find_runs(tmp_path)] == [deep.path, run.path]
    with pytest.raises(UsageError, match="there is no folder"):
        find_runs(tmp_path / "nowhere")


def test_files_are_readable_by_others(run):
    """The weights are ordinary safetensors, the vocabulary ordinary JSON."""
    from safetensors.numpy import load_file

    run.write_model(ARRAYS, {"update": 1})
    assert set(load_file(run.path / "model.safetensors")) == set(ARRAYS)
    run.append_history({"update": 1})
    assert json.loads((run.path / "history.jsonl").read_text()) == {"update": 1}


def test_links_in_a_folder_from_elsewhere_are_not_written_through(run, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (run.path / "history.jsonl").symlink_to(victim)
    with pytest.raises(RunError, match="cannot write"):
        run.append_history({"update": 1})
    for name in (".model.safetensors.part", "model.safetensors"):
        (run.path / name).symlink_to(victim)
    run.write_model(ARRAYS, {})
    assert not (run.path / "model.safetensors").is_symlink()
    assert victim.read_text() == "precious"


def test_history_is_json_whatever_the_numbers(run):
    run.append_history({"loss": float("nan"), "validation": {"loss": float("inf")}})
    assert run.history() == [{"loss": None, "validation": {"loss": None}}]
