"""A bar for what takes longer than a second, in a terminal; nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

AFTER = 0.5
"""Seconds without a bar, which most calls take."""
_EVERY = 0.1


@contextmanager
def waiting(what: str) -> Iterator[Callable[[float], None]]:
    """Say what is computed, and how much of it is done, on stderr.

    Yields:
        called with the share that is done, as often as one likes. Without a call only the time is shown.
    """
    if not sys.stderr.isatty():
        yield _nothing
        return
    bar = _Bar(what)
    try:
        yield bar
    finally:
        bar.close()


class _Bar:
    def __init__(self, what: str) -> None:
        from threading import Timer

        self.what, self.share, self.next = what, 0.0, time.monotonic() + AFTER
        self.shown: Any = None
        self.timer = Timer(AFTER, self._show)
        self.timer.daemon = True
        self.timer.start()

    def __call__(self, share: float) -> None:
        self.share = share
        if self.shown is not None and time.monotonic() >= self.next:
            self.next = time.monotonic() + _EVERY
            self.shown.update(self.shown.task_ids[0], completed=share, total=1.0)

    def close(self) -> None:
        self.timer.cancel()
        self.timer.join()
        if self.shown is not None:
            self.shown.stop()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
        )
        shown = Progress(*columns, console=Console(stderr=True), transient=True)
        shown.add_task(self.what, total=1.0 if self.share else None)
        shown.start()
        self.shown = shown


def _nothing(share: float) -> None:
    pass
