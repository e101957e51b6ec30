"""Random cells for as long as asked: ``python -m random_cells.fuzz --cells 100000 --from 0`` or ``--seconds 600``."""

from __future__ import annotations

import argparse
import collections
import itertools
import math
import multiprocessing
import re
import sys
import time
from collections.abc import Iterator
from queue import Empty

import torch

from random_cells.compare import run
from unrolled.engine import native


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--cells", type=int, help="how many")
    parser.add_argument("--seconds", type=float, help="for how long")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


def work(queue: multiprocessing.Queue, seeds: range | itertools.count, until: float) -> None:
    """Run seeds, each on the instruction set whose turn it is, while there is time; None is the end."""
    torch.set_num_threads(1)
    paths = native.paths()
    for seed in seeds:
        if time.monotonic() > until:
            break
        native.choose(paths[seed % len(paths)])
        outcome = run(seed)
        report = outcome.report() if outcome.failed else ""
        queue.put((seed, native.path(), outcome.kind, outcome.failed, _general(outcome.reason), report))
    queue.put(None)


def _general(reason: str) -> str:
    """The reason without the line and the numbers of one cell."""
    reason = re.sub(r" \(line \d+: .*", "", reason)
    return re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", reason)


def outcomes(given: argparse.Namespace) -> Iterator[tuple]:
    """What the processes find, as they find it."""
    until = time.monotonic() + given.seconds if given.seconds is not None else math.inf
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    started = []
    for k in range(given.processes):
        first, step = given.first + k, given.processes
        seeds = itertools.count(first, step) if given.cells is None else range(first, given.first + given.cells, step)
        started.append(context.Process(target=work, args=(queue, seeds, until), daemon=True))
        started[-1].start()
    running = len(started)
    while running:
        try:
            found = queue.get(timeout=10)
        except Empty:
            if any(p.exitcode not in (None, 0) for p in started):
                raise SystemExit("a process died; the last seeds printed say where") from None
            continue
        if found is None:
            running -= 1
        else:
            yield found


def main() -> int:
    given = arguments()
    if given.cells is None and given.seconds is None:
        given.seconds = 60.0
    kinds: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    reasons: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    examples: dict[tuple[str, str], int] = {}
    failed = last = 0
    for seed, path, kind, wrong, reason, report in outcomes(given):
        kinds[path][kind] += 1
        last = max(last, seed)
        if kind != "equal":
            name = "refused, though documented" if kind == "refused" and wrong else kind
            reasons[name][reason] += 1
            examples.setdefault((name, reason), seed)
        if wrong:
            failed += 1
            print(report, flush=True)
    print(f"seeds {given.first} to {last}")
    for path, counted in sorted(kinds.items()):
        print(
            f"{path}: {sum(counted.values())} cells, " + ", ".join(f"{n} {kind}" for kind, n in counted.most_common())
        )
    for kind, counted in sorted(reasons.items()):
        for reason, n in counted.most_common():
            print(f"{n:6d} {kind}: {reason} (seed {examples[kind, reason]})")
    print(f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
