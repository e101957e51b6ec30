"""One thread against several, shape by shape, and what the engine chooses.

    python benchmarks/threads.py [--cell lstm] [--hidden 64 128] [--batch 1 16] [--busy] [--json]

For each shape the least time of many turns of a forward call and of a train step (forward and backward), with one
thread and with all; ``chosen`` is the number that `unrolled.engine.team` picks for the forward and the backward scan,
and what the threads share, rows or units; on all threads they share the same.
Both results are compared before anything is timed. With ``--busy`` a loop keeps every core busy meanwhile, and the
figure is the mean, since the least would be the turn that was not disturbed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

os.environ.setdefault("GOMP_SPINCOUNT", "500")  # as the command line has it

import torch

import unrolled
from unrolled.engine import team
from unrolled.threads import cores

CELLS = {"lstm": unrolled.LSTMCell, "gru": unrolled.GRUCell, "elman": unrolled.ElmanCell}
SPLIT = team.split


def main() -> None:
    options = _options()
    torch.manual_seed(0)
    most = cores()
    if most < 2:
        raise SystemExit("This process may use one core only: there is nothing to compare.")
    if not options.json:
        print(f"{most} cores, {options.steps} steps{', all cores busy' if options.busy else ''}; microseconds")
        columns = [f"{what:>9} {f'on {most}':>8} ratio" for what in ("forward", "train")]
        print(f"cell      H   N {' '.join(columns)}   chosen")
    with started(most) if options.busy else nullcontext():
        for name in options.cell:
            for H in options.hidden:
                for N in options.batch:
                    row = _measure(name, options.steps, N, H, most, options.seconds, options.busy)
                    print(json.dumps(row) if options.json else _line(row), flush=True)


def _measure(name: str, T: int, N: int, H: int, most: int, seconds: float, mean: bool) -> dict:
    layer = unrolled.Recurrent(CELLS[name](H, H), backend="engine")
    x = torch.randn(T, N, H, requires_grad=True)
    d = torch.randn(T, N, H)

    def forward() -> None:
        with torch.no_grad():
            layer(x)

    def train() -> None:
        layer(x)[0].backward(d)

    chosen: list[tuple[int, bool]] = []

    def note(*call: Any, **more: Any) -> tuple[int, bool]:
        chosen.append(SPLIT(*call, **more))
        return chosen[-1]

    with mock.patch.object(team, "split", note):
        torch.set_num_threads(most)
        train()
    _check(layer, x, d, most)
    names = [f"{count} by {'rows' if by_rows else 'units'}" for count, by_rows in chosen]
    row: dict = {"cell": name, "T": T, "N": N, "H": H, "chosen": names}
    for what, call in (("forward", forward), ("train", train)):
        row[what] = _turns(call, (1, most), seconds, mean)
    return row


def _turns(call: Callable[[], None], counts: tuple[int, ...], seconds: float, mean: bool) -> list[float]:
    """Microseconds with each number of threads, which take turns of a few calls."""
    taken: dict[int, list[float]] = {count: [] for count in counts}
    end = time.perf_counter() + seconds * len(counts)
    while time.perf_counter() < end:
        for count in counts:
            with _on(count):
                for _ in range(5):
                    start = time.perf_counter()
                    call()
                    taken[count].append(1e6 * (time.perf_counter() - start))
    return [sum(t) / len(t) if mean else min(t) for t in taken.values()]


def _check(layer: torch.nn.Module, x: torch.Tensor, d: torch.Tensor, most: int) -> None:
    """No time is told of results that differ."""
    found = []
    for count in (1, most):
        with _on(count):
            x.grad = None
            layer.zero_grad()
            y, _ = layer(x)
            y.backward(d)
        found.append([y.detach(), x.grad, *(p.grad for p in layer.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)


@contextmanager
def _on(count: int) -> Iterator[None]:
    """So many threads, whatever the engine would choose."""
    torch.set_num_threads(count)
    with mock.patch.object(team, "split", lambda *call, **more: (count, SPLIT(*call, **more)[1])):
        yield


@contextmanager
def started(count: int) -> Iterator[list[int]]:
    """So many loops that each want a core; their processes."""
    loops = [multiprocessing.get_context("spawn").Process(target=_loop, daemon=True) for _ in range(count)]
    for loop in loops:
        loop.start()
    time.sleep(1)
    try:
        yield [loop.pid for loop in loops if loop.pid]
    finally:
        for loop in loops:
            loop.kill()  # also one that is stopped


def _loop() -> None:
    while True:
        pass


def _line(row: dict) -> str:
    parts = [f"{row['cell']:6} {row['H']:4} {row['N']:3}"]
    parts += [f" {one:8.0f} {all_:8.0f} {all_ / one:5.2f}" for one, all_ in (row["forward"], row["train"])]
    return " ".join(parts) + f"   {', '.join(row['chosen'])}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", nargs="+", choices=list(CELLS), default=list(CELLS))
    parser.add_argument("--hidden", nargs="+", type=int, default=[16, 32, 64, 128, 256, 512])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 2, 4, 7, 8, 16, 32, 64])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each figure")
    parser.add_argument("--busy", action="store_true", help="with a busy loop on every core")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
