"""Run folders of the format that this version writes, as they were written: a change of it must not go unnoticed."""

import shutil
from pathlib import Path

import pytest

import unrolled
from unrolled.errors import RunError
from unrolled.runs.folder import FORMAT, RunFolder

KEPT = Path(__file__).parent / f"format{FORMAT}"
"""A run of four epochs on numbers in words, from standard input."""
SAMPLED = "fo fo fo fo fo fo fo fo fo fo fo"


@pytest.fixture
def run(tmp_path):
    assert KEPT.is_dir(), f"the format has changed: keep a run of format {FORMAT} in {KEPT}"
    return Path(shutil.copytree(KEPT, tmp_path / "run"))


def test_it_is_used(run):
    model = unrolled.load(run)
    assert model.sample(30, prime="fo", temperature=0) == SAMPLED
    assert model.evaluate()["loss"] == pytest.approx(RunFolder(run).history()[-1]["validation"]["loss"], rel=1e-5)
    assert model.model_options.hidden == 6 and model.evidence().origin == "the run's training part"


def test_it_is_trained_further(run):
    before = RunFolder(run).config()
    model = unrolled.fit(None, run, resume=True, epochs=5, quiet=True)
    after = RunFolder(run).config()
    assert after["earlier"][0]["epochs"] == 4 and after["training"]["epochs"] == 5
    assert {name: after[name] for name in ("model", "options", "task", "unit", "criterion")} == {
        name: before[name] for name in ("model", "options", "task", "unit", "criterion")
    }
    assert set(after) == {*before, "earlier"} and model.about["update"] > 0


def test_what_a_new_run_writes_has_the_same_names(run, tmp_path):
    """A setting or section that comes or goes is a change of the format."""
    unrolled.fit(run / "data.txt", tmp_path / "new", epochs=0.2, hidden=6, batch=2, bptt=20, threads=1, quiet=True)
    old, new = RunFolder(run).config(), RunFolder(tmp_path / "new").config()
    sections = {name for name, value in old.items() if isinstance(value, dict)}
    assert set(old) == set(new)
    for section in sections:
        assert set(old[section]) == set(new[section]), section
    assert {p.name for p in run.iterdir()} == {p.name for p in (tmp_path / "new").iterdir()} | {"data.txt"}


def test_the_format_before_is_refused(run):
    config = run / "config.toml"
    config.write_text(config.read_text().replace(f"format = {FORMAT}", f"format = {FORMAT - 1}"))
    with pytest.raises(RunError, match=f"has format {FORMAT - 1} .* reads format {FORMAT}: train the run again"):
        unrolled.load(run)
