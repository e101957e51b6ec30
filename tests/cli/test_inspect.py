"""The verb inspect: one page, its pictures, its numbers; and what cannot be shown."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import unrolled
from helpers import TEXT, TINY, history, run_cli
from unrolled.runs.arrays import read_arrays, write_arrays

CELL = Path(__file__).parents[2] / "examples" / "minimal_cell.py"
NASTY = '漢字 <script>alert("x")</script> & \x07\x1b[31m\u202e\u0000 ö times \U0001f600 $a$ </pre>\n'


class Page(HTMLParser):
    """What a browser would make of a page: which elements, which of them close, which attributes."""

    VOID = frozenset({"meta", "link", "br", "img", "path", "use", "rect", "image"})

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.addresses, self.handlers = [], [], [], []
        self.text = {}
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "action", "data", "srcset"):
                self.addresses.append(value)
            if name.startswith("on"):
                self.handlers.append((tag, name))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data


def flat(out):
    """What was printed, wherever the terminal's lines end."""
    return " ".join(out.split())


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are made, but not drawn, which takes seconds."""
    monkeypatch.setattr("unrolled.insight.sections.as_png", lambda figure: b"")
    monkeypatch.setattr("unrolled.insight.sections.as_svg", lambda figure, label: "<svg></svg>")


@pytest.fixture(scope="module")
def run(text, tmp_path_factory):
    """A run that has learnt a little, with two layers."""
    folder = tmp_path_factory.mktemp("runs") / "tables"
    unrolled.fit(text, folder, epochs=4, layers=2, split="80/20/0", **TINY | {"hidden": 16})
    return folder


@pytest.fixture
def copy(run, tmp_path):
    """The same run, to be spoilt."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


@pytest.fixture(scope="module")
def inspected(run, tmp_path_factory):
    """The report of the run, made once: its page, its numbers, and where they are."""
    out = tmp_path_factory.mktemp("out") / "deep" / "report"
    done = run_cli("inspect", run, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return (out / "report.html").read_text("utf-8"), strictly(done.stdout), out


def strictly(printed):
    """JSON, and no NaN in it."""

    def refuse(name):
        raise AssertionError(name)

    return json.loads(printed, parse_constant=refuse)


def test_one_page_and_pictures_and_numbers(inspected, run):
    html, numbers, out = inspected
    page = Page(html)
    assert set(page.addresses) <= {a for a in page.addresses if a[0] == "#" or a.startswith("data:image/png;base64,")}
    assert not page.handlers
    assert "default-src 'none'" in html
    assert len(html) < 3e6
    pictures = sorted(p.name for p in out.glob("*.png"))
    assert page.tags.count("svg") == len(pictures) == 10
    assert all((out / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for name in pictures)
    assert strictly((out / "report.json").read_text()) == numbers
    assert {p.name for p in out.iterdir()} == {*pictures, "report.json", "report.html"}
    for section in ("Learning", "Gradient through time", "Gates", "Errors", "Samples", "Warnings"):
        assert f"<h2>{section}</h2>" in html


def test_its_numbers_are_those_of_the_run(inspected, run):
    _, numbers, _ = inspected
    assert not numbers["notes"]
    text = "".join(numbers["symbols"])
    assert text in TEXT[len(TEXT) * 80 // 100 :]
    model = unrolled.load(run)
    scored = model.score(text)
    np.testing.assert_allclose(numbers["errors"]["loss"], -np.array(scored.log_probabilities[1:]), atol=1e-4)
    assert numbers["errors"]["mean"] == pytest.approx(-np.mean(scored.log_probabilities[1:]), rel=1e-4)
    assert sum(c["share"] for c in numbers["errors"]["causes"]) == pytest.approx(1)
    assert sum(c["count"] for c in numbers["errors"]["causes"]) == len(text) - 1
    assert {s["name"] for s in numbers["saturation"]} == {f"{k}.{n}" for k in (1, 2) for n in "ifgohc"}
    kept = history(run)
    for kind, key in (("lags", "by_lag"), ("gradients", "by_position")):
        curves = [e for e in kept if e["event"] == kind]
        assert set(numbers[f"gradient_{key}"]) == {"1.h", "1.c", "2.h", "2.c"}
        for name, made in numbers[f"gradient_{key}"].items():
            assert made["updates"] == [e["update"] for e in curves]
            norms = [[v for v in curve if v is not None] for curve in made["norms"]]  # the shorter ones are filled up
            assert norms == [e[key][name] for e in curves]
    assert numbers["train"]["loss"] == [e["loss"] for e in kept if e["event"] == "train"]
    followed = numbers["gradient_through_time"]
    assert set(followed["norms"]) == set(followed["verdicts"]) == {"1.h", "1.c", "2.h", "2.c"}
    assert len(followed["lags"]) == 200 and numbers["lyapunov"]["steps"] > 100
    assert numbers["samples"][-1]["update"] == numbers["finished"]["update"]


def test_the_text_is_in_the_page_symbol_by_symbol(inspected):
    html, numbers, _ = inspected
    (reader,) = re.findall(r'<pre class="text" id="reader">(.*?)</pre>', html, re.DOTALL)
    assert reader.count("<i ") == len(numbers["symbols"])
    assert re.sub(r"<[^>]*>", "", reader).replace("↵", "") == "".join(numbers["symbols"])
    (traces,) = re.findall(r'id="traces">(.*?)</script>', html)
    assert {len(t) for t in json.loads(traces)} == {len(numbers["symbols"])}


@pytest.mark.usefixtures("undrawn")
def test_it_goes_into_the_run_folder_and_is_told_in_sentences(cli, copy):
    status, out, err = cli("inspect", copy)
    assert (status, err) == (0, "")
    assert "the loss is" in flat(out) and f"Report: {copy / 'inspect' / 'report.html'}" in flat(out)
    assert (copy / "inspect" / "report.html").is_file()
    assert unrolled.load(copy).sample(3)


def test_a_text_that_means_harm(cli, run, tmp_path):
    path = tmp_path / "<b>.txt"
    path.write_text(NASTY * 4, encoding="utf-8")
    status, out, err = cli("inspect", run, "--text", path, "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    assert not set(out) & {"\x1b", "\x07", "\u202e", "\0"}
    assert "The model never saw" in flat(out) and "'漢'" in flat(out)
    html = (tmp_path / "out" / "report.html").read_text("utf-8")
    page = Page(html)
    assert page.tags.count("script") == 2  # its own, and its data
    assert "alert" not in page.text["script"]
    assert not set(html) & {"\x1b", "\x07", "\u202e", "\0", "\r"}
    assert "\\x1b" in html and "漢" in html and "😀" in html and "&lt;" in html


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("content", "said"), [("7", "one step"), ("7 tim", "expected at least 20")])
def test_a_text_that_is_too_short(cli, run, tmp_path, content, said):
    path = tmp_path / "short.txt"
    path.write_text(content)
    status, out, _ = cli("inspect", run, "--text", path, "--out", tmp_path / "out")
    assert status == 0
    assert said in flat(out)
    assert "<h2>Learning</h2>" in (tmp_path / "out" / "report.html").read_text("utf-8")


@pytest.mark.usefixtures("undrawn")
def test_a_text_that_is_none(cli, run, tmp_path):
    path = tmp_path / "bytes.txt"
    path.write_bytes(b"\xff\xfe\x00")
    for given, status in ((path, 1), (tmp_path / "nowhere.txt", 2)):
        assert cli("inspect", run, "--text", given, "--out", tmp_path / "out")[0] == status
    path.write_text("")
    status, _, err = cli("inspect", run, "--text", path, "--out", tmp_path / "out")
    assert status == 1 and "is empty" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_long_text_is_cut(cli, run, tmp_path, monkeypatch):
    monkeypatch.setattr("unrolled.tasks.text.passage.LONGEST", 50)
    path = tmp_path / "long.txt"
    path.write_text(2 * TEXT)  # once would be the run's own text
    _, out, _ = cli("inspect", run, "--text", path, "--out", tmp_path / "out", "--json")
    numbers = strictly(out)
    assert "".join(numbers["symbols"]) == TEXT[:50]
    assert f"Only the first 50 of the {2 * len(TEXT):,} characters" in numbers["notes"][0]


@pytest.mark.usefixtures("undrawn")
def test_a_run_without_weights_shows_what_it_has(cli, copy):
    (copy / "model.safetensors").unlink()
    status, out, _ = cli("inspect", copy, "--json")
    numbers = strictly(out)
    assert status == 0
    assert "no weights yet" in numbers["notes"][0] and "errors" not in numbers
    assert numbers["train"]["loss"] == [e["loss"] for e in history(copy) if e["event"] == "train"]
    html = (copy / "inspect" / "report.html").read_text("utf-8")
    assert "<h2>Learning</h2>" in html and "<h2>Errors</h2>" not in html and "no weights yet" in html


@pytest.mark.usefixtures("undrawn")
def test_a_run_with_damaged_weights_shows_what_it_has(cli, copy):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    status, out, _ = cli("inspect", copy, "--json")
    numbers = strictly(out)
    assert status == 0
    assert "model.safetensors is damaged" in numbers["notes"][0] and "errors" not in numbers
    assert numbers["train"]["loss"] == [e["loss"] for e in history(copy) if e["event"] == "train"]


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_was_stopped_says_so(cli, copy):
    lines = (copy / "history.jsonl").read_text().splitlines()
    kept = [line for line in lines if json.loads(line)["event"] != "finished"][: len(lines) // 2]
    last = max(json.loads(line)["update"] for line in kept)
    (copy / "history.jsonl").write_text("\n".join(kept) + "\n")
    status, out, _ = cli("inspect", copy)
    assert status == 0
    assert f"Training is not finished: this is the run after {last:,} updates" in flat(out)
    assert "resume it with: unrolled train --run" in flat(out) and "the loss is" in flat(out)


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_has_only_begun(cli, copy):
    for name in ("model.safetensors", "history.jsonl", "resume.safetensors"):
        (copy / name).unlink()
    status, out, _ = cli("inspect", copy)
    assert status == 0
    assert "no history" in flat(out) and "no weights" in flat(out)


@pytest.mark.usefixtures("undrawn")
def test_a_history_of_nonsense(cli, copy):
    odd = [
        {"event": "train", "update": "<b>", "loss": 1},
        {"event": "train", "update": 3, "loss": None, "lr": 1e400},
        {"event": "lags", "update": 3, "by_lag": {"<i>": [1.0, "x", None], "1.h": 7}},
        {"event": "warning", "cause": "<script>", "update": {}},
        {"event": "finished", "clipped": "all"},
        [],
        7,
    ]
    (copy / "history.jsonl").write_text("".join(json.dumps(e) + "\n" for e in odd))
    status, out, err = cli("inspect", copy, "--json")
    assert (status, err) == (0, "")
    strictly(out)
    Page((copy / "inspect" / "report.html").read_text("utf-8"))
    (copy / "history.jsonl").write_text("{\n")
    status, out, _ = cli("inspect", copy)
    assert status == 0
    assert "damaged at line 1" in flat(out)


@pytest.mark.usefixtures("undrawn")
def test_weights_that_are_not_finite(cli, copy):
    arrays, about = read_arrays(copy / "model.safetensors")
    arrays = {name: np.full_like(a, np.nan) if "head" in name else a for name, a in arrays.items()}
    write_arrays(copy / "model.safetensors", arrays, about)
    status, out, _ = cli("inspect", copy, "--json")
    numbers = strictly(out)
    assert status == 0
    assert any("not finite" in note for note in numbers["notes"])
    assert numbers["saturation"] and numbers["errors"]["mean"] is None


@pytest.mark.usefixtures("undrawn")
def test_the_text_of_the_run_is_gone(cli, text, tmp_path):
    moved = tmp_path / "moved.txt"
    moved.write_text(TEXT)
    unrolled.fit(moved, tmp_path / "run", epochs=1, **TINY)
    moved.write_text(TEXT + "more")
    status, out, _ = cli("inspect", tmp_path / "run")
    assert status == 0
    assert "has changed" in flat(out) and "the model generated" in flat(out)


@pytest.mark.usefixtures("undrawn")
def test_a_cell_of_ones_own_and_one_without_gates(cli, text, tmp_path):
    unrolled.fit(text, tmp_path / "own", epochs=1, cell=f"{CELL}:MinimalCell", **TINY)
    for code in ((), ("--allow-code",)):  # its program, then its code
        status, out, _ = cli("inspect", tmp_path / "own", *code, "--json")
        assert status == 0
        kinds = {s["name"]: s["kind"] for s in strictly(out)["saturation"]}
        assert kinds == {"1.f": "gate", "1.n": "tanh", "1.h": "tanh"}
    (tmp_path / "own" / "program.json").unlink()
    status, _, err = cli("inspect", tmp_path / "own", "--out", tmp_path / "none")
    assert status == 1 and "--cell FILE.py:MinimalCell" in err
    assert not (tmp_path / "none").exists()
    unrolled.fit(text, tmp_path / "elman", epochs=1, cell="elman", **TINY)
    status, out, _ = cli("inspect", tmp_path / "elman")
    assert status == 0
    assert "The cell has no gates" in flat(out)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("units", ["words", "bytes"])
def test_words_and_bytes(cli, tmp_path, units):
    path = tmp_path / "text.txt"
    path.write_text("Grüße an zwölf Bären.\n" * 300, encoding="utf-8")
    unrolled.fit(path, tmp_path / "run", epochs=1, units=units, **TINY)
    status, out, _ = cli("inspect", tmp_path / "run", "--json")
    assert status == 0
    numbers = strictly(out)
    assert numbers["unit"] == units[:-1]
    names = {c["name"] for c in numbers["errors"]["causes"]}
    assert ("first letter of a word" in names) == (units == "bytes")
    assert {"words": " Bären", "bytes": "\\xc3"}[units] in numbers["symbols"]


def test_a_place_that_cannot_be_written_is_found_before_the_work(cli, run, tmp_path, monkeypatch):
    def begun(*args):
        raise AssertionError("the work has begun")

    monkeypatch.setattr("unrolled.insight.findings.examine", begun)
    (tmp_path / "file").touch()
    status, _, err = cli("inspect", run, "--out", tmp_path / "file" / "in")
    assert status == 1 and "cannot write" in err and "Not a directory" in err

    def full(*args, **settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("unrolled.cli.inspect.TemporaryFile", full)
    status, _, err = cli("inspect", run, "--out", tmp_path / "out")
    assert status == 1 and "no space left on the disk" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("undrawn")
def test_places_that_cannot_be_written(cli, copy, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    status, _, err = cli("inspect", copy, "--out", file)
    assert status == 2 and "is a file" in err and file.read_text() == "mine"
    (tmp_path / "elsewhere").mkdir()
    (copy / "inspect").symlink_to(tmp_path / "elsewhere")
    status, _, err = cli("inspect", copy)
    assert status == 2 and "--out" in err
    assert not list((tmp_path / "elsewhere").iterdir())
    status, _, err = cli("inspect", tmp_path / "nowhere")
    assert status == 1 and "not a run folder" in err
