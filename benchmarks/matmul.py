"""The products of the layers beside torch.mm and oneDNN, alone and in their place, as shares of the most possible.

    python benchmarks/matmul.py [--threads 2] [--cell lstm] [--shape T,N,D,H] [--only alone] [--limit 3] [--json]

The limit is that of multiply-adds between registers, on all threads at once, measured in turns with the rest. Alone:
the product of one step, that of all inputs, and the gradient of the recurrent matrix, each on the same numbers again
and again, after its result was compared. In place: the parts of a train step of a layer, with what they do besides.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import held  # noqa: F401
import torch
from competitors import Shape, numbers
from timing import Plan as Budget
from timing import interleave, limit
from torch.utils import mkldnn

import unrolled
from layers import SHAPES, _shape
from unrolled.compiler.plan import Array, Operand, Outer, Plan, Product
from unrolled.compiler.program import View
from unrolled.engine import native
from unrolled.engine.binding import Binding, Site
from unrolled.engine.compiled import compiled
from unrolled.engine.prepared import Prepared, prepared

CELLS = {"lstm": unrolled.LSTMCell, "elman": unrolled.ElmanCell, "gru": unrolled.GRUCell}
PARTS = ("packing", "inputs", "steps", "copies", "d inputs", "d weights")
NEAR = 1e-4
Call = Callable[[], object]


def _side(k: int) -> Operand:
    return Operand("array", k)


def product(x: torch.Tensor, w: torch.Tensor) -> tuple[Call, torch.Tensor]:
    """Ours: x (rows, depth) times w (units, depth), transposed, as a plan of nothing else; and where it goes."""
    (rows, depth), units = x.shape, len(w)
    arrays = (Array("x", "time", depth), Array("y", "time", units))
    view = View("w", 0, (units, depth), (depth, 1))
    plan = Plan("product", arrays, (), (), (view,), 0, False, (Product(_side(0), _side(1), 0, False, units),))
    site = Site(plan, ["w"])
    b, out = Binding(site, [w], x, 1, rows, site.split(1, rows), once=False), torch.empty(rows, units)
    b.set("x", x, depth, 1)
    b.set("y", out, units, 1)
    return (lambda: b.run(1, 1)), out


def gradient(d: torch.Tensor, x: torch.Tensor) -> tuple[Call, torch.Tensor]:
    """Ours: d (rows, units), transposed, times x (rows, depth); and where it goes."""
    (rows, units), depth = d.shape, x.shape[1]
    arrays = (Array("x", "time", depth), Array("d", "time", units))
    view = View("w", 0, (units, depth), (depth, 1))
    site = Site(Plan("gradient", arrays, (), (), (), 0, False, (), (), (Outer(view, _side(0), _side(1)),)), ["w"])
    split = site.split(1, rows)
    sides, sums = site.native.work_sizes(False, rows, *split)
    size = rows * sides + sums
    b, out = Binding(site, [], x, 1, rows, split, [size]), torch.empty(units, depth)
    b.set("x", x, depth, 1)
    b.set("d", d, units, 1)
    b.set_totals([out.data_ptr(), out.numel(), depth, 0])
    return (lambda: b.run(1, 1, b.extra[-1], size)), out


def alone(rows: int, depth: int, units: int, threads: int, budget: Budget, turned: bool) -> dict[str, float | None]:
    """Operations a second of each; ``turned``: of the gradient of the matrix."""
    x, w = torch.randn(rows, depth), torch.randn(rows if turned else units, units if turned else depth)
    a, b = (w.T, x) if turned else (x, w.T)
    mine, out = gradient(w, x) if turned else product(x, w)
    mine()
    want = a.double() @ b.double()
    if (out - want).abs().max() > NEAR * want.abs().max():
        raise SystemExit("the product is wrong")
    there = torch.empty_like(out)
    adds, count = limit(threads)
    calls: dict[str, Call] = {"ours": mine, "torch.mm": lambda: torch.mm(a, b, out=there), "limit": adds}
    if torch.backends.mkldnn.is_available() and not turned:
        linear, theirs = mkldnn.to_mkldnn(torch.nn.Linear(depth, units, bias=False)), x.to_mkldnn()
        calls["oneDNN"] = lambda: linear(theirs)
    with torch.no_grad():
        times = interleave(calls, budget)
    done = {name: count if name == "limit" else 2.0 * rows * depth * units for name in calls}
    return {name: t.median and done[name] / t.median for name, t in times.items()}


def operations(cell: unrolled.Cell, rows: int) -> list[list[float]]:
    """Of products, in each part of the forward and of the backward scan."""
    ready, made = prepared(cell), []
    assert isinstance(ready, Prepared)
    program = compiled(ready.text)
    for plan in (program.saving.plan, program.reverse.plan):
        size = [2.0 * rows * view.shape[0] * view.shape[1] for view in plan.packs]
        steps = sum(size[i.extra] for phase in plan.phases for i in phase.instructions if i.kind == "gemm")
        outer = sum(2.0 * rows * left * right for (_, left), (_, right) in (o.sides for o in plan.outers))
        before, after = (sum(size[p.pack] for p in products if p.pack >= 0) for products in (plan.before, plan.after))
        made.append([0.0, before, steps, 0.0, after, outer])
    return made


def in_place(cell: str, shape: Shape, threads: int, seconds: float) -> dict[str, float]:
    """Operations of products a second, in each part of a train step; `copies` and `outside` are shares of time."""
    layer: Any = unrolled.Recurrent(CELLS[cell](shape.D, shape.H), backend="engine")
    x, upstream = numbers(shape)
    x.requires_grad_()
    work, (adds, count) = operations(layer.cell, shape.T * shape.N), limit(threads)
    samples: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        samples.setdefault(name, []).append(value)

    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(samples.get("limit", ())) < 3:
        began = time.perf_counter()
        adds()
        note("limit", count / (time.perf_counter() - began))
        for p in (x, *layer.parameters()):
            p.grad = None
        native.module.spent()
        began = time.perf_counter()
        y = layer(x)[0]
        ahead = native.module.spent()
        y.backward(upstream)
        whole = time.perf_counter() - began
        back = native.module.spent()
        for which, spent, done in (("forward", ahead, work[0]), ("backward", back, work[1])):
            for name, took, of in zip(PARTS, spent, done, strict=True):
                if of:
                    note(f"{which} {name}", of / took)
        note("whole", sum(map(sum, work)) / whole)
        note("copies", (ahead[3] + back[3]) / whole)
        note("outside", (whole - sum(ahead) - sum(back)) / whole)
    return {name: statistics.median(values[1:]) for name, values in samples.items()}


def shown(name: str, found: dict[str, Any]) -> str:
    """One line, or several, with shares of the limit."""
    top = found["limit"] or float("nan")
    shares = {k: v if k in ("copies", "outside") else (v or float("nan")) / top for k, v in found.items()}
    del shares["limit"]
    parts = [f"{k} {'busy' if v != v else f'{v:.0%}'}" for k, v in shares.items()]
    lines = [", ".join(parts[k : k + 4]) for k in range(0, len(parts), 4)]
    return f"{name:<28} limit {top / 1e9:.0f} GF/s\n" + "\n".join(f"    {line}" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", action="append", choices=list(CELLS))
    parser.add_argument("--shape", action="append", type=_shape, metavar="T,N,D,H")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--limit", type=float, default=3.0, help="seconds a measurement (3)")
    parser.add_argument("--only", choices=("alone", "place"))
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    found: list[dict[str, Any]] = []

    def tell(name: str, about: dict[str, Any], figures: dict[str, Any]) -> None:
        found.append({"name": name, **about, **figures})
        if not told.json:
            print(shown(name, figures), flush=True)

    shapes = [shape for shape in told.shape or SHAPES if shape.N > 1]
    budget = Budget(samples=7, least=0.03, limit=told.limit)
    for T, N, D, H in shapes if told.only != "place" else []:
        sizes = {"step": (N, H, 4 * H), "inputs": (T * N, D, 4 * H), "gradient": (T * N, H, 4 * H)}
        for name, (rows, depth, units) in sizes.items():
            figures = alone(rows, depth, units, told.threads, budget, name == "gradient")
            tell(f"{name} {rows} x {depth} x {units}", {}, figures)
    for cell in (told.cell or CELLS) if told.only != "alone" else []:
        for shape in shapes:
            tell(f"{cell} {shape}", {"shape": list(shape)}, in_place(cell, shape, told.threads, told.limit))
    if told.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
