"""Timing of several things that compete, in one process, turn by turn, without the samples that others disturbed.

    timings = interleave({"ours": step, "torch.nn": other_step})
    timings["ours"].median        # seconds a call; None if too few undisturbed samples could be had

A sample is as many calls as fill `Plan.least` seconds. What all processors were busy with during a sample, less what
this process used itself, is what other processes took, or the host beneath (steal); a sample in which they took more
than a tenth of one core is thrown away. Without /proc/stat nothing can be thrown away, and `Timing.watched` is false.
"""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.utils import mkldnn

from unrolled.engine import native

STAT = Path("/proc/stat")
OTHERS = 0.1
"""Cores that other processes may use during a sample."""
REST = 0.01
"""Seconds between competitors: idle threads of one spin for some milliseconds, and would slow down the next."""
KEPT = 3
"""Undisturbed samples below which there is no median worth showing."""
LONGEST_WAIT = 0.5
"""Seconds to wait, at most, after a round that was disturbed from its first sample to its last."""


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Units:
        ``least`` and ``limit`` in seconds: of one sample, and of all of them together after each call warmed up.
    """

    samples: int = 9
    least: float = 0.25
    limit: float = 90.0


@dataclass
class Timing:
    """Undisturbed samples of one competitor, in seconds a call, and how many were thrown away."""

    seconds: list[float] = field(default_factory=list)
    discarded: int = 0
    watched: bool = True

    @property
    def median(self) -> float | None:
        return statistics.median(self.seconds) if len(self.seconds) >= KEPT else None

    def figures(self) -> dict:
        """For --json."""
        ms = None if self.median is None else 1e3 * self.median
        return {"ms": ms, "samples": len(self.seconds), "discarded": self.discarded}


class Watch:
    """What this process and all the others use of the processors, from its making on."""

    def __init__(self) -> None:
        self.busy, self.own, self.start = busy_seconds(), time.process_time(), time.perf_counter()

    def read(self) -> tuple[float, bool | None]:
        """Seconds gone by, and whether others disturbed them; None if that is not known."""
        elapsed = time.perf_counter() - self.start
        own = time.process_time() - self.own
        busy = busy_seconds()
        if busy is None or self.busy is None:
            return elapsed, None
        others = busy - self.busy - own
        slack = 1 / os.sysconf("SC_CLK_TCK")  # the counters move in whole ticks
        return elapsed, others > OTHERS * elapsed + slack


def busy_seconds() -> float | None:
    """Seconds that all processors were busy since the start of the machine, time stolen by its host included."""
    try:
        fields = STAT.read_text().split("\n", 1)[0].split()[1:9]
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def interleave(
    calls: Mapping[str, Callable[[], object]], plan: Plan | None = None, few: Mapping[str, int] | None = None
) -> dict[str, Timing]:
    """Time the calls round robin until each has its samples, or until the limit.

    Arguments:
        calls: what competes, by name.
        plan: how many samples, how long.
        few: fewer samples, for those named here; at least KEPT are taken.
    """
    plan, few = plan or Plan(), few or {}
    repeats = {name: _repeats(call, plan.least) for name, call in calls.items()}
    end = time.perf_counter() + plan.limit
    wanted = {name: max(KEPT, min(few.get(name, plan.samples), plan.samples)) for name in calls}
    timings = {name: Timing(watched=busy_seconds() is not None) for name in calls}
    wait = REST
    while missing := [name for name in calls if len(timings[name].seconds) < wanted[name]]:
        kept = 0
        for name in missing:
            if time.perf_counter() > end:
                return timings
            kept += _sample(timings[name], calls[name], repeats[name])
        wait = REST if kept else min(2 * wait, LONGEST_WAIT)
        time.sleep(wait)
    return timings


def _repeats(call: Callable[[], object], least: float) -> int:
    """Calls that fill one sample; the first call warms up and does not count."""
    call()
    start = time.perf_counter()
    call()
    return max(1, math.ceil(least / (time.perf_counter() - start)))


def _sample(timing: Timing, call: Callable[[], object], repeats: int) -> bool:
    """Take one sample; whether it was kept."""
    time.sleep(REST)
    watch = Watch()
    for _ in range(repeats):
        call()
    elapsed, disturbed = watch.read()
    if disturbed:
        timing.discarded += 1
        return False
    timing.seconds.append(elapsed / repeats)
    return True


LOOPS = 400_000


def limit(threads: int) -> tuple[Callable[[], object], float]:
    """Multiply-adds between registers on so many threads, the most that they compute; how many operations."""
    count = native.module.multiply_adds(False, threads, 1) * LOOPS
    return (lambda: native.module.multiply_adds(False, threads, LOOPS)), 2.0 * count


SIDE = 2048


def large_products() -> tuple[dict[str, Callable[[], object]], float]:
    """One product of square float32 matrices, by torch.mm and by oneDNN, and how many operations it has."""
    a, b = torch.randn(2, SIDE, SIDE)
    out = torch.empty(SIDE, SIDE)
    calls: dict[str, Callable[[], object]] = {"torch.mm": lambda: torch.mm(a, b, out=out)}
    if torch.backends.mkldnn.is_available():
        linear, x = mkldnn.to_mkldnn(torch.nn.Linear(SIDE, SIDE, bias=False)), a.to_mkldnn()
        calls["oneDNN"] = torch.no_grad()(lambda: linear(x))
    return calls, 2.0 * SIDE**3


def processor() -> str:
    """Its name, as the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    known = {name.strip(): value.strip() for name, value in fields.items()}
    place = "/".join(known[k] for k in ("cpu family", "model") if k in known)
    return f"{known.get('model name', platform.machine())} ({place})" if place else platform.machine()
