"""What page faults cost in training: updates with freed memory kept, and given back to the system.

    python benchmarks/page_faults.py [--layers 5] [--hidden 128] [--batch 4] [--steps 3000] [--updates 20]

Each variant runs in new processes, in turns, since malloc remembers what it was told. An update is the forward and
backward scan of a stack of GRU layers over sequences of different lengths.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext

import torch

import unrolled
from unrolled import memory

VARIANTS = ("given back", "kept")


def measure(variant: str, layers: int, hidden: int, batch: int, steps: int, updates: int) -> dict[str, float]:
    """Of one process: the median of milliseconds of an update, and its page faults."""
    torch.manual_seed(0)
    stack = unrolled.Stack([unrolled.GRUCell(hidden, hidden) for _ in range(layers)])
    times, faults = [], 0
    with memory.kept() if variant == "kept" else nullcontext():
        for k in range(updates + 5):  # the first five are for the memory to grow
            x = torch.randn(steps + 10 * (k % 7), batch, hidden)
            before, began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
            stack(x, lengths=[len(x) - n for n in range(batch)])[0].sum().backward()
            if k >= 5:
                times.append(1e3 * (time.perf_counter() - began))
                faults += resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return {"ms": statistics.median(times), "faults": faults / updates}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"layers": 5, "hidden": 128, "batch": 4, "steps": 3000, "updates": 20}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    given = vars(parser.parse_args())
    rounds, variant = given.pop("rounds"), given.pop("variant")
    if variant:
        print(json.dumps(measure(variant, **given)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    for _ in range(rounds):
        for name in VARIANTS:
            command = [sys.executable, __file__, "--variant", name]
            command += [f"--{option}={value}" for option, value in given.items()]
            found[name].append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    print(f"{torch.get_num_threads()} threads; an update, medians of {rounds} processes")
    for name, each in found.items():
        ms, faults = (statistics.median(one[what] for one in each) for what in ("ms", "faults"))
        print(f"{name:12} {ms:7.1f} ms {faults:9,.0f} page faults")


if __name__ == "__main__":
    main()
