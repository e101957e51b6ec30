"""The layers beside torch.nn's, beside a Python loop over the cell, and beside JAX: time, share of the limit, memory.

    python benchmarks/layers.py [--cell lstm] [--shape T,N,D,H] [--lengths] [--threads K] [--quick]
        [--json | --markdown]

All compete in one process, turn by turn, and are compared by medians; a figure is shown only after its output and
its gradients were compared in the same run, otherwise FAILED, and the exit status is 1. The limit is that of
multiply-adds between registers on all threads, measured in turns with the rest. With UNROLLED_CPU=avx2 all are held
to AVX2. Samples that other processes disturbed are thrown away (see timing.py); `busy` stands where too few others
could be had. JAX takes part when it is installed. torch.nn.GRU resets after the recurrent matrix, our GRU and JAX's
before it: other values, the same cost.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import replace
from types import ModuleType

import held
import torch
from competitors import (
    BUILT_IN,
    CELLS,
    SAME_AS_TORCH,
    Shape,
    Side,
    build,
    check_reduced,
    difference,
    eager,
    further_from_double,
    numbers,
    random_lengths,
    torch_module,
    weights,
)
from layers_table import MARKDOWN, Table, markdown
from memory import peak_mib
from timing import Plan, Timing, busy_seconds, interleave, large_products, limit, processor

from unrolled.engine import native

SHAPES = [
    *(Shape(50, 50, 128, 128), Shape(100, 32, 256, 256), Shape(64, 64, 512, 512)),
    *(Shape(35, 20, 200, 200), Shape(100, 128, 512, 1024)),
    *(Shape(100, 1, 64, 128), Shape(200, 16, 32, 64)),
]
QUICK_SHAPES = [Shape(20, 64, 64, 64), Shape(30, 1, 32, 32)]
LENGTHS_SHAPE = Shape(50, 50, 128, 128)
QUICK = Plan(samples=3, least=0.1, limit=6)
FEW = {"eager": 3}
EAGER_OPERATIONS = 1e11
"""Above this many a step, the loop over the cell is checked against but not timed: it would take seconds a step."""
Failures = dict[str, str]


class Bench:
    """Measures one cell at one shape after another."""

    def __init__(self, plan: Plan, threads: int) -> None:
        self.plan, self.threads, self.jax = plan, threads, _jax(threads)
        self.adds, self.count = limit(threads)

    def machine(self) -> dict:
        products, size = large_products()
        times = interleave(products | {"limit": self.adds}, replace(self.plan, limit=max(self.plan.limit, 5.0)))
        speed = {name: t.median and (self.count if name == "limit" else size) / t.median for name, t in times.items()}
        return {
            "processor": processor(),
            "path": native.path(),
            "held": held.PATH,
            "limit_gflops": speed["limit"] and speed["limit"] / 1e9,
            "products_of_limit": {
                name: s and speed["limit"] and s / speed["limit"] for name, s in speed.items() if name != "limit"
            },
            "threads": self.threads,
            "processors": os.cpu_count(),
            "torch": torch.__version__,
            "jax": self.jax.jax.__version__ if self.jax else None,
            "others_watched": busy_seconds() is not None,
        }

    def row(self, cell: str, shape: Shape) -> dict:
        """Everything about one cell at one shape."""
        torch.manual_seed(0)
        layer = build(cell, shape.D, shape.H)
        sides, failed = self._checked_sides(cell, layer, shape)
        row: dict = {"cell": cell, "shape": list(shape), "size": shape.size, "failed": failed}
        if "ours" in failed:
            return row
        train = self._times(sides, "train", with_limit=True)
        least = train.pop("limit").median
        row |= _figures("train", train) | _figures("forward", self._times(sides, "forward"))
        ours = train["ours"].median
        row["limit_gflops"] = least and self.count / least / 1e9
        row["of_limit"] = least and ours and shape.operations(cell) / ours / (self.count / least)
        names = [name for name in ("ours", "torch.nn") if name in sides]
        row["memory_mib"] = {name: memory_of(name, cell, shape, self.threads) for name in names}
        return row

    def lengths(self, cell: str, shape: Shape) -> dict:
        """Random lengths beside none."""
        torch.manual_seed(0)
        layer, given, lengths = build(cell, shape.D, shape.H), numbers(shape), random_lengths(shape)
        sides = {"ours": Side(layer, *given), "lengths": Side(layer, *given, lengths)}
        row: dict = {"cell": cell, "shape": list(shape), "steps": int(lengths.sum()), "failed": {}}
        wrong = check_reduced(cell, layer, shape, with_lengths=True) or difference(
            sides["lengths"].results(), Side(eager(layer), *given, lengths).results(), shape.tolerance()
        )
        without = check_reduced(cell, layer, shape)
        row["failed"] = {name: text for name, text in (("lengths", wrong), ("ours", without)) if text}
        if row["failed"]:
            return row
        for what in ("train", "forward"):
            times = self._times(sides, what)
            row[what] = {name: timing.figures() for name, timing in times.items()}
            row[f"{what}_ratio"] = _ratio(times["lengths"], times["ours"])
        return row

    def _checked_sides(self, cell: str, layer: torch.nn.Module, shape: Shape) -> tuple[dict, Failures]:
        """All that compete, without those whose values or gradients are wrong."""
        x, upstream = numbers(shape)
        sides: dict = {"ours": Side(layer, x, upstream), "eager": Side(eager(layer), x, upstream)}
        if cell in BUILT_IN:
            sides["torch.nn"] = Side(torch_module(cell, layer), x, upstream)
        else:
            sides["lstm"] = Side(build("lstm", shape.D, shape.H), x, upstream)
        if self.jax and cell in BUILT_IN:
            sides["jax"] = self.jax.Scan(cell, x, upstream, weights(layer))
        failed = _check(cell, sides, shape)
        if reduced := check_reduced(cell, layer, shape):
            failed["ours"] = reduced
        if shape.operations(cell) > EAGER_OPERATIONS:
            del sides["eager"]
        return {name: side for name, side in sides.items() if name not in failed}, failed

    def _times(self, sides: dict, what: str, with_limit: bool = False) -> dict[str, Timing]:
        calls = {name: getattr(side, what) for name, side in sides.items()}
        return interleave(calls | ({"limit": self.adds} if with_limit else {}), self.plan, FEW)


def _check(cell: str, sides: dict, shape: Shape) -> Failures:
    """Each against torch.nn where that is the same function, otherwise against the equation step by step."""
    reference = "torch.nn" if cell in SAME_AS_TORCH else "eager"
    want, failed = sides[reference].results(), {}
    for name in sides.keys() - {reference, "torch.nn", "lstm"}:
        got = sides[name].results()
        wrong = difference(got, want, shape.tolerance())
        if wrong and reference == "eager":
            truth = Side(eager(sides["eager"].layer, torch.float64), sides["eager"].x, sides["eager"].upstream)
            wrong = further_from_double(got, want, truth.results())
        if wrong:
            failed[name] = wrong
    if "lstm" in sides:
        lstm = sides["lstm"]
        theirs = Side(torch_module("lstm", lstm.layer), lstm.x, lstm.upstream)
        if wrong := difference(lstm.results(), theirs.results(), shape.tolerance()):
            failed["lstm"] = wrong
    return failed


def _figures(what: str, times: dict[str, Timing]) -> dict:
    """For --json: the times, and how many times as long as ours each competitor takes."""
    ours = times["ours"]
    ratios = {name: _ratio(timing, ours) for name, timing in times.items() if name != "ours"}
    return {what: {name: timing.figures() for name, timing in times.items()}, f"{what}_ratio": ratios}


def _ratio(one: Timing, other: Timing) -> float | None:
    return one.median / other.median if one.median and other.median else None


def memory_of(name: str, cell: str, shape: Shape, threads: int) -> float | None:
    """Peak of a train step in MiB, from a process of its own."""
    command = [sys.executable, __file__, "--memory-of", name, "--cell", cell, "--shape", shape, "--threads", threads]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _own_memory(name: str, cell: str, shape: Shape) -> float | None:
    """What the process that `memory_of` starts measures of itself."""
    layer = build(cell, shape.D, shape.H)
    layer = torch_module(cell, layer) if name == "torch.nn" else layer
    Side(layer, *numbers(Shape(2, 1, shape.D, shape.H))).train()
    side = Side(layer, *numbers(shape))
    for p in (side.x, *layer.parameters()):
        p.grad = None
    return peak_mib(side.train)


def _jax(threads: int) -> ModuleType | None:
    """The JAX cells, if JAX is installed, on as many threads."""
    for name in ("NPROC", "PJRT_NPROC"):  # which of the two counts depends on the version
        os.environ.setdefault(name, str(threads))
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        import lax_scan
    except ImportError:
        return None
    return lax_scan


def geometric_means(rows: list[dict]) -> list[dict]:
    """Of the ratios, for each cell and size, over the shapes that have them."""
    means = []
    for cell, size in dict.fromkeys((row["cell"], row["size"]) for row in rows):
        mine = [row for row in rows if (row["cell"], row["size"]) == (cell, size)]
        mean: dict = {"cell": cell, "size": size, "shapes": len(mine)}
        for what in ("train_ratio", "forward_ratio"):
            names = dict.fromkeys(name for row in mine for name in row.get(what, ()))
            known = {name: [r for row in mine if (r := row.get(what, {}).get(name))] for name in names}
            mean[what] = {name: statistics.geometric_mean(ratios) for name, ratios in known.items() if ratios}
            mean[f"{what}_shapes"] = {name: len(ratios) for name, ratios in known.items()}
        means.append(mean)
    return means


def run(arguments: argparse.Namespace) -> dict:
    """Measure everything, showing each row when it is there."""
    plan = QUICK if arguments.quick else Plan()
    if arguments.limit:
        plan = replace(plan, limit=arguments.limit)
    bench = Bench(plan, arguments.threads)
    table = Table(quiet=arguments.json)
    result: dict = {"machine": bench.machine(), "rows": [], "lengths": []}
    table.machine(result["machine"])
    shapes = arguments.shape or (QUICK_SHAPES if arguments.quick else SHAPES)
    for group in (BUILT_IN, set(CELLS) - set(BUILT_IN)):
        for cell in (c for c in arguments.cell or CELLS if c in group):
            for shape in shapes:
                result["rows"].append(bench.row(cell, shape))
                table.row(result["rows"][-1])
    result["geometric_means"] = geometric_means(result["rows"])
    table.means(result["geometric_means"])
    if arguments.lengths:
        for cell in arguments.cell or CELLS:
            result["lengths"].append(bench.lengths(cell, LENGTHS_SHAPE))
            table.lengths(result["lengths"][-1])
    result["failed"] = any(row["failed"] for row in result["rows"] + result["lengths"])
    return result


def _shape(text: str) -> Shape:
    try:
        shape = Shape(*map(int, text.split(",")))
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is no shape; give four whole numbers T,N,D,H") from None
    if min(shape) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: each of T,N,D,H must be at least 1")
    return shape


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", action="append", choices=CELLS, help="only this cell; may be repeated")
    parser.add_argument("--shape", action="append", type=_shape, metavar="T,N,D,H", help="may be repeated")
    parser.add_argument("--lengths", action="store_true", help=f"also random lengths at {LENGTHS_SHAPE}")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--limit", type=float, help=f"seconds a measurement ({Plan.limit:g})")
    parser.add_argument("--quick", action="store_true", help="little shapes, few short samples: does it work?")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true", help="the rows as the documentation has them, at the end")
    parser.add_argument("--memory-of", choices=("ours", "torch.nn"), help=argparse.SUPPRESS)
    return parser


def main() -> int:
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.memory_of:
        print(json.dumps(_own_memory(arguments.memory_of, arguments.cell[0], arguments.shape[0])))
        return 0
    result = run(arguments)
    if arguments.json:
        print(json.dumps(result))
    if arguments.markdown:
        print("", MARKDOWN, *map(markdown, result["rows"]), sep="\n")
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
