"""Processor threads: how many there are to have, and how many a piece of work is worth."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

SHARE = 16e6
"""Floating-point operations that each thread must have between two points where threads wait for one another.

They take about a quarter of a millisecond. With less, a second thread gains little on a quiet machine, and on a
busy one every wait may last until the time slices of other programs are over (``python benchmarks/threads.py``).
"""

BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
"""Variables by which OpenMP binds each thread to a core of its own, the first when torch is imported."""

_CGROUPS = Path("/sys/fs/cgroup")


@cache
def cores() -> int:
    """Processor cores that this process may use: its affinity, less what a control group's quota takes away."""
    return max(1, math.ceil(min(_affinity(), quota())))


def limited(threads: int) -> int:
    """So many threads, but one a core at most."""
    return min(threads, cores())


def suited(most: int, operations: float) -> int:
    """How many of ``most`` threads are worth having, for so many operations from one wait to the next.

    >>> [suited(4, operations) for operations in (1e6, 40e6, 1e9)]
    [1, 2, 4]
    """
    return max(1, min(most, int(min(operations / SHARE, most))))


@contextmanager
def using(threads: int | None, operations: float = math.inf) -> Iterator[int]:
    """Inside, torch uses so many threads, one a core at most; as many as are suited if None. The number in use."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(limited(suited(before, operations) if threads is None else threads))
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def wait_briefly() -> None:
    """Let OMP threads that wait for work give up their cores after some microseconds, before torch is imported.

    Unless told otherwise, GNU's runtime spins for up to 20 ms: on busy cores, that is time which the thread that is
    waited for cannot have.
    """
    if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "500")


def reason() -> str:
    """Why as many threads are used as there are, in words."""
    import torch

    number = torch.get_num_threads()
    if number > cores():
        return f"torch has {number}, which is more than there are cores for this process"
    if number == cores() < _affinity():
        return f"the control group's quota is {quota():g} cores"
    if os.environ.get("OMP_NUM_THREADS") == str(number):
        return f"OMP_NUM_THREADS is {number}"
    return "one per core" if number == cores() else f"torch has {number}"


def _affinity() -> int:
    bound = any(os.environ.get(name, "").lower() not in ("", "false", "disabled", "none") for name in BINDING)
    if bound and "torch" in sys.modules:  # OpenMP has bound this thread to a core: the process may use others
        return os.cpu_count() or 1
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def quota() -> float:
    """Cores' worth of time that control groups allow; infinite where there is no limit."""
    try:
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return math.inf
    least = math.inf
    for line in groups:
        _, kinds, path = line.split(":", 2)
        if kinds and "cpu" not in kinds.split(","):
            continue
        root = _CGROUPS / "cpu" if kinds else _CGROUPS
        group = root / path.strip("/")
        for place in (group, *group.parents):  # each limits those below it
            least = min(least, _quota_of(place))
            if place == root:
                break
    return least


def _quota_of(group: Path) -> float:
    """Of one control group, by either version of the files."""
    try:
        if (group / "cpu.max").is_file():
            allowed, period = (group / "cpu.max").read_text().split()
        else:
            allowed, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(allowed) / int(period) if int(allowed) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # no such files, or "max"
        return math.inf
