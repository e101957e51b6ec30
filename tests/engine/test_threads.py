"""Threads of the engine: as many as the work is worth, and never more than the system starts."""

import pytest
import torch

import unrolled
from engine.comparing import assert_same, case, results
from engine.test_modes import run_python
from helpers import engine_on
from unrolled import threads
from unrolled.engine import native, team
from unrolled.engine.compiled import compiled
from unrolled.engine.prepared import prepared

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine was not built")
CELLS = {"lstm": unrolled.LSTMCell, "gru": unrolled.GRUCell, "elman": unrolled.ElmanCell}


def sites(name, D, H):
    """Of the forward scan that saves, and of the backward scan."""
    program = compiled(prepared(CELLS[name](D, H)).text)
    return program.saving_site, program.reverse_site


def chosen(monkeypatch, name, T, N, H, most=2, D=None):
    monkeypatch.setattr(threads, "cores", lambda: most)
    found = []
    for site in sites(name, D or H, H):
        found.append(team.split(most, site.work, site.barriers, T, N, site.plan.whole)[0])
    return found


@pytest.mark.parametrize(("name", "gates"), [("lstm", 4), ("gru", 3), ("elman", 1)])
def test_operations_are_those_of_the_matrices_and_a_few(name, gates):
    D, H = 48, 64
    recurrent, projection = 2 * gates * H * H, 2 * gates * D * H
    forward, backward = (site.work for site in sites(name, D, H))
    assert recurrent <= forward[0] < 1.6 * recurrent and forward[1] == projection
    assert recurrent <= backward[0] < 1.6 * recurrent
    assert backward[1] == recurrent + 2 * projection  # dW_hh; dW_xh and dx


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("T", "N", "H"), [(50, 1, 16), (50, 64, 16), (50, 1, 64), (30, 32, 32), (1, 64, 128)])
def test_little_work_runs_on_one_thread(monkeypatch, name, T, N, H):
    assert chosen(monkeypatch, name, T, N, H)[0] == 1


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("T", "N", "H"), [(100, 16, 256), (64, 64, 512), (50, 64, 256)])
def test_much_work_runs_on_all(monkeypatch, name, T, N, H):
    assert chosen(monkeypatch, name, T, N, H) == [2, 2]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("N", [2, 4, 7])
def test_few_rows_of_small_matrices_are_shared_out_and_of_large_ones_the_units(monkeypatch, name, N):
    """A small matrix takes less time than threads that wait for each other; a large one is read by each in part."""
    monkeypatch.setattr(threads, "cores", lambda: 2)
    for H, by_rows in ((64, True), (1024, False)):
        site = sites(name, H, H)[0]
        assert team.split(2, site.work, site.barriers, 2000, N, whole=False) == (2, by_rows)
        assert team.split(2, site.work, site.barriers, 2000, N, whole=True) == (2, True)


@pytest.mark.parametrize("name", CELLS)
def test_more_work_is_never_given_to_fewer_threads(monkeypatch, name):
    for N in (1, 4, 8, 32):
        counts = [chosen(monkeypatch, name, T, N, H, most=16) for T, H in ((5, 32), (50, 64), (50, 256), (200, 512))]
        assert counts == sorted(counts)


def test_the_number_is_the_lowest_of_torchs_and_the_cores(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 3)
    much = (1e9, 1e9)
    assert [team.chosen(k, much, 1, 10, 64, True) for k in (1, 2, 3, 100_000, 10**12)] == [1, 2, 3, 3, 3]


@pytest.mark.parametrize("flags", ["", "lengths+resets+state"])
@pytest.mark.parametrize(
    ("name", "N", "H"), [("lstm", 1, 70), ("gru", 5, 40), ("elman", 19, 33), ("layer-norm", 9, 9)]
)
def test_equal_results_on_one_two_and_three_threads(name, N, H, flags):
    c = case(name, T=6, N=N, H=H, flags=flags)
    with engine_on(1):
        one = results(c)
    for count, by_rows in ((2, False), (3, False), (2, True), (3, True)):
        with engine_on(count, by_rows):
            assert_same(results(c), one)


HUGE = """
    import torch, unrolled
    torch.manual_seed(0)
    layer, x = unrolled.LSTM(16, 512), torch.randn(7, 8, 16)  # torch's own operations are too small for its threads
    torch.set_num_threads(1)
    with torch.no_grad():
        truth = layer(x)[0]
        torch.set_num_threads(100_000)
        y = layer(x)[0]
        torch.set_num_threads(1)
    torch.testing.assert_close(y, truth)
    print("alive")
"""


def test_a_huge_number_of_torchs_does_not_crash_the_engine():
    assert run_python(HUGE) == "alive\n"


LIMITED = """
    import resource, torch, unrolled
    from unrolled.engine import team
    torch.manual_seed(0)
    torch.set_num_threads(1)
    layer, x = unrolled.LSTM(16, 64), torch.randn(40, 16, 16)
    with torch.no_grad():
        truth = layer(x)[0]
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + {room}, -1))
        team.chosen = lambda *call, **more: {threads}
        for _ in range(3):
            assert torch.allclose(layer(x)[0], truth, atol=1e-5)
    print("alive")
"""


@pytest.mark.skipif(not torch.backends.openmp.is_available(), reason="torch has no threads")
@pytest.mark.parametrize(("room", "threads"), [(4 << 20, 2), (60 << 20, 200), (60 << 20, 100_000)])
def test_threads_that_the_system_does_not_start(room, threads):
    """Each needs memory for its stack; OpenMP would end the process."""
    assert run_python(LIMITED.format(room=room, threads=threads)) == "alive\n"
