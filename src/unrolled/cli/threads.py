"""The option --threads, and how many threads a command uses without it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from unrolled.errors import UsageError
from unrolled.threads import using


class _Threads(click.ParamType):
    """A number of threads; what is wrong with it is said in one sentence."""

    name = "integer"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        try:
            count = int(value)
        except ValueError:
            count = 0
        if count < 1:
            raise UsageError(f"--threads: must be a whole number from 1, got {value!r}")
        return count


THREADS = _Threads()
threads_option = click.option(
    "--threads", type=THREADS, help="Processor threads, at most one per core (default: by workload)."
)


def threaded(work: Callable[..., float]) -> Callable[[Callable], Callable]:
    """--threads, in use while the command runs.

    Arguments:
        work: called with the command's arguments; the floating-point operations from one wait of the threads for one
            another to the next, from which the number of threads follows if the person names none.
    """

    def decorate(function: Callable) -> Callable:
        @threads_option
        @functools.wraps(function)
        def run(threads: int | None, **arguments: Any) -> Any:
            with using(threads, work(**arguments)):
                return function(**arguments)

        return run

    return decorate


def work_of_run(run: str, **_: Any) -> float:
    """Of a model that reads one sequence: by the size of its weights."""
    try:
        return 64 * (Path(run) / "model.safetensors").stat().st_size
    except OSError:  # said by what loads it
        return math.inf


def no_work(**_: Any) -> float:
    """So little that one thread does it."""
    return 0.0


def work_of_capacity(units: int, trials: int, **_: Any) -> float:
    """Of `capacity`: 64 units are updated between two products with all networks."""
    return 2.0 * 64 * units * trials


def work_of_maxcut(graph: str | None, vertices: int, starts: int, **_: Any) -> float:
    """Of `maxcut`: the same; a graph in a file is taken to be as large as its lines."""
    if graph is not None and Path(graph).is_file():
        vertices = min(5000, Path(graph).stat().st_size // 10)
    return 2.0 * 64 * vertices * starts


def work_of_tsp(cities: int, starts: int, **_: Any) -> float:
    """Of `tsp`: one product of all states with all weights."""
    return 2.0 * cities**4 * starts
