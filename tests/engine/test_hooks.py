"""Hooks on a cell's modules: what torch puts there to compute a weight, and a person's own."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

import unrolled
from unrolled import Recurrent
from unrolled.compiler.hooks import shared_tables
from unrolled.engine.prepared import Prepared, prepared


class Own(unrolled.Cell):
    """Gates, a linear map, and a matrix of the cell's own."""

    def __init__(self):
        super().__init__(3, 4)
        self.x = unrolled.Gates("a b", 3, 4)
        self.h = unrolled.Gates("a b", 4, 4, bias=False)
        self.lin = nn.Linear(4, 4)

    def step(self, x, h):
        z = torch.sigmoid(self.x.a(x) + self.h.a(h))
        return z * h + (1 - z) * torch.tanh(self.x.b(x) + self.h.b(h) + self.lin(h))


class Symmetric(nn.Module):
    def forward(self, w):
        return w + 0.1 * w.abs()


def weight_norm(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.weight_norm(module)


def spectral_norm(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.spectral_norm(module)


OLD = [spectral_norm, weight_norm, lambda m: prune.l1_unstructured(m, "weight", 0.5)]
NEW = [
    parametrizations.spectral_norm,
    parametrizations.weight_norm,
    lambda m: parametrize.register_parametrization(m, "weight", Symmetric()),
]
NORMS = dict(
    zip(["spectral", "weight", "prune", "new spectral", "new weight", "parametrized"], OLD + NEW, strict=True)
)


def loop(cell, x):
    h = x.new_zeros(x.shape[1], cell.hidden_size)
    states = []
    for x_t in x:
        (h,) = cell.checked(cell.step(x_t, h), (h,))
        states.append(h)
    return torch.stack(states)


def through_layer(cell, x):
    return Recurrent(cell)(x)[0]


@pytest.mark.filterwarnings("ignore:.*runs step by step", "ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("where", ["x", "h", "lin"])
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("norm", NORMS)
def test_training_with_a_weight_that_is_computed(norm, mode, where, when):
    """Three updates, and what follows on loading the first weights again."""
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    results = []
    for run in (through_layer, loop):
        torch.manual_seed(1)
        cell = Own().double()
        cell.train(mode == "train")
        if when == "after":
            run(cell, x)
        NORMS[norm](getattr(cell, where))
        seen = []
        kept = {k: v.clone() for k, v in cell.state_dict().items()}
        optimizer = torch.optim.SGD(cell.parameters(), lr=0.5)
        for _ in range(3):
            optimizer.zero_grad()
            y = run(cell, x)
            y.square().sum().backward()
            seen += [y.detach(), *(p.grad for p in cell.parameters())]
            optimizer.step()
        cell.load_state_dict(kept)
        seen.append(run(cell, x).detach())
        results.append(seen)
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted)
    assert not torch.equal(results[0][0], results[0][-2])


@pytest.mark.parametrize("norm", ["new weight", "parametrized"])
def test_what_parameters_alone_give_runs_in_the_engine(norm):
    cell = Own()
    for module in (cell.x, cell.h, cell.lin):
        NORMS[norm](module)
    assert isinstance(prepared(cell), Prepared)


def test_a_parametrization_that_is_cached_for_a_while():
    cell, x = Own(), torch.randn(4, 2, 3)
    parametrize.register_parametrization(cell.lin, "weight", Symmetric())
    with parametrize.cached():
        y = Recurrent(cell)(x)[0]
        torch.testing.assert_close(y, loop(cell, x))


def put_hook(cell, kind, hook):
    module = cell.h
    if kind == "global":
        return nn.modules.module.register_module_forward_hook(hook)
    return getattr(module, f"register_{kind}")(hook)


KINDS = ["forward_hook", "forward_pre_hook", "full_backward_hook", "full_backward_pre_hook", "global"]


@pytest.mark.filterwarnings("ignore:.*runs step by step", "ignore:Full backward hook is firing")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_runs_at_each_step_on_tensors_with_numbers(kind, when):
    torch.manual_seed(0)
    cell, x = Own(), torch.randn(4, 2, 3)
    layer, seen = Recurrent(cell), []
    plain = layer(x)[0].detach() if when == "after" else None

    def hook(module, *tensors):
        if module is not cell.h:
            return None
        seen.append(kind)
        leaves = torch.utils._pytree.tree_leaves(tensors)
        assert all(t.device.type == "cpu" for t in leaves if isinstance(t, torch.Tensor))
        last = tensors[0 if kind == "full_backward_hook" else -1]
        return 2 * last if isinstance(last, torch.Tensor) else tuple(None if t is None else 2 * t for t in last)

    handle = put_hook(cell, kind, hook)
    found = layer(x)[0]
    found.sum().backward()
    count = len(seen)
    grads = [p.grad.clone() for p in cell.parameters()]
    cell.zero_grad()
    wanted = loop(cell, x)
    wanted.sum().backward()
    handle.remove()
    assert count == len(seen) - count >= 4
    torch.testing.assert_close(found, wanted)
    for p, d in zip(cell.parameters(), grads, strict=True):
        torch.testing.assert_close(d, p.grad)
    if plain is not None and "backward" not in kind:
        assert not torch.allclose(plain, found)
    assert not any(shared_tables())
    assert isinstance(prepared(cell), Prepared)


def test_the_built_in_kernels_do_not_pass_by_a_hook():
    torch.manual_seed(0)
    cell, x = unrolled.LSTMCell(3, 4), torch.randn(4, 2, 3)
    with torch.no_grad():
        cell.h.weight.mul_(4)
    layer = Recurrent(cell)
    before = layer(x)[0]
    spectral_norm(cell.h)
    with pytest.warns(RuntimeWarning, match="h has a hook, SpectralNorm"):
        after = layer(x)[0]
    assert not torch.equal(before, after)
    after.sum().backward()
    assert cell.h.weight_orig.grad is not None
    for _ in range(20):
        layer(x)
    assert abs(float(torch.linalg.matrix_norm(cell.h.weight.detach(), 2)) - 1) < 1e-2


def test_a_matrix_of_the_cell_itself():
    class Matrix(unrolled.Cell):
        def __init__(self):
            super().__init__(4, 4)
            self.W = nn.Parameter(torch.eye(4))

        def step(self, x, h):
            return torch.tanh(x + h @ self.W)

    cell, x = Matrix(), torch.randn(4, 2, 4)
    prune.l1_unstructured(cell, "W", 0.5)
    layer = Recurrent(cell)
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seen = []
        for _ in range(3):
            optimizer.zero_grad()
            y = layer(x)[0]
            y.sum().backward()
            seen.append(y.detach())
            optimizer.step()
    assert not torch.equal(seen[0], seen[2])
    cell(x[0])
    torch.testing.assert_close(layer(x)[0], loop(cell, x))
