"""Where commands write: files, packed files, standard output."""

import gzip
import io
import math
import sys
from contextlib import suppress

import pytest

import unrolled
from helpers import TINY
from unrolled.cli.output import STDOUT, put, written
from unrolled.errors import RunError, UsageError


class Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


def fitted(folder, name, rows, **settings):
    """A folder with a table, and a small run on it."""
    (folder / name).write_text("\n".join(rows) + "\n")
    sizes = {"epochs": 1.0, "hidden": 4, "batch": 4, "threads": 1, "quiet": True}
    unrolled.fit(folder / name, folder / "run", **sizes, **settings)
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    rows = (f"{'ab' if k % 2 else 'ba'} {k},{'x' if k % 2 else 'y'}" for k in range(20))
    return fitted(tmp_path_factory.mktemp("labelled"), "labels.csv", ["text,label", *rows], task="classify")


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    rows = (f"{1900 + k // 12}-{k % 12 + 1:02}-01,{50 + 9 * math.sin(k):.3f}" for k in range(150))
    settings = {"task": "series", "horizon": 3}
    return fitted(tmp_path_factory.mktemp("waves"), "waves.csv", ["month,wave", *rows], **settings)


def test_a_file_is_whole_or_as_before(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("before")
    with suppress(KeyError), written(str(file)) as write:
        write("half")
        raise KeyError
    assert file.read_text() == "before" and list(tmp_path.iterdir()) == [file]
    with written(str(file)) as write:
        write("text \udcff, ")
        write(b"\xff")
    assert file.read_bytes() == b"text ?, \xff"
    with pytest.raises(RunError, match="cannot write"), written(str(tmp_path / "none" / "a")) as write:
        write("x")


@pytest.mark.parametrize("name", ["a.txt.gz", "b.GZ"])
def test_a_packed_file_is_the_same_bytes_each_time(tmp_path, name):
    made = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        with written(str(folder / name)) as write:
            write("some text")
        assert [file.name for file in folder.iterdir()] == [name]
        made.append((folder / name).read_bytes())
    assert made[0] == made[1] and gzip.decompress(made[0]) == b"some text"


def test_a_terminal_gets_text_without_orders_and_no_bytes(monkeypatch):
    terminal = Terminal(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", terminal)
    with written(STDOUT) as write:
        write("a\x1b[31mb")
        with pytest.raises(UsageError, match="write them to a file with --out FILE"):
            write(b"MThd")
    terminal.flush()
    assert terminal.buffer.getvalue() == "a\ufffd[31mb".encode()


def test_text_and_bytes_come_in_their_order(capsysbinary):
    put("one ")
    put(b"two ")
    put("three")
    assert capsysbinary.readouterr().out == b"one two three"


def test_answers_are_printed_written_and_packed(cli, labelled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call = ("classify", labelled / "run", labelled / "labels.csv")
    printed = cli(*call)[1]
    assert printed.count("\n") == 21
    assert cli(*call, "--out", "-") == (0, printed, "")
    assert cli(*call, "--out", "a.csv") == (0, "wrote a.csv\n", "")
    assert cli(*call, "--out", "a.csv.gz") == (0, "wrote a.csv.gz\n", "")
    assert {file.name for file in tmp_path.iterdir()} == {"a.csv", "a.csv.gz"}
    assert (tmp_path / "a.csv").read_text() == printed
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()).decode() == printed


def test_answers_are_written_as_they_come(cli, labelled, tmp_path, monkeypatch):
    """A row is with the file before many more are asked for."""
    from unrolled.tasks.trained import Trained
    from unrolled.training.task import Answers

    sizes = []

    def rows():
        for k in range(3):
            (beside,) = tmp_path.iterdir()
            sizes.append(beside.stat().st_size)
            yield (f"{k}" * 200_000, "x")

    monkeypatch.setattr(Trained, "classify", lambda self, data: Answers(("name", "label"), rows()))
    status, *_ = cli("classify", labelled / "run", labelled / "labels.csv", "--out", tmp_path / "a.csv")
    assert status == 0 and sizes[0] < sizes[1] < sizes[2]


def test_a_sample_of_text_is_printed_and_packed(cli, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unrolled.fit(text, "run", epochs=0.1, **TINY)
    printed = cli("sample", "run", "--length", 30)[1]
    assert cli("sample", "run", "--length", 30, "--out", "-") == (0, printed, "")
    assert cli("sample", "run", "--length", 30, "--out", "a.txt.gz")[1] == "wrote a.txt.gz\n"
    assert gzip.decompress((tmp_path / "a.txt.gz").read_bytes()).decode() == printed.removesuffix("\n")
    assert {file.name for file in tmp_path.iterdir()} == {"run", "a.txt.gz"}


def test_pictures_are_drawn_of_data_from_a_pipe(cli, waves, tmp_path, monkeypatch):
    """The pipe is empty behind the scores."""
    with open(waves / "waves.csv", "rb") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        status, _, err = cli("evaluate", waves / "run", "-", "--pictures", tmp_path / "pictures")
    assert (status, err) == (0, "") and (tmp_path / "pictures" / "forecasts.png").is_file()


def test_pictures_of_a_file_that_is_called_like_a_part(cli, waves, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test").write_text((waves / "waves.csv").read_text().replace("1900", "1899"))
    status, _, err = cli("evaluate", waves / "run", "test", "--pictures", "pictures")
    assert (status, err) == (0, "") and (tmp_path / "pictures" / "forecasts.png").is_file()


def test_a_forecast_is_printed_and_packed_with_a_picture_beside_it(cli, waves, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, printed, _ = cli("forecast", waves / "run")
    assert status == 0 and printed.count("\n") == 4
    assert cli("forecast", waves / "run", "--out", "-")[:2] == (0, printed)
    assert cli("forecast", waves / "run", "--out", "next.csv.gz")[1] == "wrote next.csv.gz\nwrote next.png\n"
    assert gzip.decompress((tmp_path / "next.csv.gz").read_bytes()).decode() == printed
    assert {file.name for file in tmp_path.iterdir()} == {"next.csv.gz", "next.png"}
