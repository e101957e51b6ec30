"""Random cells for as long as asked: ``python -m random_cells.fuzz --cells 100000 --from 0`` or ``--seconds 600``."""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import re
import sys
import time

import torch

from random_cells.compare import Outcome, run
from unrolled.engine import native


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--cells", type=int, help="how many")
    parser.add_argument("--seconds", type=float, help="for how long")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


def begin() -> None:
    torch.set_num_threads(1)


def one(seed: int) -> tuple[int, str, str, bool, str, str]:
    """The cell of that seed, on the instruction set whose turn it is."""
    paths = native.paths()
    native.choose(paths[seed % len(paths)])
    outcome: Outcome = run(seed)
    report = outcome.report() if outcome.failed else ""
    return seed, native.path(), outcome.kind, outcome.failed, _general(outcome.reason), report


def _general(reason: str) -> str:
    """The reason without the line and the numbers of one cell."""
    reason = re.sub(r" \(line \d+: .*", "", reason)
    return re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", reason)


def seeds(first: int, cells: int | None, until: float):
    """Seeds in order, while there is time."""
    seed = first
    while (cells is None or seed < first + cells) and time.monotonic() < until:
        yield seed
        seed += 1


def main() -> int:
    given = arguments()
    if given.cells is None and given.seconds is None:
        given.seconds = 60.0
    until = time.monotonic() + given.seconds if given.seconds is not None else float("inf")
    kinds: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    reasons: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    examples: dict[tuple[str, str], int] = {}
    failed = last = 0
    context = multiprocessing.get_context("spawn")
    with context.Pool(given.processes, begin) as pool:
        for seed, path, kind, wrong, reason, report in pool.imap_unordered(
            one, seeds(given.first, given.cells, until), 4
        ):
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
