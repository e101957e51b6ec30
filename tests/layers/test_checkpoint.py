"""Checkpointed unrolling: the same values and gradients, in less memory."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

import unrolled
from engine.looped import outputs
from helpers import ALL_CELLS, PeepholeLSTM, assert_all_close, cells, seeded_results
from unrolled import Recurrent, VariationalDropout, WeightDrop, Zoneout

D, H, T, N = 3, 4, 9, 3


def resets_at(*steps):
    marks = torch.zeros(T, N, dtype=torch.bool)
    for n, t in enumerate(steps):
        marks[t, n] = True
    return marks


GIVEN = {
    "nothing": {},
    "lengths": {"lengths": torch.tensor([T, 0, 5])},
    "a reset at a segment's first step": {"resets": resets_at(4, 8, 4)},
    "resets at other steps": {"resets": resets_at(0, 3, 5)},
    "both": {"lengths": torch.tensor([T, 4, 6]), "resets": resets_at(4, 4, 5)},
}


@pytest.mark.parametrize("name", ALL_CELLS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("given", GIVEN)
def test_values_and_gradients_are_those_of_the_whole_run(name, reverse, given):
    torch.manual_seed(0)
    cell = cells(D, H)[name]
    x = torch.randn(T, N, D, dtype=torch.float64)
    state = tuple(torch.randn(N, *shape, dtype=torch.float64) for shape in cell.state_shapes().values())
    whole = seeded_results(Recurrent(cell, reverse=reverse, backend="eager"), x, state=state, **GIVEN[given])
    for steps, backend in ((4, "engine"), (4, "eager"), (1, "auto"), (T - 1, "auto")):
        layer = Recurrent(cell, reverse=reverse, backend=backend, checkpoint=steps)
        assert_all_close(seeded_results(layer, x, state=state, **GIVEN[given]), whole)


@pytest.mark.parametrize("reverse", [False, True])
def test_torchs_kernels_can_be_checkpointed(reverse):
    torch.manual_seed(0)
    cell = cells(D, H)["lstm"]
    x = torch.randn(T, N, D, dtype=torch.float64)
    for given in GIVEN.values():
        whole = seeded_results(Recurrent(cell, reverse=reverse), x, **given)
        layer = Recurrent(cell, reverse=reverse, backend="torch", checkpoint=4)
        assert_all_close(seeded_results(layer, x, **given), whole)


@pytest.mark.parametrize("backend", ["engine", "eager"])
def test_the_segments_are_computed_again_with_the_same_random_numbers(backend):
    torch.manual_seed(0)
    cell = WeightDrop(VariationalDropout(Zoneout(cells(D, H)["lstm"], 0.3), 0.4, p_x=0.2), 0.5)
    x = torch.randn(T, N, D, dtype=torch.float64)
    plain, saving = Recurrent(cell, backend=backend), Recurrent(cell, backend=backend, checkpoint=2)
    assert_all_close(seeded_results(saving, x, seed=7), seeded_results(plain, x, seed=7))


@pytest.mark.parametrize("backend", ["engine", "eager"])
def test_later_calls_and_modes_do_not_disturb_an_earlier_calls_gradient(backend):
    torch.manual_seed(0)
    cell = WeightDrop(Zoneout(cells(D, H)["gru"], 0.3), 0.5)
    x = torch.randn(T, N, D, dtype=torch.float64)
    grads = []
    for steps in (None, 2):
        layer = Recurrent(cell, backend=backend, checkpoint=steps).train()
        layer.zero_grad()
        torch.manual_seed(3)
        total = sum(layer(x)[0].sum() * k for k in (1, 2))
        layer.eval()
        total.backward()
        assert not cell.training and not cell.innermost.training
        grads.append([p.grad.clone() for p in layer.parameters()])
    torch.testing.assert_close(*grads, rtol=1e-11, atol=1e-11)


def test_a_cell_that_draws_in_its_step_draws_the_same_again():
    class Dropped(unrolled.ElmanCell):
        def step(self, x, h):
            return torch.nn.functional.dropout(super().step(x, h), 0.5, self.training)

    torch.manual_seed(0)
    cell = Dropped(D, H).double()
    x = torch.randn(T, N, D, dtype=torch.float64)
    plain, saving = Recurrent(cell, backend="eager"), Recurrent(cell, backend="eager", checkpoint=4)
    assert_all_close(seeded_results(saving, x, seed=7), seeded_results(plain, x, seed=7))


def test_no_gradient_no_checkpoint(monkeypatch):
    from unrolled.layers import checkpoint

    monkeypatch.setattr(checkpoint, "scan", None)  # calling it would fail
    layer = Recurrent(unrolled.GRUCell(D, H), checkpoint=2)
    with torch.no_grad():
        layer(torch.zeros(T, N, D))
    layer(torch.zeros(2, N, D))  # no longer than a segment
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        layer(torch.zeros(T, N, D))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "Elman"])
def test_the_option_of_the_standard_layers(kind):
    torch.manual_seed(0)
    options = {"num_layers": 2, "bidirectional": True, "dtype": torch.float64, "weight_drop": 0.2}
    plain = getattr(unrolled, kind)(D, H, **options)
    saving = getattr(unrolled, kind)(D, H, **options, checkpoint=4)
    saving.load_state_dict(plain.state_dict())
    assert "checkpoint=4" in repr(saving) and "checkpoint=4" in repr(saving.stack.layers[0].forward_layer)
    grads = []
    for layer in (plain, saving):
        torch.manual_seed(5)
        layer(torch.ones(T, N, D, dtype=torch.float64), lengths=[T, 2, 5])[0].sum().backward()
        grads.append([p.grad for p in layer.parameters()])
    torch.testing.assert_close(*grads, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["gru", "two-widths"])
@pytest.mark.parametrize("reverse", [False, True])
def test_first_and_second_derivatives_against_finite_differences(name, reverse):
    torch.manual_seed(0)
    cell = WeightDrop(cells(2, 2)[name], 0.3)
    layer = Recurrent(cell, reverse=reverse, checkpoint=2)
    x = torch.randn(5, 2, 2, dtype=torch.float64, requires_grad=True)
    resets = torch.zeros(5, 2, dtype=torch.bool)
    resets[2, 0] = resets[3, 1] = True

    def run(x, *_):
        torch.manual_seed(1)
        output, last = layer(x, (x[0], *layer.initial_state(2)[1:]), lengths=[5, 4], resets=resets)
        return output, *last

    given = (x, *layer.parameters())
    assert torch.autograd.gradcheck(run, given)
    assert torch.autograd.gradgradcheck(run, given)


def test_a_gradient_can_be_asked_for_twice_and_for_some_alone():
    torch.manual_seed(0)
    layer = Recurrent(cells(D, H)["lstm"], checkpoint=4)
    x = torch.randn(T, N, D, dtype=torch.float64, requires_grad=True)
    output, (_, c) = layer(x)
    total = output.sum() + c.sum()
    (alone,) = torch.autograd.grad(total, x, retain_graph=True)
    assert all(p.grad is None for p in layer.parameters())
    total.backward()
    torch.testing.assert_close(x.grad, alone, rtol=0, atol=0)
    state = (torch.zeros(N, H, dtype=torch.float64, requires_grad=True), torch.zeros(N, H, dtype=torch.float64))
    (only_c,) = torch.autograd.grad(layer(x.detach(), state)[1][1].sum(), state[0])
    plain = Recurrent(layer.cell)(x.detach(), state)[1][1].sum()
    torch.testing.assert_close(only_c, torch.autograd.grad(plain, state[0])[0], rtol=1e-11, atol=1e-11)


PEAK = """
import torch, unrolled
def peak():
    lines = open("/proc/self/status").read().splitlines()  # of this program alone; getrusage counts the parent's too
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
layer = unrolled.Recurrent(unrolled.LSTMCell(16, 128), backend={backend!r}, checkpoint={steps})
def run(T): layer(torch.randn(T, 32, 16))[0][-1].sum().backward()
run(150)  # three segments: what is loaded once is loaded
before = peak()
run({T})
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize(("backend", "T"), [("engine", 2400), ("eager", 600)])
def test_peak_memory_falls(backend, T):
    def peak(steps):
        code = PEAK.format(backend=backend, steps=steps, T=T)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return float(done.stdout)

    saved = 6 * 4 * 32 * 128 * (T - 150) / 2**20  # MiB: i, f, g, o, c, h; what the first run left is used again
    whole, parts = peak(None), peak(60)
    assert whole > saved
    assert parts < whole / 2


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, "4"])
def test_bad_numbers_of_steps(steps):
    with pytest.raises(ValueError, match="checkpoint must be a whole number from 1, got"):
        Recurrent(unrolled.LSTMCell(D, H), checkpoint=steps)


@pytest.mark.parametrize("backend", ["engine", "eager"])
@pytest.mark.parametrize("seed", range(4))
def test_several_threads_differentiate_one_layer(seed, backend):
    """Each computes its steps again with leaves in place of the parameters, which the others must not see."""
    torch.manual_seed(seed)
    cell = PeepholeLSTM(3, 4).double()
    layer, learned = unrolled.Recurrent(cell, backend=backend, checkpoint=3), dict(cell.named_parameters())
    failed = []

    def differentiate(x):
        try:
            wanted = torch.autograd.grad(outputs(cell, x).sin().sum(), learned.values())
            for _ in range(6):
                found = torch.autograd.grad(layer(x)[0].sin().sum(), learned.values())
                for a, b in zip(found, wanted, strict=True):
                    torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=differentiate, args=(torch.randn(12, 2, 3).double(),)) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed
    assert all(p is learned[name] for name, p in cell.named_parameters())
