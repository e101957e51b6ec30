"""Blocks of steps, and threads that go through them at their own pace."""

import pytest
import torch

import unrolled
from engine.comparing import CLOSE, assert_same, case, results
from helpers import engine_on
from unrolled.engine import scan

THREADS = 8  # more than most machines have cores: some are interrupted, wherever they are
ROUNDS = 60  # where the sides of two blocks shared memory, every fourth round was wrong


@pytest.fixture(params=[1, 3, 4])
def steps(request, monkeypatch):
    """So many steps a block, the last block with fewer."""
    monkeypatch.setattr(scan, "_block_steps", lambda T, N, row_bytes: min(T, request.param))
    return request.param


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("flags", ["", "lengths+resets+state"])
@pytest.mark.parametrize("name", ["lstm", "gru", "layer-norm", "modulated"])
def test_blocks_do_not_change_the_result(name, flags, reverse, steps):
    c = case(name, T=10, N=5, flags=flags, reverse=reverse)
    truth = results(c, "eager")
    for threads, by_rows in ((1, True), (2, True), (2, False)):
        if by_rows or not (flags or name == "layer-norm"):
            with engine_on(threads, by_rows):
                assert_same(results(c), truth)


@pytest.mark.parametrize(("N", "H"), [(37, 24), (33, 180), (9, 24)], ids=["sums-apart", "sums-together", "units"])
def test_threads_that_are_far_apart_share_no_memory(N, H, monkeypatch):
    """Sums of each thread by itself, of all together where they are large, and threads that share the units."""
    monkeypatch.setattr(scan, "_block_steps", lambda T, N, row_bytes: min(T, 3))
    layer = unrolled.Recurrent(unrolled.LSTMCell(8, H, dtype=torch.float64), backend="engine")
    x, upstream = torch.randn(10, N, 8).double().requires_grad_(), torch.randn(10, N, H).double()

    def gradients():
        return torch.autograd.grad(layer(x)[0], [x, *layer.parameters()], upstream)

    with engine_on(1):
        truth = gradients()
    for _ in range(ROUNDS):
        with engine_on(THREADS, by_rows=N != 9):
            for found, right in zip(gradients(), truth, strict=True):
                torch.testing.assert_close(found, right, **CLOSE)
