"""--threads and progress, on every command that computes."""

import io
import json
import re

import click
import pytest
import torch

import unrolled
from unrolled import threads
from unrolled.cli import waiting
from unrolled.cli.main import app

DO_NOT_COMPUTE = {"runs", "doctor", "simulate reads", "simulate scenes"}
"""They read files, look at the machine, or draw random numbers one after the other."""


def verbs(command=app, names=()):
    """Every command that is no group, by its names."""
    if isinstance(command, click.Group):
        for name, sub in command.commands.items():
            yield from verbs(sub, (*names, name))
    else:
        yield names, command


COMPUTING = {" ".join(names): command for names, command in verbs() if " ".join(names) not in DO_NOT_COMPUTE}


def threads_help():
    return next(p.help for p in COMPUTING["train"].params if p.name == "threads")


def given(verb):
    """The verb with as many words as it needs."""
    needed = [p for p in COMPUTING[verb].params if p.required]
    words = [w for p in needed for w in ((p.opts[0], "a") if isinstance(p, click.Option) else ("a",))]
    return [*verb.split(), *words]


@pytest.fixture(scope="module")
def run(text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tables"
    unrolled.fit(text, folder, epochs=1, hidden=8, batch=4, bptt=20, threads=1)
    return folder


@pytest.mark.parametrize("verb", COMPUTING)
def test_every_command_that_computes_takes_threads(verb):
    options = [p for p in COMPUTING[verb].params if "--threads" in p.opts]
    assert len(options) == 1
    assert options[0].help == threads_help()


def test_those_that_do_not_compute_are_commands():
    assert {" ".join(names) for names, _ in verbs()} >= DO_NOT_COMPUTE


@pytest.mark.parametrize("verb", COMPUTING)
@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", ""])
def test_a_number_of_threads_that_is_none(cli, verb, value):
    status, out, err = cli(*given(verb), f"--threads={value}")
    assert (status, out) == (2, "")
    assert err == f"unrolled: --threads: must be a whole number from 1, got {value!r}\n"


@pytest.mark.parametrize("asked", ["100000", str(10**30)])
def test_more_threads_than_cores_are_as_many_as_cores(cli, run, text, tmp_path, asked):
    before = torch.get_num_threads()
    assert cli("evaluate", run, text, "--threads", asked)[0] == 0
    assert cli("lesson", "hello", "--threads", asked)[0] == 0
    small = ("--hidden", 8, "--batch", 4, "--bptt", 20, "--epochs", 0.2)
    status, out, _ = cli("train", text, "--run", tmp_path / "run", *small, "--threads", asked, "--json")
    assert status == 0
    assert json.loads(out.splitlines()[0])["settings"]["threads"] == threads.cores()
    assert torch.get_num_threads() == before


def test_a_run_may_be_resumed_with_the_same_number_of_threads_however_large(cli, text, tmp_path):
    command = ("train", text, "--run", tmp_path / "run", "--hidden", 8, "--batch", 4, "--epochs", 0.1, "--threads")
    assert cli(*command, 100_000)[0] == 0
    assert cli(*command, 100_000, "--resume")[0] == 0
    assert cli(*command, threads.cores(), "--resume")[0] == 0


@pytest.fixture
def in_use(monkeypatch):
    """The numbers of threads that torch was given, on a machine with 4 cores of which torch uses 4."""
    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "cores", lambda: 4)
    torch.set_num_threads(2)
    seen, plain = [], torch.set_num_threads
    monkeypatch.setattr(torch, "set_num_threads", lambda n: (seen.append(n), plain(min(n, 2))))
    yield seen
    plain(before)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("lesson", "hello"), 1),
        (("lesson", "hello", "--threads", 3), 3),
        (("hopfield", "tsp", "--cities", 4, "--starts", 2), 1),
        (("hopfield", "tsp", "--cities", 4, "--starts", 2, "--threads", 9), 4),
        (("hopfield", "maxcut", "--vertices", 10, "--starts", 2), 1),
        (("hopfield", "maxcut", "--vertices", 40, "--starts", 20_000), 2),
    ],
)
def test_little_work_runs_on_one_thread(cli, in_use, arguments, expected):
    assert cli(*arguments)[0] == 0
    assert in_use[0] == expected


@pytest.mark.parametrize(("hidden", "expected"), [(8, 1), (512, 2)])
def test_training_uses_as_many_threads_as_an_update_is_worth(monkeypatch, hidden, expected):
    from unrolled.tasks import prepare
    from unrolled.training.options import TrainingOptions

    used = []
    monkeypatch.setattr(prepare, "limited", lambda n: min(n, 2))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    model = unrolled.Model(
        unrolled.OneHot(40), unrolled.Stack([unrolled.LSTMCell(40, hidden)]), unrolled.Softmax(hidden, 40)
    )
    assert prepare.use_threads(TrainingOptions(batch=32), model) == expected
    assert prepare.use_threads(TrainingOptions(batch=32, threads=1), model) == 1
    assert prepare.use_threads(TrainingOptions(batch=32, threads=100_000), model) == 2
    assert used == [expected, 1, 2]


def test_the_doctor_says_how_many_threads_and_why(cli):
    assert re.search(r"^threads +\d+ at most, on \d+ cores?: \w+", cli("doctor")[1], re.MULTILINE)
    facts = json.loads(cli("doctor", "--json")[1])["threads"]
    assert 1 <= facts["used"] <= facts["cores"] and facts["why"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_in_a_terminal_and_nothing_in_a_pipe(monkeypatch):
    monkeypatch.setattr(waiting, "AFTER", 0.0)
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("sys.stderr", stream)
        with waiting.waiting("measuring") as tell:
            if shown:
                tell.timer.join()
            for k in range(5):
                tell(k / 4)
        assert ("measuring" in stream.getvalue()) == shown


def test_no_bar_is_left_after_an_error(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with pytest.raises(KeyError), waiting.waiting("measuring") as tell:
        raise KeyError
    assert tell.timer.finished.is_set() and stream.getvalue() == ""


def test_the_shares_rise_to_one(run, text):
    from unrolled.hopfield import maxcut, tsp
    from unrolled.hopfield.capacity import measure

    for compute in (
        lambda tell: measure(20, [2, 3], trials=5, tell=tell),
        lambda tell: tsp.solve(count=4, starts=2, tell=tell),
        lambda tell: maxcut.solve(maxcut.regular(10, 3), starts=2, tell=tell),
        lambda tell: unrolled.load(run).evaluate(text, tell=tell),
    ):
        shares = []
        compute(shares.append)
        assert shares == sorted(shares) and shares[0] > 0 and 0.5 < shares[-1] <= 1 + 1e-9


def test_the_scoring_at_the_end_of_training_is_told_and_not_kept(text, tmp_path):
    events = []
    unrolled.fit(text, tmp_path / "run", epochs=0.1, hidden=8, batch=4, threads=1, listen=events.append)
    kinds = [e["event"] for e in events]
    assert kinds.index("scoring") < kinds.index("scored") < kinds.index("finished")
    assert [e["share"] for e in events if e["event"] == "scored"][-1] == 1
    assert '"event": "scored"' not in (tmp_path / "run" / "history.jsonl").read_text()
