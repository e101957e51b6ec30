"""How many threads: cores, quotas, and the work that they are worth."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unrolled import threads

OLD = "cpu/c/cpu.cfs_"
"""The files of the first version of control groups."""


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Control groups in a folder: of the process, by the lines of its own file, with what their files say."""

    def make(lines, files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        plain = threads.Path.read_text
        monkeypatch.setattr(threads, "_CGROUPS", tmp_path)
        monkeypatch.setattr(
            threads.Path, "read_text", lambda p: "\n".join(lines) if str(p) == "/proc/self/cgroup" else plain(p)
        )
        return threads.quota()

    return make


@pytest.mark.parametrize(
    ("lines", "files", "expected"),
    [
        (["0::/a/b"], {"a/b/cpu.max": "150000 100000\n"}, 1.5),
        (["0::/a/b"], {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3.0),
        (["0::/a/b"], {"a/b/cpu.max": "800000 100000\n", "cpu.max": "200000 100000\n"}, 2.0),
        (["0::/"], {"cpu.max": "max 100000\n"}, float("inf")),
        (["3:cpuset:/c", "2:cpu,cpuacct:/c"], {f"{OLD}quota_us": "50000\n", f"{OLD}period_us": "100000\n"}, 0.5),
        (["2:cpu:/c"], {f"{OLD}quota_us": "-1\n", f"{OLD}period_us": "100000\n"}, float("inf")),
        (["0::/a"], {"a/cpu.max": "nonsense\n"}, float("inf")),
        (["0::/a"], {"a/cpu.max": "100000 0\n"}, float("inf")),
        ([], {}, float("inf")),
    ],
)  # fmt: skip
def test_the_quota_of_control_groups(groups, lines, files, expected):
    assert groups(lines, files) == expected


@pytest.mark.parametrize(("quota", "expected"), [(0.5, 1), (1.5, 2), (2.0, 2), (float("inf"), 4), (100.0, 4)])
def test_cores_are_what_affinity_and_quota_leave(monkeypatch, quota, expected):
    monkeypatch.setattr(threads, "_affinity", lambda: 4)
    monkeypatch.setattr(threads, "quota", lambda: quota)
    assert threads.cores.__wrapped__() == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_affinity_counts():
    code = "import os, unrolled.threads as t; os.sched_setaffinity(0, [{}]); print(t.cores())"
    done = subprocess.run(
        [sys.executable, "-c", code.format(min(os.sched_getaffinity(0)))], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < max(2, os.cpu_count() or 1),
    reason="one core, or only some of them",
)
def test_a_thread_that_openmp_has_bound_to_a_core_is_not_the_process():
    code = "import torch, unrolled.threads as t; print(t.cores())"
    env = {name: value for name, value in os.environ.items() if name not in threads.BINDING}
    counts = []
    for more in ({}, {"OMP_PROC_BIND": "true"}, {"OMP_PROC_BIND": "false"}, {"GOMP_CPU_AFFINITY": "0 1"}):
        command = [sys.executable, "-c", code]
        counts += [subprocess.run(command, capture_output=True, text=True, check=True, env=env | more).stdout]
    assert len(set(counts)) == 1


@given(most=st.integers(1, 10**6), operations=st.floats(0, allow_nan=False))
def test_every_thread_has_its_share(most, operations):
    count = threads.suited(most, operations)
    assert 1 <= count <= most
    assert count == 1 or operations / count >= threads.SHARE * (1 - 1e-12)
    assert count == most or operations / (count + 1) < threads.SHARE


def test_inside_torch_uses_so_many_and_outside_as_before(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 3)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for asked, operations, expected in [
            (None, float("inf"), 2),
            (None, 0.0, 1),
            (1, float("inf"), 1),
            (3, 0.0, 3),
            (100_000, 0.0, 3),
            (10**30, 0.0, 3),
        ]:
            with threads.using(asked, operations) as count:
                assert count == torch.get_num_threads() == expected
            assert torch.get_num_threads() == 2
        with pytest.raises(KeyError), threads.using(1):
            raise KeyError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, "500"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_the_command_line_waits_briefly_unless_told_otherwise(environment, expected):
    code = "import os, unrolled.threads as t; t.wait_briefly(); print(os.environ.get('GOMP_SPINCOUNT'))"
    clean = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean | environment
    )
    assert done.stdout == f"{expected}\n"
