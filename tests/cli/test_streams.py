"""Streams of any encoding and files of any name: what cannot be written is replaced, and no run ends for it."""

import io
import math
import os
import sys

import click
import pytest

import unrolled
from tones import tones, write
from unrolled.cli.main import app, main

TEXT = "“Größe” – é 日本 ß, ☃; ‘naïve’ │ 👍🏽\n" * 60
ENCODINGS = ("ascii", "latin-1", "cp1252", "cp437", "shift_jis", "utf-8")
ODD = os.fsdecode(b"n\xe9 \xff")
"""A name that is not UTF-8."""
TINY = {"epochs": 1.0, "hidden": 8, "batch": 2, "bptt": 10, "threads": 1}


class Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a text, a run and pictures, all of odd names."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("odd")
    (folder / f"{ODD}.txt").write_text(TEXT, encoding="utf-8")
    (folder / "ring.txt").write_text("0 1\n1 2\n2 0\n")
    before = os.getcwd()
    os.chdir(folder)
    try:
        unrolled.fit(f"{ODD}.txt", ODD, quiet=True, **TINY)
        unrolled.fit(f"{ODD}.txt", "bytes", quiet=True, units="bytes", **TINY)
        rows = "".join(f"“{'é日' if k % 2 else 'ßz'}” {k},{'größer' if k % 2 else '日本'}\n" for k in range(20))
        (folder / "labels.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
        sizes = {"epochs": 1.0, "hidden": 4, "batch": 4, "threads": 1, "quiet": True}
        unrolled.fit("labels.csv", "labelled", task="classify", **sizes)
        waves = "".join(f"{1900 + k // 12}-{k % 12 + 1:02}-01,{50 + 9 * math.sin(k)}\n" for k in range(150))
        (folder / "waves.csv").write_text(f"Größe 日,☃\n{waves}", encoding="utf-8")
        unrolled.fit("waves.csv", "waves", task="series", horizon=3, **sizes)
        for k in range(6):
            write(folder / "sounds" / f"{k}{ODD}.wav", tones("ab"))
            (folder / "sounds" / f"{k}{ODD}.txt").write_text("é日" if k % 2 else "“☃”", encoding="utf-8")
        unrolled.fit("sounds", "heard", direction="forward", **sizes)
        (folder / "pictures").mkdir()
        named = ["path,caption"]
        for k in range(8):
            Image.new("RGB", (16, 16), (250 * (k % 2), 20, 90)).save(folder / "pictures" / f"{k}{ODD}.png")
            named.append(f"{k}{ODD}.png,{'“☃”' if k % 2 else 'é 日'} ist größer")
        text = "\n".join(named).encode("utf-8", "surrogateescape")
        (folder / "pictures" / "captions.csv").write_bytes(text)
        unrolled.fit("pictures", "seen", task="caption", size=16, **sizes)
        (folder / f"{ODD}.fa").write_text(">“日”\n" + "ACGGT" * 20 + "\n", encoding="utf-8")
        levels = "".join(f"{base}\t{60 + 9 * k}\t1\n" for k, base in enumerate("ACGT"))
        (folder / f"{ODD}.tsv").write_text("kmer\tlevel_mean\tlevel_stdv\n" + levels)
        for k in (0, 1):
            Image.effect_noise((8, 8), 90 + k).save(f"{k}{ODD}.png")
        assert command("hopfield", "store", f"0{ODD}.png", f"1{ODD}.png", "-o", f"m{ODD}")[0] == 0
    finally:
        os.chdir(before)
    return folder


def command(*arguments, encoding="utf-8", errors="strict", kind=io.TextIOWrapper):
    """A command's status, and the bytes it wrote to both streams."""
    streams = [kind(io.BytesIO(), encoding=encoding, errors=errors) for _ in range(2)]
    before = sys.stdout, sys.stderr, sys.argv
    sys.stdout, sys.stderr, sys.argv = *streams, ["unrolled", *map(str, arguments)]
    try:
        main()
        status = 0
    except SystemExit as stop:
        status = stop.code or 0
    finally:
        sys.stdout, sys.stderr, sys.argv = before
    for stream in streams:
        stream.flush()
    return status, *(stream.buffer.getvalue() for stream in streams)


LAB = ("elman-xor", "--cell", "elman", "--seeds", 1, "--jobs", 1, "--out")
CALLS = {
    "train": [(f"{ODD}.txt", "--run", "{new}", "--epochs", 0.3, "--hidden", 8, "--batch", 2, "--bptt", 10)],
    "sample": [(ODD, "--length", 40), ("bytes", "--length", 40), (ODD, "--prime", "日"), (ODD, "--prime", "ж\udce9")],
    "forecast": [("waves", "--out", "{new}.csv"), (f"{ODD}.missing",)],
    "classify": [("labelled", "labels.csv"), ("labelled", f"{ODD}.missing"), (ODD, f"{ODD}.missing")],
    "transcribe": [("heard", f"sounds/0{ODD}.wav"), ("heard", "sounds"), ("heard", f"sounds/1{ODD}.wav", "--stream")],
    "basecall": [("heard", f"{ODD}.missing", "-o", "{new}"), (ODD, f"{ODD}.missing", "-o", "{new}")],
    "simulate reads": [
        ("--genome", f"{ODD}.fa", "--levels", f"{ODD}.tsv", "-n", 2, "--length", 9, "--out", "{new}"),
        ("--genome", f"{ODD}.missing", "--levels", f"{ODD}.tsv", "-n", 2, "--out", "{new}"),
    ],
    "caption": [
        ("seen", f"pictures/0{ODD}.png"),
        ("seen", "pictures"),
        ("seen", f"{ODD}.missing"),
        (ODD, f"{ODD}.missing"),
    ],
    "simulate scenes": [("-n", 3, "--out", "{new}"), ("-n", 3, "--out", f"{ODD}.txt")],
    "evaluate": [(ODD,), (ODD, f"{ODD}.txt"), ("bytes",), (f"{ODD}.missing",), (ODD, "ring.txt")],
    "score": [(ODD, "--text", "“é日ж\udce9”", "--each"), ("bytes", "--text", "é\udce9", "--each")],
    "inspect": [(ODD, "--out", "{new}")],
    "runs": [(), (f"{ODD}.missing",)],
    "doctor": [()],
    "lesson hello": [()],
    "lesson gradients": [],  # slow; it prints what a test below holds to letters of ASCII
    "lab": [()],
    "hopfield store": [(f"0{ODD}.png", "-o", "{new}"), (f"{ODD}.png",)],
    "hopfield recall": [(f"m{ODD}", f"0{ODD}.png", "-o", "{new}"), (f"{ODD}.txt", f"0{ODD}.png")],
    "hopfield capacity": [("--units", 10, "--trials", 2, "--rule", "hebb", "-o", "{new}.png")],
    "hopfield tsp": [("--cities", 4, "--starts", 2, "-o", "{new}.png")],
    "hopfield maxcut": [("ring.txt", "--starts", 2), (f"{ODD}.txt",)],
}


def verbs(group, before=()):
    for name, verb in group.commands.items():
        yield from verbs(verb, (*before, name)) if isinstance(verb, click.Group) else [" ".join((*before, name))]


def test_every_verb_is_tried():
    assert set(CALLS) == set(verbs(app))


@pytest.mark.parametrize("verb", [verb for verb, calls in CALLS.items() if calls])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_run_ends_for_a_letter(place, tmp_path, monkeypatch, encoding, verb):
    if verb in ("inspect", "train") and encoding not in ("ascii", "cp1252"):
        pytest.skip("these take long, and two encodings show it")
    monkeypatch.chdir(place)
    for k, call in enumerate(CALLS[verb]):
        kind = Terminal if verb in ("train", "sample") and encoding in ("ascii", "cp437") else io.TextIOWrapper
        told = [str(part).format(new=tmp_path / f"{k}{ODD}") for part in call]
        status, out, err = command(*verb.split(), *told, encoding=encoding, kind=kind)
        assert b"Traceback" not in err and status in (0, 1, 2), (call, err)
        assert out or err
        expected = 0 if not any(s in " ".join(told) for s in ("missing", "ж", f" {ODD}.txt", "\x00")) else status
        if verb not in ("hopfield store", "hopfield recall", "hopfield maxcut"):
            assert status == expected, (call, err)
        out.decode(encoding)  # and what is written is of that encoding


@pytest.mark.parametrize("errors", ["strict", "surrogateescape", "replace", "backslashreplace"])
def test_what_a_stream_does_with_errors(place, monkeypatch, errors):
    monkeypatch.chdir(place)
    status, out, err = command("sample", ODD, "--prime", "日本", "--length", 0, encoding="ascii", errors=errors)
    assert (status, err) == (0, b"")
    assert out.strip() == (rb"\u65e5\u672c" if errors == "backslashreplace" else b"??")


def test_lessons_are_plain_letters():
    import inspect

    from unrolled.cli import lesson_gradients

    assert inspect.getsource(lesson_gradients).isascii()


def test_a_run_of_odd_names_can_be_used_and_resumed(place, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    model = unrolled.load(ODD)
    assert model.config["data"]["path"] == str(place / f"{ODD}.txt")
    assert model.evaluate(on="test")["scored"] > 10
    assert b"n\xe9 \xff" in (place / ODD / "config.toml").read_bytes()
    told = []
    unrolled.fit(f"{ODD}.txt", ODD, resume=True, listen=told.append)
    assert told[0]["event"] == "already finished"


def test_raw_bytes_and_a_stop_of_bytes(tmp_path, monkeypatch):
    """Latin-1 text, learnt by bytes: é is one byte, which is no UTF-8."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.txt").write_bytes(("né été " * 400).encode("latin-1"))
    unrolled.fit("latin.txt", "run", quiet=True, units="bytes", **TINY | {"epochs": 8.0, "hidden": 16})
    whole = command("sample", "run", "--length", 200, "--raw", "--temperature", 0, "--prime", "n")[1]
    assert b"\xe9" in whole and len(whole) == 201 and "\ufffd".encode() not in whole
    text = command("sample", "run", "--length", 200, "--temperature", 0, "--prime", "n")[1].decode()
    assert text == whole.decode("utf-8", "replace") + "\n"
    stop = os.fsdecode(b"\xe9")
    ended = command("sample", "run", "--length", 200, "--raw", "--temperature", 0, "--prime", "n", "--stop", stop)[1]
    assert ended == whole[: whole.index(b"\xe9", 1)]
    assert command("sample", "run", "--raw", kind=Terminal)[0] == 2
    model = unrolled.load("run")
    assert b"".join(model.stream_bytes(200, "n", temperature=0)) == whole
