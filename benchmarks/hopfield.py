"""The Hopfield network: how much it holds, how fast it recalls, and whether its energy ever rises.

    python benchmarks/hopfield.py recall      recall against load, N = 100, every rule
    python benchmarks/hopfield.py speed       10,000 recalls of N = 1,000, beside other packages where installed
    python benchmarks/hopfield.py critical    the load at which Hebb's rule breaks down, N = 500, 1,000, 2,000
    python benchmarks/hopfield.py energy      1,000,000 random updates of single units, each energy computed anew
    python benchmarks/hopfield.py tsp         Hopfield and Tank's travelling salesman, ten sets of ten cities
    python benchmarks/hopfield.py maxcut      random regular graphs

``speed`` compares with hopfieldkit and hopfieldnetwork (pip install --no-deps), at the same job: Hebb's rule, single
units in random order, from the same damaged patterns; what they recall is checked.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from memory import peak_mib

import unrolled
from unrolled.hopfield import maxcut, tsp
from unrolled.hopfield.asynchronous import plain_sweep
from unrolled.hopfield.capacity import critical_load, measure, wilson

Made = TypeVar("Made")

SEED = 1


def recall() -> None:
    print("N = 100, 15 % of units flipped, 1,000 trials a load, asynchronous: recalled exactly, and 95 % interval")
    loads = [7, 13, 19, 25, 40, 60]
    rules: list[tuple[str, bool, dict[str, Any]]]
    rules = [("hebb", False, {}), ("hebb", True, {}), ("storkey", False, {}), ("projection", False, {})]
    rules += [("perceptron", False, {}), ("perceptron", False, {"symmetric": False})]
    print(f"{'patterns':<40}" + "".join(f"{P:>21}" for P in loads))
    for rule, kept, options in rules:
        name = rule + (", diagonal kept" if kept else "") + (", not symmetric" if options else "")
        trials = 200 if rule == "perceptron" else 1000  # up to 1,000 epochs for each network
        name += f", {trials} trials" if trials < 1000 else ""
        made = measure(100, loads, rule, trials=trials, seed=SEED, self_connections=kept, options=options)
        print(f"{name:<40}" + "".join(f"{p.rate:>8.3f} {p.low:.3f}-{p.high:.3f}" for p in made.points), flush=True)
    for rule, options in (("dense", {}), ("dense", {"degree": 4}), ("softmax", {})):
        made = measure(100, loads, rule, trials=100, seed=SEED, options=options)
        name = f"{rule}, degree {options.get('degree', 3)}" if rule == "dense" else "softmax, gain 1"
        print(
            f"{name + ', 100 trials':<40}" + "".join(f"{p.rate:>8.3f} {p.low:.3f}-{p.high:.3f}" for p in made.points)
        )


def starts(patterns: torch.Tensor, count: int, share: float, seed: int) -> torch.Tensor:
    """Damaged copies of the patterns in turn, with that share of the units flipped."""
    draw = torch.Generator().manual_seed(seed)
    x = patterns[torch.arange(count) % len(patterns)].clone()
    for row in x:
        row[torch.randperm(x.shape[1], generator=draw)[: round(share * x.shape[1])]] *= -1
    return x


def timed(call: Callable[[], Made]) -> tuple[float, Made]:
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


def speed() -> None:
    N, P = 1000, 80
    print(f"N = {N:,}, {P} patterns, Hebb's rule, 15 % of units flipped, {torch.get_num_threads()} threads")
    xi = torch.randint(0, 2, (P, N), generator=torch.Generator().manual_seed(SEED)) * 2 - 1
    for dtype in (torch.float32, torch.float64):
        net = unrolled.Hopfield(xi, dtype=dtype)
        x = starts(net.patterns, 10_000, 0.15, SEED)
        seconds, found = timed(lambda: net.recall(x))  # noqa: B023
        batch, W = (t.numel() * t.element_size() / 2**20 for t in (x, net.patterns.new_empty(N, N)))
        peak = peak_mib(lambda: net.recall(x))  # noqa: B023
        print(f"unrolled, {dtype}: 10,000 recalls in {seconds:.2f} s; {found}")
        print(f"    memory at the highest, beyond W ({W:.0f} MiB) and the starts ({batch:.0f} MiB): {peak:.0f} MiB")
    count = 40
    P = 40
    xi = xi[:P]
    x = starts(xi, count, 0.15, SEED)
    targets = xi[torch.arange(count) % P].numpy()
    print(f"\nThe same {count} recalls of {P} patterns, one run")
    ours, net = timed(lambda: unrolled.Hopfield(xi))
    taken, found = timed(lambda: net.recall(x))
    report("unrolled", ours, taken, count, found.state.numpy() == targets)
    single, states = timed(lambda: np.stack([net.recall(one).state.numpy() for one in x]))
    report("unrolled, one at a time", ours, single, count, states == targets)
    for name, call in (("hopfieldkit", by_hopfieldkit), ("hopfieldnetwork", by_hopfieldnetwork)):
        try:
            learned, taken, states = call(xi.numpy(), x.numpy())
        except ImportError:
            print(f"{name:<24} not installed")
            continue
        report(name, learned, taken, count, states == targets)


def report(name: str, learned: float, taken: float, count: int, same: np.ndarray) -> None:
    right = int(same.all(1).sum())
    print(f"{name:<24} stored in {learned:7.3f} s, {1e3 * taken / count:8.2f} ms a recall, {right} of {count} exact")


def by_hopfieldkit(xi: np.ndarray, x: np.ndarray) -> tuple[float, float, np.ndarray]:
    import hopfieldkit

    learned, net = timed(lambda: hopfieldkit.HopfieldNetwork(xi.shape[1]).fit(xi))
    taken, states = timed(lambda: np.stack([net.recall(one, seed=SEED) for one in x]))
    return learned, taken, states


def by_hopfieldnetwork(xi: np.ndarray, x: np.ndarray) -> tuple[float, float, np.ndarray]:
    import hopfieldnetwork

    np.random.seed(SEED)  # noqa: NPY002 - the package draws from it

    def one(net: Any, start: np.ndarray) -> np.ndarray:
        net.set_initial_neurons_state(start.copy())
        net.update_neurons(0, "async", run_max=True)
        return net.S

    net = hopfieldnetwork.HopfieldNetwork(N=xi.shape[1])
    learned, _ = timed(lambda: [net.train_pattern(row) for row in xi])
    taken, states = timed(lambda: np.stack([one(net, start) for start in x]))
    return learned, taken, states


def critical() -> None:
    print("load at which half the runs keep an overlap above 0.9, starts at the stored patterns, 10 networks a load")
    whole = time.perf_counter()
    for N in (500, 1000, 2000):
        seconds, found = timed(lambda: critical_load(N, networks=10, seed=SEED))  # noqa: B023
        print(f"N = {N:>5,}: {found.load:.4f} ({found.low:.4f} to {found.high:.4f})  {seconds:.0f} s", flush=True)
    print(f"in all {time.perf_counter() - whole:.0f} s")


def energy() -> None:
    """40 gains from 0.05 to 50, each with 25 networks of 20 units, 1,000 updates, a fresh start every 20."""
    K, N, updates, rises, worst = 25, 20, 1000, 0, -math.inf
    draw = torch.Generator().manual_seed(SEED)
    for turn in range(40):
        phi = ("sign", "tanh", "logistic", "tanh")[turn % 4]
        W = torch.randn(K, N, N, generator=draw, dtype=torch.float64)
        W = (W + W.mT) / math.sqrt(2 * N)
        W.diagonal(dim1=1, dim2=2).copy_(torch.rand(K, N, generator=draw, dtype=torch.float64))
        theta = 0.3 * torch.randn(K, N, 1, generator=draw, dtype=torch.float64)
        gain = math.exp(float(torch.rand((), generator=draw)) * math.log(1000)) * 0.05
        tau = math.exp(float(torch.randn((), generator=draw)))
        net = unrolled.hopfield.wiring.Wiring(W, theta, phi, gain, tau=tau)
        for k in range(updates):
            if k % N == 0:  # as many as units: most updates change something
                v = torch.rand(K, N, 1, generator=draw, dtype=torch.float64)
                v = v if phi == "logistic" else 2 * v - 1
                v = torch.sign(v) if phi == "sign" else v
                before = net.energy(v)
            plain_sweep(net, v, torch.randint(0, N, (1,), generator=draw))
            after = net.energy(v)
            rise = (after - before) / (1 + before.abs())
            worst = max(worst, float(rise.max()))
            rises += int((rise > 1e-13).sum())
            before = after
    print(f"largest rise {worst:.1e} of 1 + |E|")
    print(f"{40 * K * updates:,} updates: {rises} rises above rounding (1e-13 of 1 + |E|)")


def salesman() -> None:
    for D in (500.0, 200.0):
        valid, ratio, best, nearest, random, sets, none = 0, [], [], [], [], 10, 0
        for seed in range(sets):
            found = tsp.solve(count=10, starts=100, seed=seed, constants=tsp.Constants(D=D))
            assert found.shortest is not None and found.nearest is not None
            valid += found.valid
            none += not found.valid
            ratio += [length / found.shortest for length in found.lengths]
            best += [min(found.lengths) / found.shortest] if found.valid else []
            nearest.append(found.nearest / found.shortest)
            random.append(found.random / found.shortest)
        low, high = wilson(valid, 100 * sets)
        share = f"{low:.3f} to {high:.3f}"
        print(f"D = {D:g}: {valid} of {100 * sets} starts valid ({share}), none in {none} of {sets} sets")
        print(
            f"    length over the shortest: mean {np.mean(ratio):.3f}, best of 100 starts {np.mean(best):.3f}; ",
            end="",
        )
        print(f"nearest neighbour {np.mean(nearest):.3f}, random {np.mean(random):.3f}", flush=True)


def cuts() -> None:
    for vertices, degree in ((20, 3), (100, 3), (800, 6)):
        seconds, found = timed(lambda: maxcut.solve(maxcut.regular(vertices, degree, SEED)))  # noqa: B023
        exact = "not known" if found.exact is None else f"{found.exact:g}"
        print(f"{vertices} vertices of degree {degree}, {found.total:g} edges: best {found.weight:g}, ", end="")
        print(f"mean {sum(found.cuts) / len(found.cuts):.1f}, binary units alone {found.single:.1f}, ", end="")
        print(f"random {found.half:g}, largest {exact}, bound {found.bound:.1f}; {seconds:.1f} s", flush=True)


PARTS = {"recall": recall, "speed": speed, "critical": critical, "energy": energy, "tsp": salesman, "maxcut": cuts}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        if part not in PARTS:
            sys.exit(f"unknown part {part!r}; there are {', '.join(PARTS)}")
        PARTS[part]()
        print()
