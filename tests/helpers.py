"""What several tests need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch

import unrolled
from unrolled.engine import team

TEXT = "".join(
    f"{n} times {m} is {n * m}, and {n} and {m} are {n + m}.\n" for n in range(1, 13) for m in range(1, 13)
)
"""5,000 characters that a small network can learn something about."""

TINY = {"hidden": 8, "batch": 4, "bptt": 20, "lr": 0.01, "threads": 1}
"""Settings for runs of a second."""

OWN_CELL = """
import torch
import unrolled

class Own(unrolled.Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x, self.h = (unrolled.Gates("a", n, hidden_size) for n in (input_size, hidden_size))

    def step(self, x, h):
        return torch.tanh(self.x.a(x) + self.h.a(h))
"""
"""The file of a person's own cell."""

PATIENCE = 600
"""Seconds until a process counts as hung. It says nothing of speed: a loaded machine takes ten times as long."""


class PeepholeLSTM(unrolled.Cell):
    """A person's own cell: the gates see the cell state (Gers & Schmidhuber 2000)."""

    state = ("h", "c")

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("i f g o", input_size, hidden_size)
        self.h = unrolled.Gates("i f g o", hidden_size, hidden_size, bias=False)
        self.p = torch.nn.Parameter(torch.randn(3, hidden_size) / 10)

    def step(self, x, h, c):
        i = torch.sigmoid(self.x.i(x) + self.h.i(h) + self.p[0] * c)
        f = torch.sigmoid(self.x.f(x) + self.h.f(h) + self.p[1] * c)
        g = torch.tanh(self.x.g(x) + self.h.g(h))
        c = f * c + i * g
        o = torch.sigmoid(self.x.o(x) + self.h.o(h) + self.p[2] * c)
        return o * torch.tanh(c), c


class TwoWidths(unrolled.Cell):
    """A cell whose states have different widths, and whose first state is learned."""

    state = ("h", "m")

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("a", input_size, hidden_size)
        self.h = unrolled.Gates("a", hidden_size, hidden_size, bias=False)
        self.read = torch.nn.Linear(hidden_size, 2)
        self.write = torch.nn.Linear(2, hidden_size)
        self.h0 = torch.nn.Parameter(torch.randn(hidden_size))

    def state_shapes(self):
        return {"h": (self.hidden_size,), "m": (2,)}

    def initial_state(self, batch, like=None):
        h, m = super().initial_state(batch, like)
        return h + self.h0, m

    def step(self, x, h, m):
        m = 0.5 * m + torch.tanh(self.read(h))
        h = torch.tanh(self.x(x) + self.h(h) + self.write(m))
        return h, m


def cells(D: int, H: int) -> dict[str, unrolled.Cell]:
    """Each built-in cell and some of a person's own, in double precision."""
    made = {
        "elman": unrolled.ElmanCell(D, H),
        "elman-relu": unrolled.ElmanCell(D, H, nonlinearity="relu"),
        "lstm": unrolled.LSTMCell(D, H),
        "lstm-no-bias": unrolled.LSTMCell(D, H, bias=False),
        "lstm1997": unrolled.LSTM1997Cell(D, H),
        "gru": unrolled.GRUCell(D, H),
        "gru-after": unrolled.GRUCell(D, H, reset="after"),
        "gru-after-no-bias": unrolled.GRUCell(D, H, reset="after", bias=False),
        "peephole": PeepholeLSTM(D, H),
        "two-widths": TwoWidths(D, H),
    }
    for cell in made.values():
        for name, p in cell.named_parameters():
            if "bias" in name or name == "d_n":
                torch.nn.init.normal_(p)  # zero biases would hide a wrong one
        cell.double()
    return made


KERNEL_CELLS = ("elman", "elman-relu", "lstm", "lstm-no-bias", "gru-after", "gru-after-no-bias")
ALL_CELLS = (*KERNEL_CELLS, "lstm1997", "gru", "peephole", "two-widths")


def seeded_results(layer, x, seed=0, **given):
    """Output, last states, and the gradients of a random function of them, by name, with these random numbers."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    torch.manual_seed(seed)
    output, last = layer(x, **given)
    torch.manual_seed(1)
    sum((part * torch.randn_like(part)).sum() for part in (output, *last)).backward()
    found = {"y": output, "dx": x.grad} | {f"s{k}": s for k, s in enumerate(last)}
    return found | {name: p.grad for name, p in layer.named_parameters() if p.grad is not None}


def assert_all_close(a, b):
    """Rounding of some hundred double-precision operations is below 1e-11."""
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-11, atol=1e-11, msg=lambda m, n=name: f"{n}: {m}")


def run_cli(*arguments: object, cwd: Path | None = None, **kwargs) -> subprocess.CompletedProcess:
    """The command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "unrolled", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "80"},
        timeout=PATIENCE,
        check=False,
        **kwargs,
    )


FORKS = """
import os, sys, torch
for program in sys.argv[1:]:
    if os.fork() == 0:
        exec(program)
        sys.exit()
    if os.wait()[1]:
        sys.exit("failed:" + program)
"""


def in_forks(*programs: str) -> list[str]:
    """The line that each prints, in a process of its own that has imported torch, and nothing of ours.

    They are forks of one process, since the import takes seconds; without forks each is a new process.
    """
    if hasattr(os, "fork"):
        calls = [[FORKS, *programs]]
    else:
        calls = [[program] for program in programs]
    done = [subprocess.run([sys.executable, "-c", *call], capture_output=True, text=True) for call in calls]
    assert not any(one.returncode for one in done), done
    return [line for one in done for line in one.stdout.splitlines()]


def history(run: Path) -> list[dict]:
    """The events of a run."""
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


@contextmanager
def engine_on(threads: int, by_rows: bool | None = None) -> Iterator[None]:
    """The engine on so many threads, whatever the work and the cores; each with rows of its own, or not."""
    chosen = mock.patch.object(team, "chosen", return_value=threads)
    split = mock.patch.object(team, "split", return_value=(threads, by_rows))
    with chosen if by_rows is None else split:
        yield


def wait_for(condition: Callable[[], bool]) -> None:
    """Return when the condition holds, whenever that is."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "the condition never came to hold"
        time.sleep(0.01)
