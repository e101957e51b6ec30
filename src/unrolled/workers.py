"""Processes that call functions, one thread each, and end with their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Generator
from multiprocessing.connection import wait
from typing import Any

from unrolled.errors import RunError
from unrolled.threads import using

Call = tuple[Callable[..., Any], tuple[Any, ...]]


def results(calls: list[Call], jobs: int) -> Generator[tuple[int, Any], None, None]:
    """Make the calls, ``jobs`` at a time; (which call, what it returned) as each ends.

    With one job they are made in this process, in order. Every call runs with one thread of torch, so that what
    comes of it does not depend on ``jobs``. Leaving the iterator ends the processes at once.

    Raises:
        RunError: a process was ended from outside.
        RuntimeError: a call raised; its traceback is in the message.
    """
    if jobs == 1 or len(calls) < 2:
        yield from _here(calls)
        return
    context = multiprocessing.get_context("spawn")
    waiting = list(enumerate(calls))[::-1]
    at_work: dict[Any, tuple[Any, int]] = {}
    processes = []
    try:
        for _ in range(min(jobs, len(calls))):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            _give(ours, process, waiting, at_work)
        while at_work:
            for ready in wait(list(at_work)):
                connection: Any = ready  # of a kind that depends on the system
                process, k = at_work.pop(connection)
                try:
                    good, made = connection.recv()
                except (EOFError, ConnectionError) as error:
                    raise RunError("a worker process was killed from outside; run the command again") from error
                if not good:
                    raise RuntimeError(f"in another process:\n{made}")
                _give(connection, process, waiting, at_work)
                yield k, made
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _give(connection: Any, process: Any, waiting: list[tuple[int, Call]], at_work: dict) -> None:
    if waiting:
        k, call = waiting.pop()
        connection.send(call)
        at_work[connection] = process, k


def _here(calls: list[Call]) -> Generator[tuple[int, Any], None, None]:
    for k, (function, arguments) in enumerate(calls):
        with using(1):
            made = function(*arguments)
        yield k, made


def _work(calls: Any) -> None:
    """What a process does: one call after another, until there are none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(1)
    while True:
        try:
            function, arguments = calls.recv()
        except EOFError:
            return
        try:
            made = True, function(*arguments)
        except KeyboardInterrupt:  # the parent ends us, in the middle of a training
            return
        except Exception:
            made = False, traceback.format_exc()
        calls.send(made)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)  # nobody is left to hear what comes of it
