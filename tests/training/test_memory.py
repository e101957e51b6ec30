"""Memory: bounded by the encoded text, and the same however many updates were made."""

import subprocess
import sys
from pathlib import Path

import pytest

from helpers import TEXT

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")

PEAK = """
import unrolled
seen = []
def peak():
    lines = open("/proc/self/status").read().splitlines()  # of this program alone; getrusage counts the parent's too
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
def listen(event):
    if event["event"] == "update" and event["update"] in (100, {updates}):
        seen.append(peak())
unrolled.fit({text!r}, {run!r}, epochs={epochs}, hidden=8, layers=1, batch=16, bptt=20, threads=1, listen=listen)
print(seen[0], seen[-1])
"""


def peaks(tmp_path, copies, updates):
    """MiB after 100 updates, and after ``updates``."""
    text, run = tmp_path / f"{copies}.txt", tmp_path / f"run-{copies}-{updates}"
    with open(text, "w") as file:
        for _ in range(copies):
            file.write(TEXT)
    per_epoch = copies * len(TEXT) * 0.9 / 16 / 20
    code = PEAK.format(text=str(text), run=str(run), updates=updates, epochs=updates / per_epoch + 0.001)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [float(figure) for figure in done.stdout.split()]


def test_memory_does_not_grow_with_the_text_beyond_its_encoded_size(tmp_path):
    small, large = (peaks(tmp_path, copies, 120)[-1] for copies in (200, 8000))
    encoded = 7800 * len(TEXT) / 2**20
    assert large - small < 1.5 * encoded


def test_memory_does_not_grow_with_updates(tmp_path):
    after_100, after_3000 = peaks(tmp_path, 20, 3000)
    assert after_3000 - after_100 < 8  # MiB; a number kept for each of 2,900 updates' tensors would be far more
