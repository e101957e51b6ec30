"""Tracing and verification leave the cell alone: others may use it meanwhile, and what is shared stays shared."""

import gc
import threading
import time

import pytest
import torch
from torch import nn

import unrolled
from engine.looped import outputs
from unrolled.compiler.masking import masked


class Shared(unrolled.Cell):
    """One module under two names, and one parameter in two modules."""

    def __init__(self, input_size=3, hidden_size=4):
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("a", input_size, hidden_size)
        self.first = self.second = nn.Linear(hidden_size, hidden_size)
        self.third = nn.Linear(hidden_size, hidden_size, bias=False)
        self.third.weight = self.first.weight

    def step(self, x, h):
        return torch.tanh(self.x.a(x) + self.first(h) + self.second(h) * self.third(h))


def test_a_module_of_two_names_and_a_tied_parameter():
    cell, x = Shared().double(), torch.randn(5, 2, 3, dtype=torch.float64)
    tables = cell.first._parameters
    wanted, found = outputs(cell, x), unrolled.Recurrent(cell, backend="engine")(x)[0]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    assert cell.first._parameters is tables and type(tables) is dict
    for p, a, b in zip(
        cell.parameters(),
        torch.autograd.grad(found.sin().sum(), [*cell.parameters()]),
        torch.autograd.grad(wanted.sin().sum(), [*cell.parameters()]),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11, msg=str(p.shape))


@pytest.mark.parametrize("make", [lambda: unrolled.GRUCell(3, 4), Shared], ids=["built in", "own"])
def test_several_threads_make_the_first_call(make):
    for _ in range(5):
        cell = make().double()
        layer, x = unrolled.Recurrent(cell, backend="engine"), torch.randn(20, 8, 3, dtype=torch.float64)
        found, failed = [], []

        def call(layer=layer, x=x, found=found, failed=failed):
            try:
                found.append(layer(x)[0])
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=call) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not failed
        wanted = outputs(cell, x)
        for y in found:
            torch.testing.assert_close(y, wanted, rtol=0, atol=1e-12)


def test_threads_mask_a_module_at_once():
    """And neither waits for the other: what one does meanwhile may need what the other holds."""
    module, seen = nn.Linear(2, 2, bias=False), []
    own = module.weight

    def other():
        with masked(module, {"weight": torch.full((2, 2), 2.0)}):
            seen.append(module.weight[0, 0].item())

    with masked(module, {"weight": torch.ones(2, 2)}):
        thread = threading.Thread(target=other, daemon=True)
        thread.start()
        thread.join(60)
        assert seen == [2] and module.weight[0, 0] == 1
    assert module.weight is own


def test_threads_that_compile_at_once_hear_no_collection():
    failed = []

    def clock(*_):  # as a profiler of memory does at each collection: not the equation's doing
        time.perf_counter()

    def call(cell):
        try:
            unrolled.Recurrent(cell, backend="engine")(torch.randn(5, 2, 3, dtype=torch.float64))
        except Exception as error:
            failed.append(error)

    before = gc.get_threshold()
    gc.callbacks.append(clock)
    gc.set_threshold(1)
    try:
        for _ in range(5):
            threads = [threading.Thread(target=call, args=(Shared().double(),)) for _ in range(4)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(clock)
    assert not failed


def test_one_thread_sees_the_masks_and_another_the_cells_own():
    cell = Shared()
    own, mask = cell.first.weight, torch.zeros(4, 4)
    seen = {}

    def look():
        seen["other"] = cell.first.weight

    with masked(cell, {"first.weight": mask}):
        assert cell.second.weight is mask and cell.third.weight is mask
        assert dict(cell.named_parameters())["first.weight"] is mask
        other = threading.Thread(target=look)
        other.start()
        other.join()
    assert seen["other"] is own and cell.third.weight is own
