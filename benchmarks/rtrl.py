"""What a step of RTRL and its gradient take, by cell and size: `python benchmarks/rtrl.py`."""

from __future__ import annotations

import time
from statistics import median

import torch

import unrolled

CELLS = {"Elman": unrolled.ElmanCell, "GRU": unrolled.GRUCell, "LSTM": unrolled.LSTMCell}
INPUTS = 4


def seconds(cell: unrolled.Cell, steps: int = 30) -> float:
    """The median of a step."""
    rtrl, x = unrolled.RTRL(cell), torch.randn(1, INPUTS)
    times = []
    for _ in range(steps):
        begun = time.perf_counter()
        rtrl.step(x)[0].sum().backward()
        times.append(time.perf_counter() - begun)
    return median(times)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(f"{'units':>5}" + "".join(f"{name:>12}" for name in CELLS) + "   ms a step, N = 1")
    for units in (8, 32, 64):
        row = [seconds(cell(INPUTS, units)) for cell in CELLS.values()]
        print(f"{units:>5}" + "".join(f"{1e3 * one:>12.1f}" for one in row))
