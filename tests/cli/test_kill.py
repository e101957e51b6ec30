"""Real processes, really killed: what is resumed equals what was never stopped.

What is not to be killed runs in the tests' own process, which need not import torch first.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import unrolled
from helpers import PATIENCE, history, wait_for
from unrolled.runs.arrays import read_arrays
from unrolled.training.loop import WALL_CLOCK_FIELDS

fcntl = pytest.importorskip("fcntl")
pytestmark = pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="pipes of a page exist on Linux only")

SETTINGS = (
    *("--epochs", 6, "--hidden", 16, "--layers", 2, "--batch", 4, "--bptt", 20, "--lr", 0.01),
    *("--dropout", 0.2, "--threads", 1, "--save-every", 0),
)
PAGE = 4096
"""Bytes. With ``--json`` these settings print seven pages in some 120 lines, without it two and a half."""


def start(*arguments):
    """A process whose output is a pipe of one page.

    It waits when it is a page ahead of its reader. So after some lines it is still at work, on a machine of any
    speed, however long the reader sleeps.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "unrolled", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PAGE)
    return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def comparable(run):
    return [{k: v for k, v in event.items() if k not in WALL_CLOCK_FIELDS} for event in history(run)]


def test_killed_at_random_moments(cli, text, tmp_path):
    whole, run = tmp_path / "whole", tmp_path / "killed"
    status, _, err = cli("train", text, "--run", whole, *SETTINGS)
    assert status == 0, err
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # shown if the test fails
    dice = random.Random(seed)
    process = start("train", text, "--run", run, *SETTINGS, "--json")
    wait_for((run / "config.toml").exists)
    kill(process)  # perhaps before the first checkpoint
    for _ in range(3):
        process = start("train", text, "--run", run, *SETTINGS, "--json", "--resume")
        for _ in range(dice.randrange(1, 13)):  # with the page ahead: a quarter of the run at most
            assert process.stdout.readline()
        time.sleep(dice.uniform(0, 0.02))
        kill(process)
    status, _, err = cli("train", text, "--run", run, "--resume")
    assert status == 0, err
    assert comparable(run) == comparable(whole)
    for name in ("model.safetensors", "resume.safetensors"):
        (a, _), (b, _) = (read_arrays(folder / name) for folder in (run, whole))
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=f"{name}: {key}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_saves_and_says_how_to_go_on(cli, text, tmp_path, number):
    run = tmp_path / "run"
    process = start("train", text, "--run", run, *SETTINGS[:-1], 1000)
    while not (line := process.stdout.readline()).startswith(b"update "):
        assert line, process.stderr.read()
    process.send_signal(number)
    out, err = (printed.decode() for printed in process.communicate(timeout=PATIENCE))
    assert process.returncode == 130, err
    assert f"Stopped; everything is saved. Resume with:\n  unrolled train --run {run} --resume" in out
    assert "Traceback" not in err
    status, out, err = cli("train", "--run", run, "--resume")
    assert status == 0, err
    assert "Resuming" in out
    assert history(run)[-1]["event"] == "finished"
    status, out, _ = cli("train", text, "--run", run, "--resume")
    assert (status, "is finished" in " ".join(out.split())) == (0, True)


def test_a_reader_that_leaves_early_is_no_error(cli, text, tmp_path):
    cli("train", text, "--run", tmp_path / "run", *SETTINGS[2:], "--epochs", 1)
    process = start("sample", tmp_path / "run", "--length", 100_000)
    assert process.stdout.read(50)
    process.stdout.close()
    assert process.wait(timeout=PATIENCE) in (0, 1)
    with process.stderr as errors:
        assert errors.read() == b""


def test_a_further_budget_killed_at_random_moments(cli, text, tmp_path):
    whole, run = tmp_path / "whole", tmp_path / "killed"
    settings = ("--epochs", 2, *SETTINGS[2:])
    status, _, err = cli("train", text, "--run", whole, *settings)
    assert status == 0, err
    shutil.copytree(whole, run)
    best = history(whole)[-1]["validation"]["loss"]
    further = ("train", "--resume", "--epochs", 5, "--run")
    status, out, err = cli(*further, whole)
    assert status == 0, err
    assert "further from update" in out
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # shown if the test fails
    dice = random.Random(seed)
    config = (run / "config.toml").read_bytes()
    for _ in range(3):
        process = start(*further, run)
        wait_for(lambda: (run / "config.toml").read_bytes() != config)
        time.sleep(dice.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert unrolled.load(run).evaluate()["loss"] <= best + 0.05  # the estimate that chooses is a little off
    status, _, err = cli(*further, run)
    assert status == 0, err
    assert comparable(run) == comparable(whole)
    for name in ("model.safetensors", "resume.safetensors"):
        (a, _), (b, _) = (read_arrays(folder / name) for folder in (run, whole))
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=f"{name}: {key}")
