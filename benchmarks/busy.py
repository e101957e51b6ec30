"""What a train step loses where other programs want the same cores, ours and torch.nn's.

    python benchmarks/busy.py [--cell lstm] [--shape T,N,D,H] [--loops 2] [--seconds 10] [--json]

Quiet and busy turns follow one another: as many loops as there are cores are stopped and go on. A figure is the mean
of a train step in milliseconds, over all turns of its kind: a median would leave out the steps that wait longest.
``lost`` says how many times as long a step takes where the cores are busy; a program that gets half of every core
loses a factor of 2.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Callable

os.environ.setdefault("GOMP_SPINCOUNT", "500")  # as the command line has it

import torch
from competitors import SAME_AS_TORCH, Side, build, check_reduced, numbers, torch_module
from threads import started

from layers import SHAPES, _shape
from unrolled.threads import cores

SETTLING = 0.2
"""Seconds until the scheduler has spread the loops."""


def measured(calls: dict[str, Callable[[], object]], pids: list[int], seconds: float) -> dict[str, dict[str, float]]:
    """Mean milliseconds of each call, quiet and busy."""
    taken: dict[str, dict[str, list[float]]] = {name: {"quiet": [], "busy": []} for name in calls}
    for call in calls.values():
        call()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for state, signum in (("quiet", signal.SIGSTOP), ("busy", signal.SIGCONT)):
            for pid in pids:
                os.kill(pid, signum)
            time.sleep(SETTLING)
            for name, call in calls.items():
                turn = time.perf_counter() + 0.5
                while time.perf_counter() < turn:
                    start = time.perf_counter()
                    call()
                    taken[name][state].append(1e3 * (time.perf_counter() - start))
    return {name: {state: sum(t) / len(t) for state, t in of.items()} for name, of in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", action="append", choices=list(SAME_AS_TORCH))
    parser.add_argument("--shape", action="append", type=_shape, metavar="T,N,D,H")
    parser.add_argument("--loops", type=int, default=cores(), help="that want a core each")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each line")
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    torch.manual_seed(0)
    if not told.json:
        print(f"{cores()} cores, {told.loops} busy loops; milliseconds a train step")
        head = f"{'quiet':>8} {'busy':>8} {'lost':>5}"
        print(f"{'':24} {'ours':>23} {'torch.nn':>23}\n{'cell':<6} {'T,N,D,H':<17} {head} {head}")
    with started(told.loops) as pids:
        for cell in told.cell or ["lstm"]:
            for shape in told.shape or SHAPES:
                layer = build(cell, shape.D, shape.H)
                if wrong := check_reduced(cell, layer, shape):
                    raise SystemExit(f"{cell} {shape}: {wrong}")
                given = numbers(shape)
                sides = {"ours": Side(layer, *given), "torch.nn": Side(torch_module(cell, layer), *given)}
                found = measured({name: side.train for name, side in sides.items()}, pids, told.seconds)
                if told.json:
                    print(json.dumps({"cell": cell, "shape": list(shape), **found}), flush=True)
                    continue
                parts = (f"{f['quiet']:8.2f} {f['busy']:8.2f} {f['busy'] / f['quiet']:5.2f}" for f in found.values())
                print(f"{cell:<6} {','.join(map(str, shape)):<17} {' '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
