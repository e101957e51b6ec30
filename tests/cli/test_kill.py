"""Real processes, really killed: what is resumed equals what was never stopped."""

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
from helpers import history, run_cli
from unrolled.runs.arrays import read_arrays
from unrolled.training.loop import WALL_CLOCK_FIELDS

SETTINGS = (
    *("--epochs", 6, "--hidden", 16, "--layers", 2, "--batch", 4, "--bptt", 20, "--lr", 0.01),
    *("--dropout", 0.2, "--threads", 1, "--save-every", 0.05),
)


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "unrolled", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def wait_for(condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None:
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


def comparable(run):
    return [{k: v for k, v in event.items() if k not in WALL_CLOCK_FIELDS} for event in history(run)]


def test_killed_at_random_moments(text, tmp_path):
    whole, run = tmp_path / "whole", tmp_path / "killed"
    done = run_cli("train", text, "--run", whole, *SETTINGS)
    assert done.returncode == 0, done.stderr
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # shown if the test fails
    dice = random.Random(seed)
    process = start("train", text, "--run", run, *SETTINGS)
    wait_for(lambda: (run / "config.toml").exists(), process)
    process.send_signal(signal.SIGKILL)  # perhaps before the first checkpoint
    process.communicate()
    kills = 0
    for _ in range(3):
        process = start("train", text, "--run", run, *SETTINGS, "--resume")
        before = (run / "resume.safetensors").stat().st_mtime_ns if (run / "resume.safetensors").exists() else 0
        wait_for(
            lambda before=before: (
                (run / "resume.safetensors").exists() and (run / "resume.safetensors").stat().st_mtime_ns > before
            ),
            process,
        )
        time.sleep(dice.uniform(0, 0.8))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 1
    done = run_cli("train", text, "--run", run, "--resume")
    assert done.returncode == 0, done.stderr
    assert comparable(run) == comparable(whole)
    for name in ("model.safetensors", "resume.safetensors"):
        (a, _), (b, _) = (read_arrays(folder / name) for folder in (run, whole))
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=f"{name}: {key}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_saves_and_says_how_to_go_on(text, tmp_path, number):
    run = tmp_path / "run"
    process = start("train", text, "--run", run, *SETTINGS[:-1], 1000)
    wait_for(lambda: (run / "history.jsonl").exists(), process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert f"Stopped; everything is saved. Go on with: unrolled train --run {run} --resume" in out
    assert "Traceback" not in err
    done = run_cli("train", "--run", run, "--resume")
    assert done.returncode == 0, done.stderr
    assert "Going on with" in done.stdout
    assert history(run)[-1]["event"] == "finished"
    again = run_cli("train", text, "--run", run, "--resume")
    assert (again.returncode, "is finished" in again.stdout) == (0, True)


def test_minutes_already_used_count(text, tmp_path):
    run = tmp_path / "run"
    settings = ("--minutes", 0.1, *SETTINGS[2:])
    process = start("train", text, "--run", run, *settings)
    wait_for(lambda: len(history(run) if (run / "history.jsonl").exists() else []) > 40, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    began = time.monotonic()
    done = run_cli("train", "--run", run, "--resume")
    assert done.returncode == 0, done.stderr
    seconds = history(run)[-1]["seconds"]
    assert 6 <= seconds < 9
    train = [e["seconds"] for e in history(run) if e["event"] == "train"]
    assert train == sorted(train)
    assert time.monotonic() - began < 30


def test_a_reader_that_leaves_early_is_no_error(text, tmp_path):
    run_cli("train", text, "--run", tmp_path / "run", *SETTINGS)
    process = start("sample", tmp_path / "run", "--length", 100_000)
    assert process.stdout.read(50)
    process.stdout.close()
    assert process.wait(timeout=60) in (0, 1)
    with process.stderr as errors:
        assert errors.read() == ""


def test_a_further_budget_killed_at_random_moments(text, tmp_path):
    whole, run = tmp_path / "whole", tmp_path / "killed"
    settings = ("--epochs", 2, *SETTINGS[2:])
    done = run_cli("train", text, "--run", whole, *settings)
    assert done.returncode == 0, done.stderr
    shutil.copytree(whole, run)
    best = history(whole)[-1]["validation"]["loss"]
    further = ("train", "--resume", "--epochs", 5, "--run")
    done = run_cli(*further, whole)
    assert done.returncode == 0, done.stderr
    assert "further after update" in done.stdout
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # shown if the test fails
    dice = random.Random(seed)
    config = (run / "config.toml").read_bytes()
    for _ in range(3):
        process = start(*further, run)
        wait_for(lambda: (run / "config.toml").read_bytes() != config, process)
        time.sleep(dice.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert unrolled.load(run).evaluate()["loss"] <= best + 0.05  # the estimate that chooses is a little off
    done = run_cli(*further, run)
    assert done.returncode == 0, done.stderr
    assert comparable(run) == comparable(whole)
    for name in ("model.safetensors", "resume.safetensors"):
        (a, _), (b, _) = (read_arrays(folder / name) for folder in (run, whole))
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=f"{name}: {key}")
