"""Memory of the engine: large blocks are kept for their next use, as many as were in use at one time."""

import gc
import os
import resource
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from engine.test_modes import run_python
from unrolled.engine import fresh, native

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine was not built")
LIKE = torch.empty(0)
MIB = 1 << 18  # numbers of float32


@pytest.fixture(autouse=True)
def _begins_empty():
    gc.collect()
    native.module.empty_pool()
    yield
    native.module.empty_pool()


def used_and_kept():
    return tuple(native.module.pool_sizes())


def test_an_array_is_as_any_other():
    before = used_and_kept()[0]
    for dtype in (torch.float32, torch.float64):
        made = fresh.empty(torch.empty(0, dtype=dtype), 3, MIB, 2)
        assert (
            made.shape == (3, MIB, 2) and made.is_contiguous() and made.dtype == dtype and made.data_ptr() % 64 == 0
        )
        made.fill_(1)
        assert made.sum() == made.numel() and not made.requires_grad
    part = made[1, 5:7]
    del made
    assert used_and_kept()[0] - before >= 3 * 2 * MIB * 8  # a view keeps the whole
    part += 1
    del part
    assert used_and_kept()[0] == before


def test_what_is_small_does_not_come_from_there():
    before = used_and_kept()
    kept = fresh.empty(LIKE, MIB // 16)
    assert used_and_kept() == before and kept.shape == (MIB // 16,)


def test_a_block_is_used_again():
    first = fresh.empty(LIKE, 4 * MIB)
    address = first.data_ptr()
    del first
    assert fresh.empty(LIKE, 3 * MIB).data_ptr() == address
    assert fresh.empty(LIKE, MIB).data_ptr() != address  # less than half of it


def test_an_array_that_nobody_took_over_goes_back():
    before = used_and_kept()[0]
    native.module.empty(False, [4 * MIB])
    assert used_and_kept()[0] == before


@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=30))
@settings(deadline=None)
def test_no_more_is_held_than_a_quarter_above_what_was_in_use(steps):
    native.module.empty_pool()
    base, held, most = used_and_kept()[0], [], 0
    for size, drop in steps:
        held.append(fresh.empty(LIKE, size * MIB))
        used, kept = used_and_kept()
        most = max(most, used)
        assert used + kept <= 1.25 * most + (64 << 10)
        if drop and held:
            held.pop(0)
    del held
    used, kept = used_and_kept()
    assert used == base
    native.module.empty_pool()
    assert used_and_kept() == (base, 0)


def test_no_two_arrays_share_memory():
    arrays = [fresh.empty(LIKE, n * MIB).fill_(n) for n in (1, 2, 3)]
    del arrays[1]
    arrays += [fresh.empty(LIKE, n * MIB).fill_(n) for n in (4, 2, 1)]
    for array in arrays:
        assert (array == array[0]).all() and len(array) == array[0] * MIB


def test_threads_take_and_give_at_the_same_time():
    wrong = []

    def work(number):
        for k in range(30):
            array = fresh.empty(LIKE, (1 + k % 3) * MIB).fill_(number)
            if not (array == number).all():
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_that_is_forked_has_its_own():
    out = run_python(
        """
        import os, torch
        torch.set_num_threads(1)  # OpenMP of the parent does not run in its child
        from unrolled.engine import fresh
        like = torch.empty(0)
        mine = fresh.empty(like, 1 << 20).fill_(1)
        spare = fresh.empty(like, 1 << 20)
        del spare
        child = os.fork()
        if not child:
            other = fresh.empty(like, 1 << 20).fill_(2)
            os._exit(0 if (mine == 1).all() and (other == 2).all() else 1)
        print(os.waitpid(child, 0)[1], (mine == 1).all().item())
        """
    )
    assert out.split() == ["0", "True"]


def test_memory_that_does_not_exist_is_an_error_of_python():
    with pytest.raises((MemoryError, ValueError)):
        fresh.empty(LIKE, 1 << 45)


SCARCE = """
    import resource, torch, unrolled
    torch.manual_seed(0)
    torch.set_num_threads(1)
    layer = unrolled.Recurrent(unrolled.LSTMCell(16, 64), backend="engine")
    small = torch.randn(9, 8, 16, requires_grad=True)
    large = torch.randn(2000, 64, 16, requires_grad=True)  # 125 MiB of gates
    learned = list(layer.parameters())

    def gradients(x, room=None):
        y = layer(x)[0]
        if room is not None:
            limit(room)
        return torch.autograd.grad(y.sum(), [x, *learned])

    def limit(room):
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (-1 if room < 0 else used + room, -1))

    truth, whole = gradients(small), gradients(large)
    for before, between in ((20 << 20, None), (-1, 1 << 20)):  # ahead of the forward scan, and of the backward scan
        unrolled.engine.native.module.empty_pool()
        limit(before)
        try:
            gradients(large, between)
            print("enough")
        except (MemoryError, RuntimeError) as error:
            print(type(error).__name__, "memory" in str(error).lower() or isinstance(error, MemoryError))
        limit(64 << 20)
        assert all(map(torch.equal, gradients(small), truth))
        limit(-1)
        assert all(map(torch.equal, gradients(large), whole))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads what the process has from Linux")
def test_memory_that_runs_out_in_a_scan_is_an_error_and_the_next_call_is_right():
    for line in run_python(SCARCE).splitlines():
        assert line.split()[1:] == ["True"], line


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="page faults are those of Linux")
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer keeps freed memory for a while")
@pytest.mark.parametrize("cell", [unrolled.LSTMCell, unrolled.GRUCell])
def test_a_steady_training_loop_has_no_page_faults(cell):
    """Of the engine: the loop's own tensors are made once."""
    layer = unrolled.Recurrent(cell(64, 256), backend="engine")
    x, upstream = torch.randn(60, 64, 64, requires_grad=True), torch.randn(60, 64, 256)
    faults = []
    for _ in range(8):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        layer(x)[0].backward(upstream)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    assert max(faults[4:]) < 60, faults  # the saved gates alone are 3,840 pages a step
