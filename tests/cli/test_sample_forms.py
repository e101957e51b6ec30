"""What `unrolled sample` writes of something that has several forms."""

import gzip

import pytest

from unrolled.cli.sample import _keep
from unrolled.training import Shown

TUNE = Shown("midi", b"MThd", (Shown("picture", b"PNG"), Shown("wav", b"RIFF")), "Some note.")


def unpacked(content):
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


@pytest.mark.parametrize(
    ("out", "files"),
    [
        ("tune.mid", {"tune.mid": b"MThd", "tune.png": b"PNG", "tune.wav": b"RIFF"}),
        ("tune.wav", {"tune.mid": b"MThd", "tune.png": b"PNG", "tune.wav": b"RIFF"}),
        ("tune", {"tune": b"MThd", "tune.png": b"PNG", "tune.wav": b"RIFF"}),
        (None, {"sample.mid": b"MThd", "sample.png": b"PNG", "sample.wav": b"RIFF"}),
        ("tune.mid.gz", {"tune.mid.gz": gzip.compress(b"MThd"), "tune.png": b"PNG", "tune.wav": b"RIFF"}),
        ("tune.PNG.gz", {"tune.mid.gz": gzip.compress(b"MThd"), "tune.png": b"PNG", "tune.wav": b"RIFF"}),
    ],
)
def test_every_form_has_a_file_of_the_same_name(tmp_path, monkeypatch, capsys, out, files):
    monkeypatch.chdir(tmp_path)
    _keep(TUNE, out)
    found = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert found.keys() == files.keys()
    assert all(unpacked(found[name]) == unpacked(files[name]) for name in files)
    said = capsys.readouterr().out.splitlines()
    assert said == [f"wrote {name}" for name in sorted(files, key=list(files).index)] + ["Some note."]


def test_one_form_is_one_file(tmp_path, capsys):
    _keep(Shown("midi", b"MThd"), str(tmp_path / "a.mid"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.mid"] and capsys.readouterr().out.count("\n") == 1


def test_the_first_form_goes_to_standard_output_alone(tmp_path, monkeypatch, capsysbinary):
    monkeypatch.chdir(tmp_path)
    _keep(TUNE, "-")
    assert capsysbinary.readouterr() == (b"MThd", b"") and not list(tmp_path.iterdir())
    _keep(Shown("text", b"X:1", TUNE.beside), "-")
    assert capsysbinary.readouterr() == (b"X:1\n", b"") and not list(tmp_path.iterdir())
