"""The rest of torch around a layer: traces, graphs, vmap, forward mode, vectorised Jacobians, hooks, changes."""

import warnings

import pytest
import torch
import torch.autograd.forward_ad as fa
from torch.autograd.functional import hessian, hvp, jacobian
from torch.func import functional_call, functionalize, grad, jacfwd, jacrev, jvp, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

import unrolled
from helpers import TwoWidths

D, H, T, N = 3, 4, 4, 2
LENGTHS = torch.tensor([4, 2])
CLOSE = {"rtol": 1e-9, "atol": 1e-9}
"""Double precision; second derivatives of some dozen steps."""

LAYERS = {
    "lstm": lambda backend: unrolled.LSTM(D, H, num_layers=2, bidirectional=True, backend=backend),
    "gru": lambda backend: unrolled.GRU(D, H, backend=backend),
    "elman": lambda backend: unrolled.Elman(D, H, backend=backend),
    "own": lambda backend: unrolled.Recurrent(TwoWidths(D, H), backend=backend),
    "checkpoint": lambda backend: unrolled.GRU(D, H, backend=backend, checkpoint=2 if backend == "auto" else None),
}


def pair(name):
    """The layer as it runs by itself, and the same weights step by step."""
    torch.manual_seed(0)
    layer, slow = (LAYERS[name](backend).double() for backend in ("auto", "eager"))
    slow.load_state_dict(layer.state_dict())
    return layer, slow


def numbers(*shape):
    return torch.randn(*shape, dtype=torch.float64)


X, OTHER, MANY = numbers(T, N, D), numbers(T, N, D), numbers(3, T, N, D)


def flat(made):
    return torch.cat([t.reshape(-1) for t in tree_leaves(made)])


def square(m):
    return lambda x: m(x)[0].square().sum()


def with_gradient(m, call=None):
    x = OTHER.clone().requires_grad_()
    y = flat((call or m)(x))
    return flat([y.detach(), *torch.autograd.grad(y.square().sum(), [x, *m.parameters()])])


def traced(m):
    with torch.no_grad():
        return flat(torch.jit.trace(m, X)(OTHER))


def longer(m):
    more = torch.cat([OTHER, X])
    with torch.no_grad():
        return flat(torch.jit.trace(m, X)(torch.cat([more, more], 1)))


def exported(m):
    N = torch.export.Dim("N")
    made = torch.export.export(m, (X, None, LENGTHS), dynamic_shapes=({1: N}, None, {0: N}))
    return flat(made.module()(torch.cat([OTHER, X], 1), None, torch.tensor([3, 0, 4, 1])))


class Watching(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


def watched(m):
    def call(x):
        with Watching():
            return m(x)

    return with_gradient(m, call)


def dual(m, over):
    def both(t):
        return fa.make_dual(t.detach(), torch.ones_like(t))

    with fa.dual_level():
        if over == "x":
            y = m(both(X))[0]
        elif over == "parameters":
            y = functional_call(m, {name: both(p) for name, p in m.named_parameters()}, (X,))[0]
        else:
            states, how = tree_flatten(m(X)[1])
            y = m(X, tree_unflatten([both(s) for s in states], how))[0]
        return fa.unpack_dual(y).tangent


def over_states(m, mapped):
    leaves, how = tree_flatten(m(X)[1])
    many = [torch.stack([s.detach() * k for k in (1, 2, 3)]) for s in leaves]
    return mapped(lambda *s: m(X, tree_unflatten(list(s), how))[0], many)


def over_parameters(m, mapped):
    names = [name for name, _ in m.named_parameters()]
    many = [torch.stack([p.detach() * k for k in (1, 2)]) for p in m.parameters()]
    return mapped(lambda *p: functional_call(m, dict(zip(names, p, strict=True)), (X,))[0], many)


def at_once(function, many):
    return vmap(function)(*many)


def one_by_one(function, many):
    return torch.stack([function(*each) for each in zip(*many, strict=True)])


def hooked(m):
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(force=True).copy(), torch.from_numpy):
        return with_gradient(m)


def batched(m):
    x = X.clone().requires_grad_()
    y = m(x)[0]
    upstream = torch.stack([torch.ones_like(y), y.detach()])
    return torch.autograd.grad(y, [x, *m.parameters()], upstream, is_grads_batched=True)


def singly(m):
    x = X.clone().requires_grad_()
    y = m(x)[0]
    wanted, upstream = [x, *m.parameters()], (torch.ones_like(y), y.detach())
    ways = [torch.autograd.grad(y, wanted, d, retain_graph=True) for d in upstream]
    return [torch.stack(d) for d in zip(*ways, strict=True)]


RESETS, MANY_LENGTHS = torch.rand(3, T, N) < 0.4, torch.tensor([[4, 2], [1, 1], [0, 3]])
WAYS = {
    "jit.trace": (traced, lambda m: flat(m(OTHER))),
    "export": (exported, lambda m: flat(m(torch.cat([OTHER, X], 1), lengths=[3, 0, 4, 1]))),
    "make_fx": (lambda m: make_fx(lambda x: m(x)[0])(X)(OTHER), lambda m: m(OTHER)[0]),
    "functionalize": (lambda m: functionalize(lambda x: m(x)[0])(X), lambda m: m(X)[0]),
    "dispatch mode": (watched, with_gradient),
    "vmap x": (lambda m: vmap(lambda x: m(x)[0])(MANY), lambda m: torch.stack([m(x)[0] for x in MANY])),
    "vmap lengths": (
        lambda m: vmap(lambda k: m(X, lengths=k)[0])(MANY_LENGTHS),
        lambda m: torch.stack([m(X, lengths=k)[0] for k in MANY_LENGTHS]),
    ),
    "vmap resets": (
        lambda m: vmap(lambda r: m(X, resets=r)[0])(RESETS),
        lambda m: torch.stack([m(X, resets=r)[0] for r in RESETS]),
    ),
    "vmap states": (lambda m: over_states(m, at_once), lambda m: over_states(m, one_by_one)),
    "vmap parameters": (lambda m: over_parameters(m, at_once), lambda m: over_parameters(m, one_by_one)),
    "vmap grad": (
        lambda m: vmap(grad(square(m)))(MANY),
        lambda m: torch.stack([torch.autograd.grad(square(m)(x), x)[0] for x in MANY.clone().requires_grad_()]),
    ),
    "forward mode x": (lambda m: dual(m, "x"), lambda m: jvp(lambda x: m(x)[0], (X,), (torch.ones_like(X),))[1]),
    "forward mode parameters": (lambda m: dual(m, "parameters"), lambda m: dual(m, "parameters")),
    "forward mode states": (lambda m: dual(m, "states"), lambda m: dual(m, "states")),
    "jvp": (
        lambda m: jvp(lambda x: m(x)[0], (X,), (OTHER,))[1],
        lambda m: torch.autograd.functional.jvp(lambda x: m(x)[0], X, OTHER)[1],
    ),
    "vectorised jacobian": (
        lambda m: jacobian(lambda x: m(x)[0], X, vectorize=True),
        lambda m: jacobian(lambda x: m(x)[0], X),
    ),
    "vectorised jacobian forward": (
        lambda m: jacobian(lambda x: m(x)[0], X, vectorize=True, strategy="forward-mode"),
        lambda m: jacobian(lambda x: m(x)[0], X),
    ),
    "batched gradients": (batched, singly),
    "jacrev": (lambda m: jacrev(lambda x: m(x)[0])(X), lambda m: jacobian(lambda x: m(x)[0], X)),
    "jacfwd": (lambda m: jacfwd(lambda x: m(x)[0])(X), lambda m: jacobian(lambda x: m(x)[0], X)),
    "hessian": (lambda m: torch.func.hessian(square(m))(X[:2]), lambda m: hessian(square(m), X[:2])),
    "vectorised hessian": (
        lambda m: hessian(square(m), X[:2], vectorize=True),
        lambda m: hessian(square(m), X[:2]),
    ),
    "third derivative": (
        lambda m: hvp(square(m), X, OTHER)[1],
        lambda m: hvp(square(m), X, OTHER)[1],
    ),
    "saved-tensor hooks": (hooked, with_gradient),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("way", WAYS)
def test_values_are_those_of_the_equation(way, name):
    layer, slow = pair(name)
    there, here = WAYS[way]
    made, truth = there(layer), here(slow)
    for a, b in zip(tree_leaves(made), tree_leaves(truth), strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_a_trace_takes_other_sizes_and_refuses_what_does_not_fit(name):
    layer, slow = pair(name)
    more = torch.cat([OTHER, X])
    torch.testing.assert_close(longer(layer), flat(slow(torch.cat([more, more], 1))), **CLOSE)
    with torch.no_grad():
        made = torch.jit.trace(layer, X)
        for wrong in (X[..., :2], X[:0], X.float()):
            with pytest.raises(RuntimeError, match="unrolled::scan"):
                made(wrong)
        assert made(X[:, :0])[0].shape[1] == 0
    with pytest.raises(RuntimeError, match="recorded without gradients|does not require grad"):
        made(X.clone().requires_grad_())[0].sum().backward()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_a_trace_of_single_steps_refuses_another_number_of_them():
    _, slow = pair("gru")
    with torch.no_grad():
        made = torch.jit.trace(slow, X)
        torch.testing.assert_close(made(OTHER)[0], slow(OTHER)[0])
        with pytest.raises(RuntimeError, match=r"shape '\[4, 2, 3\]' is invalid"):
            made(torch.cat([X, X]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_a_trace_with_lengths_takes_others_and_refuses_those_out_of_range(name):
    layer, slow = pair(name)
    layer.requires_grad_(False)
    with torch.no_grad():
        made = torch.jit.trace(lambda x, lengths: layer(x, lengths=lengths), (X, LENGTHS))
        torch.testing.assert_close(flat(made(OTHER, torch.tensor([0, 3]))), flat(slow(OTHER, lengths=[0, 3])))
        for wrong in ([5, 1], [-1, 1]):
            with pytest.raises(RuntimeError, match="out of bounds"):
                made(OTHER, torch.tensor(wrong))


@pytest.mark.parametrize("what", ["x", "parameter", "output", "frozen"])
@pytest.mark.parametrize("name", LAYERS)
def test_changes_between_forward_and_backward_raise(name, what):
    if what == "output" and name in ("lstm", "checkpoint"):
        pytest.skip("nothing needs this output: both directions were joined, or the steps are computed again")
    layer, _ = pair(name)
    x = X.clone().requires_grad_(what == "x")
    if what == "frozen":
        layer.requires_grad_(False)
        x.requires_grad_()
    inside = x * 1
    y = layer(inside)[0]
    changed = {"x": inside, "output": y}.get(what, next(p for n, p in layer.named_parameters() if "h.weight" in n))
    with torch.no_grad():
        changed.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.square().sum().backward()


def test_a_number_type_that_the_engine_lacks_warns_once():
    layer = unrolled.Recurrent(type("InBfloat16", (unrolled.GRUCell,), {})(D, H).bfloat16())
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(2):
            layer(X.bfloat16())
    (warning,) = [w for w in seen if "step by step" in str(w.message)]
    assert "it computes in float32 and float64, x has torch.bfloat16" in str(warning.message)
