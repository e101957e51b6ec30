"""The pattern of a run's files, where its model is used on other data."""

import pytest

import unrolled
from helpers import TEXT, TINY
from unrolled.errors import UsageError


def lay(folder, **files):
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of the .py files of a folder that has others, too."""
    folder = tmp_path_factory.mktemp("include")
    data = lay(folder / "data", a_py=TEXT, b_md="words " * 300)
    return unrolled.fit(data, folder / "run", include="*.py", epochs=0.2, **TINY)


def test_the_pattern_picks_files_of_other_data_and_says_what_it_leaves_out(trained, tmp_path):
    data = lay(tmp_path / "other", c_py=TEXT[:500], d_py=TEXT[:300], e_md="3" * 50, f_txt="4" * 50)
    figures = trained.evaluate(data)
    assert figures["scored"] == 799 and figures["left_out"] == 2
    rows = dict(trained.rows(figures))
    assert rows["left out"] == "2 files of the folder, not picked by the run's --include '*.py'"
    assert trained.read(data) == TEXT[:500] + TEXT[:300]
    assert "".join(trained.evidence(data).labels) == TEXT[:500] + TEXT[:300]


def test_a_pattern_that_picks_none_of_other_data_picks_all(trained, tmp_path):
    data = lay(tmp_path / "other", c_txt=TEXT[:500], d_md=TEXT[:300])
    figures = trained.evaluate(data)
    assert figures["scored"] == 799 and "left_out" not in figures and "left out" not in dict(trained.rows(figures))
    assert trained.read(data) == TEXT[:500] + TEXT[:300]
    assert "".join(trained.evidence(data).labels) == TEXT[:500] + TEXT[:300]


def test_the_runs_own_data_and_single_files_are_as_they_were(trained, tmp_path):
    own = trained.config["data"]["path"]
    assert trained.evaluate(own)["scored"] == len(TEXT) - 1
    assert trained.evaluate(own, "test") == trained.evaluate(on="test")
    assert "left_out" not in trained.evaluate(on="test")
    (tmp_path / "one.md").write_text(TEXT[:100])
    assert trained.evaluate(tmp_path / "one.md")["scored"] == 99


@pytest.mark.parametrize("units", ["characters", "bytes"])
def test_the_size_of_a_vocabulary_is_that_of_words(text, tmp_path, units):
    message = f"--vocabulary-size: applies only to --units words: leave it out with {units}"
    with pytest.raises(UsageError, match=message):
        unrolled.fit(text, tmp_path / "run", units=units, vocabulary_size=40, **TINY)
    assert not (tmp_path / "run").exists()
