"""The decay of a gradient beside the logarithm of the spectral radius, and beside the largest Lyapunov exponent.

    python benchmarks/spectral_radius.py [--json]

Untrained tanh networks of 64 units, float64, lags 100 to 500, with recurrent matrices of three kinds: orthogonal
times a scale; random (Glorot) times a scale; and one that is far from normal, upper triangular, which has its scale
as its only eigenvalue. Each without input, where the network is linear, and with noise of two sizes.
"""

from __future__ import annotations

import argparse
import json
import math

import torch

import unrolled
from unrolled.cells.initial import recurrent_
from unrolled.insight import gradient_through_time, lyapunov

UNITS, INPUTS, STEPS, FIT = 64, 8, 701, (100, 500)
SCALES, SIZES = (0.5, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0), (0.0, 0.1, 1.0)
KINDS = ("orthogonal", "random", "triangular")


def network(kind: str, scale: float) -> unrolled.Recurrent:
    """An Elman layer whose W_hh is of this kind."""
    cell = recurrent_(unrolled.ElmanCell(INPUTS, UNITS), "glorot" if kind == "random" else "orthogonal", scale)
    if kind == "triangular":
        above = 0.2 * torch.triu(torch.randn(UNITS, UNITS), diagonal=1) / math.sqrt(UNITS)
        cell.h.weight.data = scale * (torch.eye(UNITS) + above)
    return unrolled.Recurrent(cell)


def measure() -> list[dict]:
    """One row for each network and size of input."""
    torch.manual_seed(1)
    rows = []
    for kind in KINDS:
        for scale in SCALES:
            layer, noise = network(kind, scale), torch.randn(STEPS, 2, INPUTS)
            for size in SIZES:
                found = gradient_through_time(layer, size * noise, fit=FIT)
                rows.append(
                    {
                        "matrix": kind,
                        "scale": scale,
                        "input": size,
                        "log_radius": math.log(found.radius["1.h"]),
                        "slope": found.decay["1.h"],
                        "exponent": float(lyapunov(layer, size * noise, count=1, skip=100).exponents[0]),
                    }
                )
    return rows


def check(rows: list[dict]) -> float:
    """Orthogonal matrices, linear network: within 5 % of the logarithm. The largest relative error."""
    errors = []
    for row in rows:
        if row["matrix"] == "orthogonal" and row["input"] == 0:
            error = abs(row["slope"] - row["log_radius"])
            assert error <= 0.05 * abs(row["log_radius"]) + 1e-6, row
            if row["scale"] != 1:
                errors.append(error / abs(row["log_radius"]))
    return max(errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = measure()
    largest = check(rows)
    if arguments.json:
        print(json.dumps({"rows": rows, "largest_error": largest}))
        return
    print(
        f"{'matrix':<12}{'scale':>6}{'log radius':>12}",
        *(f"input {size:g}: slope, exponent" for size in SIZES),
        sep="  ",
    )
    for k in range(0, len(rows), len(SIZES)):
        same = rows[k : k + len(SIZES)]
        first = same[0]
        shown = (f"{r['slope']:+15.3f} {r['exponent']:+9.3f}" for r in same)
        print(f"{first['matrix']:<12}{first['scale']:>6g}{first['log_radius']:>+12.3f}", *shown, sep="  ")
    print(f"orthogonal without input: largest error of the slope {largest:.1e} of log radius")


if __name__ == "__main__":
    main()
