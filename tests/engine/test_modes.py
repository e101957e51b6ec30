"""Ways to run: gradient modes, autocast, torch.compile, copies, threads of every kind, processes."""

import copy
import os
import pickle
import subprocess
import sys
import textwrap
import threading

import pytest
import torch

import unrolled
from engine.comparing import CLOSE, assert_same, case, results
from engine.own_cells import make
from helpers import PATIENCE, engine_on
from unrolled import Recurrent

PYTHON = [sys.executable, "-W", "error", "-c"]


@pytest.fixture
def two_threads():
    with engine_on(2):
        yield


def run_python(program, **env):
    """The program in a process of its own; a hang fails."""
    done = subprocess.run(
        [*PYTHON, textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=os.environ | {name: str(value) for name, value in env.items()},
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.parametrize("name", ["lstm", "gru", "layer-norm", "masked", "modulated"])
def test_without_gradients_the_values_are_the_same(name):
    for flags in ("", "lengths+resets+state"):
        c = case(name, flags=flags)
        truth = results(c)
        for mode in (torch.no_grad, torch.inference_mode):
            with mode():
                y, last = c.layer("engine")(c.x, c.state, c.lengths, c.resets, c.constants)
            assert not y.requires_grad
            torch.testing.assert_close(y, truth["y"], **CLOSE)
            torch.testing.assert_close(last[-1], truth[f"s{len(last) - 1}"], **CLOSE)


class LowRank(unrolled.Cell):
    """The recurrent matrix is a product of two."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("h", input_size, hidden_size)
        self.a = torch.nn.Parameter(torch.randn(hidden_size, 2))
        self.b = torch.nn.Parameter(torch.randn(2, hidden_size))

    def step(self, x, h):
        return torch.tanh(self.x.h(x) + h @ (self.a @ self.b))


@pytest.mark.parametrize("name", ["lstm", "gru", "layer-norm", "masked", "modulated", "low-rank"])
def test_autocast_changes_nothing(name):
    """What torch computes before the scan is computed in the type of x too."""
    torch.manual_seed(0)
    cell = LowRank(3, 4) if name == "low-rank" else make(name, 3, 4).float()
    layer = Recurrent(cell, backend="engine")
    x, constants = torch.randn(5, 2, 3), tuple(torch.randn(2, 2) for _ in cell.constants)
    plain = layer(x, constants=constants)[0]
    plain.sum().backward()
    grads = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x, constants=constants)[0]
    y.sum().backward()
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, plain, rtol=0, atol=0)
    for p, g in zip(layer.parameters(), grads, strict=True):
        torch.testing.assert_close(p.grad, g, rtol=0, atol=0)


def test_autocast_does_not_let_another_number_type_in():
    layer = Recurrent(unrolled.LSTMCell(3, 4), backend="engine")
    with (
        torch.autocast("cpu", torch.bfloat16),
        pytest.raises(ValueError, match="x has dtype torch.float64, but the weights have torch.float32"),
    ):
        layer(torch.randn(5, 2, 3, dtype=torch.float64))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "flags"),
    [("lstm", ""), ("lstm", "resets+state"), ("masked", "resets+state"), ("layer-norm", ""), ("modulated", ""),
     ("modules", "state")],
)  # fmt: skip
def test_compiled_by_torch_in_one_graph(name, flags):
    c = case(name, T=4, N=2, flags=flags)
    torch._dynamo.reset()
    layer = c.layer("engine")
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    truth = results(c)
    layer.zero_grad()
    x = c.x.clone().requires_grad_()
    y, last = compiled(x, c.state, None, c.resets, c.constants)
    torch.autograd.backward([y, *last], c.upstream)
    torch.testing.assert_close(y.detach(), truth["y"], **CLOSE)
    torch.testing.assert_close(x.grad, truth["dx"], **CLOSE)
    for label, p in layer.named_parameters():
        torch.testing.assert_close(p.grad, truth[f"d{label}"], **CLOSE)


@pytest.mark.filterwarnings("ignore")
def test_compiled_by_torch_before_the_first_run_and_with_lengths():
    c = case("gru", T=4, N=2, flags="lengths")
    torch._dynamo.reset()
    compiled = torch.compile(c.layer("engine"), fullgraph=True, backend="aot_eager")
    y, _ = compiled(c.x, None, c.lengths)
    torch.testing.assert_close(y.detach(), results(c)["y"], **CLOSE)
    with pytest.raises(RuntimeError, match="lengths must lie between 0 and T = 4"):
        compiled(c.x, None, c.lengths + 4)


@pytest.mark.parametrize("shared", [False, True])
def test_several_python_threads_at_once(two_threads, shared):
    cases = [case("lstm", T=9, N=4 + k, H=20, seed=k, flags="lengths+resets+state") for k in range(4)]
    if shared:
        cases = [c.but(cell=cases[0].cell) for c in cases]
    layers = [c.layer("engine") for c in cases]
    truth = [layer(c.x, c.state, c.lengths, c.resets)[0].detach() for layer, c in zip(layers, cases, strict=True)]
    wrong, start = [], threading.Barrier(len(cases))

    def work(k):
        c, layer = cases[k], layers[k]
        start.wait()
        for _ in range(15):
            x = c.x.clone().requires_grad_()
            y = layer(x, c.state, c.lengths, c.resets)[0]
            (dx,) = torch.autograd.grad(y.sum(), x)
            if not torch.allclose(y, truth[k], rtol=1e-10, atol=1e-10) or not dx.isfinite().all():
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(cases))]
    for t in threads:
        t.start()
    for t in threads:
        t.join(PATIENCE)
    assert not any(t.is_alive() for t in threads) and not wrong


@pytest.mark.parametrize("flags", ["", "lengths+resets+state"])
@pytest.mark.parametrize(("N", "H"), [(1, 70), (3, 70), (5, 300), (19, 9), (70, 33)])
def test_the_number_of_threads_changes_only_the_rounding(flags, N, H):
    c = case("lstm", T=4, N=N, H=H, flags=flags)
    outcomes = []
    for count in (1, 2, 3, 8):
        with engine_on(count):
            outcomes.append(results(c))
    for other in outcomes[1:]:
        assert_same(other, outcomes[0])


FEWER = """
    import torch, unrolled
    from unrolled.engine import team
    team.chosen = lambda *call, **more: 8
    torch.manual_seed(0)
    cell = unrolled.LSTMCell(3, 5, dtype=torch.float64)
    for N in (64, 5):
        for _ in range(4):
            x, lengths, resets = torch.randn(9, N, 3).double(), torch.randint(0, 10, (N,)), torch.rand(9, N) < 0.3
            a, b = (unrolled.Recurrent(cell, backend=k)(x, None, lengths, resets)[0] for k in ("engine", "eager"))
            torch.testing.assert_close(a, b)
"""


def test_fewer_threads_than_asked_for():
    """OpenMP may give less than was asked for."""
    run_python(FEWER, OMP_THREAD_LIMIT=3)


FORK = """
    import os, signal, torch, unrolled
    from unrolled.engine import team
    torch.set_num_threads(2)
    team.chosen = lambda *call, **more: torch.get_num_threads()
    layer = unrolled.Recurrent(unrolled.LSTMCell(8, 16), backend="engine")
    x = torch.randn(5, 64, 8)


    def update():
        layer.zero_grad()
        y = layer(x)[0]
        y.square().sum().backward()
        return [y.detach(), *(p.grad.clone() for p in layer.parameters())]

    truth = update()
    pending = layer(x)[0].square().sum()  # a forward pass before the fork, and a backward pass behind it
    child = os.fork()
    if child == 0:
        signal.alarm(300)  # a hang ends
        torch.set_num_threads(1)  # torch's own operations hang on a parent's OpenMP threads
        team.chosen = lambda *call, **more: 2
    layer.zero_grad()
    pending.backward()
    torch.testing.assert_close([p.grad for p in layer.parameters()], truth[1:])
    torch.testing.assert_close(update(), truth)
    if child == 0:
        for count in (1, 2):
            team.chosen = lambda *call, **more: count
            torch.testing.assert_close(update(), truth)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    torch.testing.assert_close(update(), truth)
    files = {line.split()[-1] for line in open("/proc/self/maps").read().splitlines() if "/" in line}
    names = {f.rsplit("/", 1)[1] for f in files}
    print(*[n for n in names if "omp" in n and ".so" in n])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and reads /proc")
def test_after_a_fork_and_with_one_openmp_runtime():
    """Two runtimes would each keep their own threads, and fight for the cores."""
    libraries = run_python(FORK, OMP_NUM_THREADS=2).split()
    assert len(libraries) == 1, libraries


@pytest.mark.parametrize("name", ["lstm", "masked", "peephole"])
def test_copies_of_a_layer_that_has_run(name):
    c = case(name)
    layer = c.layer("engine")
    y = layer(c.x)[0]
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(other(c.x)[0], y, rtol=0, atol=0)
        with torch.no_grad():
            next(other.parameters()).add_(1)
        assert not torch.equal(other(c.x)[0], y)
    torch.testing.assert_close(layer(c.x)[0], y, rtol=0, atol=0)
    fresh = Recurrent(make(name, 3, 4, seed=5), backend="engine")
    assert not torch.allclose(fresh(c.x)[0], y)
    fresh.load_state_dict(layer.state_dict())
    torch.testing.assert_close(fresh(c.x)[0], y, rtol=0, atol=0)


class Decaying(unrolled.Cell):
    """Its equation reads a number from the cell."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("h", input_size, hidden_size)
        self.decay = 0.9

    def step(self, x, h):
        return self.decay * h + self.x.h(x)


@pytest.mark.filterwarnings("ignore")
def test_torch_compiles_again_when_a_number_of_the_cell_changes():
    layer, x = Recurrent(Decaying(2, 3)), torch.randn(4, 1, 2)
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for decay in (0.9, 0.1, 0.2, 0.9):
        layer.cell.decay = decay
        torch.testing.assert_close(compiled(x)[0], layer(x)[0])
