"""Training further, starting from another run, and texts that have moved, as the command line shows them."""

import json

import pytest

import unrolled
from helpers import TEXT

TINY = ("--batch", 4, "--bptt", 20, "--threads", 1)


@pytest.fixture
def run(tmp_path, text):
    unrolled.fit(text, tmp_path / "run", epochs=0.5, hidden=8, batch=4, bptt=20, threads=1)
    return tmp_path / "run"


def test_further(cli, run):
    status, out, _ = cli("train", "--run", run, "--resume", "--epochs", 0.8)
    assert status == 0
    assert f"Training {run} further from update" in " ".join(out.split())
    assert "counted from the run's start" in out
    status, out, _ = cli("runs", run.parent)
    assert "finished 2 times" in out
    status, out, _ = cli("runs", run.parent, "--json")
    assert (json.loads(out)["state"], json.loads(out)["budget"]) == ("finished 2 times", 2)
    for asked, said in (
        ((), "To train it further, give a larger --epochs"),
        (("--epochs", 0.8), "is not more"),
    ):
        status, out, _ = cli("train", "--run", run, "--resume", *asked)
        assert status == 0
        assert "is finished after 0.8 epochs" in " ".join(out.split())
        assert said in " ".join(out.split())
    status, out, _ = cli("train", "--run", run, "--resume", "--epochs", 1, "--hidden", 9)
    assert status == 2
    status, out, _ = cli("inspect", run)
    assert status == 0
    report = (run / "inspect" / "report.html").read_text()
    assert "Dotted lines mark where training continued" in report


def test_a_run_in_its_second_budget_is_not_finished(cli, run):
    class StopError(Exception):
        pass

    def listen(event):
        if event["event"] == "validation":
            raise StopError

    with pytest.raises(StopError):
        unrolled.fit(None, run, resume=True, epochs=1, listen=listen)
    out = json.loads(cli("runs", run.parent, "--json")[1])
    assert out["state"].endswith("%, finished before")
    assert out["validation"] == pytest.approx(unrolled.runs.folder.RunFolder(run).checkpoint_about()["best"])
    assert "Training is not finished" in cli("inspect", run)[1].replace("\n  ", " ")
    status, _, err = cli("train", "text", "--run", run)
    assert (status, "an unfinished run" in err) == (1, True)


def test_from(cli, run, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(TEXT.replace("times", "tïmes"))
    status, out, _ = cli("train", other, "--run", tmp_path / "b", "--from", run, "--epochs", 0.3, *TINY)
    assert status == 0
    assert "1 added with new rows, 0 dropped" in out
    for wrong in (("--hidden", 9), ("--units", "bytes"), ("--from", ""), ("--from", tmp_path)):
        status, _, err = cli(
            "train", other, "--run", tmp_path / "new" / "c", "--from", run, "--epochs", 1, *TINY, *wrong
        )
        assert status in (1, 2)
        assert len(err.splitlines()) == 1
        assert not (tmp_path / "new").exists()


def test_moved(cli, tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    unrolled.fit(tmp_path / "a.txt", tmp_path / "run", epochs=0.5, hidden=8, batch=4, bptt=20, threads=1)
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    status, _, err = cli("evaluate", tmp_path / "run", "--on", "test")
    assert status == 1
    assert "give its new path, unrolled evaluate" in err
    assert cli("evaluate", tmp_path / "run", tmp_path / "b.txt", "--on", "test")[1].startswith("on           test,")
    assert cli("train", tmp_path / "b.txt", "--run", tmp_path / "run", "--resume")[0] == 0
    assert cli("evaluate", tmp_path / "run", "--on", "test")[0] == 0  # the finished run knows where it is
    (tmp_path / "c.txt").write_text("another text")
    status, _, err = cli("train", tmp_path / "c.txt", "--run", tmp_path / "run", "--resume")
    assert status == 2
    assert "is not the same text" in err
