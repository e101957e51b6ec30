"""Another device beside the CPU: values and gradients of every layer and feature, a text, speed beside torch.nn.

    python benchmarks/on_cuda.py [--device cuda] [--minutes 1] [--text FILE] [--only check|text|speed]

Values and gradients are compared in double precision, so that an error is one of the program and not of rounding.
The text is trained, scored and sampled by the command line, as a person would do it; without a file it is the source
code of the Python standard library. Speeds are medians of interleaved train steps, each followed by a wait for the
device. Where anything differs, the exit status is 1. ``--device cpu`` tries the program itself.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from competitors import BUILT_IN, SAME_AS_TORCH, build, torch_module
from own_cells import OWN_CELLS
from torch import Tensor, nn

import unrolled
from layers import SHAPES

CLOSE = 1e-9
"""Of the largest element, in double precision: some thousand sums in another order come to 1e-13."""
T, N, D, H = 13, 5, 6, 8
Call = dict[str, Any]


def layers() -> Iterator[tuple[str, nn.Module]]:
    """Every kind of layer."""
    cells = {"lstm": unrolled.LSTMCell, "lstm1997": unrolled.LSTM1997Cell, "elman": unrolled.ElmanCell}
    cells |= OWN_CELLS
    for name, cell in cells.items():
        yield name, unrolled.Recurrent(cell(D, H))
    for reset in ("before", "after"):
        yield f"gru, reset {reset}", unrolled.Recurrent(unrolled.GRUCell(D, H, reset=reset))
    yield "reverse", unrolled.Recurrent(unrolled.LSTMCell(D, H), reverse=True)
    yield "checkpoint", unrolled.Recurrent(unrolled.GRUCell(D, H), checkpoint=3)
    yield "bidirectional", unrolled.LSTM(D, H, bidirectional=True)
    yield "two layers", unrolled.GRU(D, H, num_layers=2)
    for backend in ("torch", "eager"):
        yield f"backend {backend}", unrolled.Recurrent(unrolled.LSTMCell(D, H), backend=backend)


def calls() -> Iterator[tuple[str, Call]]:
    """Every way to call one."""
    lengths, resets = torch.tensor([13, 1, 0, 7, 12]), torch.rand(T, N) < 0.2
    yield "plain", {}
    yield "lengths", {"lengths": lengths}
    yield "resets", {"resets": resets}
    yield "lengths and resets", {"lengths": lengths, "resets": resets}


def found(layer: nn.Module, x: Tensor, call: Call, device: str) -> dict[str, Tensor]:
    """Output, final states, gradients, and the gradient of their squares' sum, on a device."""
    layer = layer.to(device)
    call = {name: t.to(device) for name, t in call.items()}
    x = x.to(device).requires_grad_()
    output, last = layer(x, **call)
    states = list(_tensors(last))
    learned = dict(layer.named_parameters())
    loss = output.square().sum() + sum(s.sin().sum() for s in states)
    first = torch.autograd.grad(loss, [x, *learned.values()], create_graph=True, allow_unused=True)
    made = {"output": output} | {f"state {k}": s for k, s in enumerate(states)}
    made |= {f"d {name}": g for name, g in zip(["x", *learned], first, strict=True) if g is not None}
    squares = sum(g.square().sum() for g in first if g is not None and g.requires_grad)
    if isinstance(squares, Tensor):
        made["second d x"] = torch.autograd.grad(squares, x, allow_unused=True)[0]
    return {name: t.detach().cpu() for name, t in made.items() if t is not None}


def _tensors(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
        return
    for part in state:
        yield from _tensors(part)


def check(device: str) -> list[str]:
    """What differs from the CPU."""
    wrong: list[str] = []
    for name, layer in layers():
        layer = layer.double()
        for way, call in calls():
            x = torch.randn(T, N, D, dtype=torch.float64)
            label = f"{name}, {way}"
            try:
                truth, other = found(layer, x, call, "cpu"), found(layer, x, call, device)
            except ValueError as error:  # a way that this layer does not have
                if way == "plain":
                    wrong.append(f"{label}: {error}")
                continue
            except RuntimeError as error:
                wrong.append(f"{label}: {str(error).splitlines()[0]}")
                continue
            for key, t in truth.items():
                off = float((other[key] - t).abs().max() / t.abs().max().clamp_min(1e-12))
                if not off <= CLOSE:
                    wrong.append(f"{label}: {key} differs by {off:.1e}")
    return wrong


def train(text: str, device: str, minutes: float) -> None:
    """A text, by the command line."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        more = [] if Path(text).is_file() else ["--include", "*.py"]
        for arguments in (
            ["train", text, *more, "--run", run, "--minutes", minutes, "--device", device],
            ["train", "--run", run, "--resume", "--minutes", 1.1 * minutes, "--device", device],
            ["evaluate", run],
            ["sample", run, "--length", 200],
        ):
            print(f"$ unrolled {' '.join(map(str, arguments))}", flush=True)
            done = subprocess.run([sys.executable, "-m", "unrolled", *map(str, arguments)], check=False)
            if done.returncode:
                raise SystemExit(f"exit status {done.returncode}")


def speeds(device: str, seconds: float) -> None:
    """Milliseconds a train step, ours and torch.nn's."""

    def wait() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    print(f"{'cell':<6} {'T,N,D,H':<18} {'ours, ms':>9} {'torch.nn':>9} {'ratio':>6}")
    for cell in BUILT_IN:
        for shape in SHAPES:
            layer = build(cell, shape.D, shape.H)
            sides = {"ours": layer.to(device), "torch.nn": torch_module(cell, layer).to(device)}
            x, upstream = (torch.randn(shape.T, shape.N, width, device=device) for width in (shape.D, shape.H))
            if cell in SAME_AS_TORCH:
                ours, theirs = (side(x)[0] for side in sides.values())
                if (ours - theirs).abs().max() > 1e-3:
                    raise SystemExit(f"{cell} {shape}: the outputs differ")
            taken: dict[str, list[float]] = {name: [] for name in sides}
            end = time.perf_counter() + seconds
            while time.perf_counter() < end or len(taken["ours"]) < 4:
                for name, side in sides.items():
                    wait()
                    start = time.perf_counter()
                    side.zero_grad()
                    side(x)[0].backward(upstream)
                    wait()
                    taken[name].append(1e3 * (time.perf_counter() - start))
            ours, theirs = (median(t[1:]) for t in taken.values())
            print(f"{cell:<6} {shape!s:<18} {ours:9.2f} {theirs:9.2f} {theirs / ours:6.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--text", default=sysconfig.get_path("stdlib"))
    parser.add_argument("--seconds", type=float, default=2.0, help="of each shape")
    parser.add_argument("--only", choices=("check", "text", "speed"))
    told = parser.parse_args()
    torch.manual_seed(0)
    torch.zeros(1, device=told.device)
    card = torch.cuda.get_device_name(told.device) if told.device.startswith("cuda") else told.device
    print(f"{card}, torch {torch.__version__}")
    parts: dict[str, Callable[[], Any]] = {
        "text": lambda: train(told.text, told.device, told.minutes),
        "speed": lambda: speeds(told.device, told.seconds),
    }
    wrong = check(told.device) if told.only in (None, "check") else []
    print(*wrong or ["values and gradients are those of the CPU"], sep="\n", flush=True)
    for name, part in parts.items():
        if told.only in (None, name):
            part()
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
