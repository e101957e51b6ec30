"""The most memory that one call needs beyond what the process had, for a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PROCESS = Path("/proc/self")
RESET_PEAK = "5"
"""What clear_refs takes for: let the peak begin at what is resident now (proc(5))."""


def peak_mib(call: Callable[[], object]) -> float | None:
    """MiB resident at the highest, over what was resident before the call; None where that cannot be known."""
    before = _status_mib("VmRSS")
    with suppress(OSError):
        (PROCESS / "clear_refs").write_text(RESET_PEAK)
    earlier = _status_mib("VmHWM")
    call()
    peak = _status_mib("VmHWM")
    if before is None or earlier is None or peak is None:
        return None
    if peak == earlier > before + 1:  # an old peak that could not be reset, and was not reached again
        return None
    return max(0.0, peak - before)


def _status_mib(name: str) -> float | None:
    try:
        lines = (PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), None)
