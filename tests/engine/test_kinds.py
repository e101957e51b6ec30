"""Kinds of equations that once came out wrong: each against a loop over its own step, one sequence at a time."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import unrolled
from engine.looped import compare, loop

pytestmark = pytest.mark.usefixtures("path", "poisoned")
D, H = 3, 4


def cell(step, state="h", widths=(H,), parameters=None):
    """A cell of one equation, with the maps U of the input and W, V of a state, and a vector b."""

    class Own(unrolled.Cell):
        def __init__(self):
            super().__init__(D, widths[0])
            self.U, self.X = nn.Linear(D, H), nn.Linear(D, H, bias=False)
            self.W, self.V = nn.Linear(H, H), nn.Linear(H, H, bias=False)
            self.b = nn.Parameter(torch.randn(H))
            for name, p in (parameters or {}).items():
                self.register_parameter(name, nn.Parameter(p))

        def state_shapes(self):
            return {name: (width,) for name, width in zip(self.state, widths, strict=True)}

    Own.state = tuple(state.split())
    Own.step = step
    return Own().double()


DERIVED = {
    "scaled transpose": lambda W: 0.5 * W.T,
    "product, transposed": lambda W: (W @ W).T,
    "cat, transposed": lambda W: torch.cat([W[:2], W[2:] * 2]).T,
    "antisymmetric": lambda W: W - W.T,
    "exponential": lambda W: torch.matrix_exp(W - W.T),
    "rows of a transpose": lambda W: torch.cat([(2 * W.T)[1:3], W[:2]]),
    "columns of a transpose": lambda W: torch.cat([(2 * W.T)[:, 1:3], W[:, :2]], 1),
    "flipped": lambda W: W.flip(0).T * 1.0,
    "expanded": lambda W: W[0].expand(H, H),
    "expanded column": lambda W: W[:, :1].expand(H, H),
}


@pytest.mark.parametrize("of", DERIVED.values(), ids=DERIVED)
def test_matrices_computed_from_parameters_have_any_layout(of):
    own = cell(lambda c, x, h: torch.tanh(c.U(x) + h @ of(c.V.weight)))
    compare(own)


def test_a_masked_matrix():
    own = cell(lambda c, x, h: torch.tanh(c.U(x) + h @ (c.V.weight * c.mask) + F.linear(x, c.b[:3].expand(4, 3))))
    own.register_buffer("mask", torch.ones(H, H, dtype=torch.float64).triu())
    compare(own)


SAVED = {
    "leaky": lambda c, x, h: (z := torch.sigmoid(c.W(h))) * h + (1 - z) * c.X(x),
    "multiplicative": lambda c, x, h: torch.tanh(c.V(c.X(x) * c.W(h))),
    "delta": lambda c, x, h: torch.tanh(c.X(x) * h + c.X(x)),
    "maximum": lambda c, x, h: torch.maximum(c.X(x), h),
    "twice": lambda c, x, h: torch.sigmoid(c.X(x)) * h + c.X(x) * c.W(h),
    "halves": lambda c, x, h: torch.cat([c.X(x)[:, :2] * c.W(h)[:, 2:], c.X(x)[:, 1:3] * h[:, :2]], 1),
    "sliced and whole": lambda c, x, h: c.X(x) * h + c.X(x)[:, :1] * c.W(h),
}


@pytest.mark.parametrize("step", SAVED.values(), ids=SAVED)
def test_a_map_of_the_input_is_kept_where_the_gradient_needs_it(step):
    compare(cell(step))


COMPARED = {
    "only in a comparison": lambda c, x, h: torch.where(c.X(x) > h, torch.tanh(c.U(x)), h),
    "of the state, only in a comparison": lambda c, x, h: torch.where(c.V(h) > 0, torch.tanh(c.U(x)), h),
    "of a sign": lambda c, x, h: torch.tanh(c.U(x) + c.V(torch.sign(h))),
    "of a spike": lambda c, x, h: 0.9 * h * (1 - (s := (h > 0.3).to(h.dtype))) + c.U(x) + c.V(s),
    "of a comparison of maps": lambda c, x, h: torch.tanh(c.U(x) + c.V((c.W(h) > c.X(x)).double())),
}


@pytest.mark.parametrize("step", COMPARED.values(), ids=COMPARED)
def test_weights_beside_what_has_no_gradient(step):
    compare(cell(step))


def test_a_weight_without_a_gradient_gets_none():
    own = cell(COMPARED["only in a comparison"])
    unrolled.Recurrent(own)(torch.randn(3, 2, D, dtype=torch.float64))[0].sum().backward()
    assert own.X.weight.grad is None and own.U.weight.grad is not None


NAMES = (
    *("dy", "d", "s", "p", "b0", "t0", "derived0", "derived", "program", "inf", "nan", "NaN", "Infinity", "h0"),
    *("sequence", "state", "constant", "parameter", "linear", "row", "number", "cat", "slice", "copy", "x", "y"),
    *("carry", "next", "new", "old", "temp", "total", "sum", "gemm", "ħ", "σ", "ｈ", "名", "_", "__h", "E5", "T"),
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("what", ["local", "parameter", "state"])
def test_any_identifier_is_a_name(what, name):
    local = name if what == "local" else "u"
    state = name if what == "state" else "q"
    given = {name: torch.randn(H)} if what == "parameter" and not hasattr(unrolled.Cell, name) else {}
    matrix = name if given else "b"
    text = (
        f"def step(self, given, {state}):\n"
        f"    {local} = torch.tanh(self.U(given) + self.W({state}) + getattr(self, matrix))\n"
        f"    return 0.5 * {local} + {state} * {local} * torch.tanh(0.5 * self.V.weight.T)[0]\n"
    )
    space = {"torch": torch, "matrix": matrix}
    exec(text, space)
    compare(cell(space["step"], state, parameters=given))


TAPS = {
    "tanh of cat": (lambda c, x, h: torch.tanh(torch.cat([x[:, :2], c.V(h)[:, :2]], 1)), "h", (H,)),
    "a function of a cat in two states": (
        lambda c, x, h, m: (torch.tanh(a := torch.cat([c.W(h)[:, :3], m], 1))[:, :H], torch.sigmoid(a)[:, 3:]),
        "h m",
        (H, 2),
    ),
    "split states": (
        lambda c, x, m, s: (
            (q := torch.log_softmax(-s, 1) * 0.3).split([4, 3], 1)[0] * m,
            torch.sigmoid(q) * torch.tanh(q) + c.U(x)[:, :1],
        ),
        "m s",
        (H, 7),
    ),
    "a gate times halves": (
        lambda c, x, h, m: (
            torch.tanh(new := m + torch.sigmoid(c.U(x)) * torch.cat(torch.tanh(c.W(h) + c.X(x)).chunk(2, 1), 1)),
            new,
        ),
        "h m",
        (H, H),
    ),
    "slices that overlap": (
        lambda c, x, h: torch.cat([c.U(x)[:, :3] * h[:, 1:], (c.U(x)[:, 1:3] * h[:, :2]).sum(1, True)], 1),
        "h",
        (H,),
    ),
    "the same twice": (lambda c, x, h, m: ((a := torch.tanh(c.U(x) + m)), a), "h m", (H, H)),
    "the input and a parameter": (
        lambda c, x, h, m: (torch.cat([x, x[:, :1]], 1), c.b.expand_as(m)),
        "h m",
        (H, H),
    ),
    "one column of another state": (lambda c, x, r, u: (u[:, 3:], torch.sigmoid(c.U(x) + r)), "r u", (1, H)),
    "the other state": (lambda c, x, h, m: (m, h + c.U(x)), "h m", (H, H)),
}


@pytest.mark.parametrize(("step", "state", "widths"), TAPS.values(), ids=TAPS)
def test_states_from_cats_and_slices_of_each_other(step, state, widths):
    compare(cell(step, state, widths))


KINKS = torch.tensor([0.0, 1.0, -1.0, 2.0, 6.0, 3.0, -3.0, 0.5], dtype=torch.float64)
OPERATIONS = {
    "softplus": lambda a: F.softplus(a),
    "softplus with a threshold": lambda a: F.softplus(a, 1.0, 1.0),
    "softplus with beta": lambda a: F.softplus(10 * a, 2.0, 20.0),
    "bool + bool": lambda a: a * ((a > 0) + (a > 1)),
    "and": lambda a: a * ((a > -1) & (a < 2)),
    "or": lambda a: a * ((a < -1) | (a > 2)),
    "xor": lambda a: a * ((a < 1) ^ (a < 2)),
    "not": lambda a: a * ~(a > 0),
    "not equal": lambda a: a * (a != 1),
    "relu6": F.relu6,
    "hardtanh": F.hardtanh,
    "hardsigmoid": F.hardsigmoid,
    "relu": torch.relu,
    "abs": torch.abs,
    "clamp": lambda a: a.clamp(-1, 2),
    "clamp below": lambda a: a.clamp(min=0),
    "maximum": lambda a: torch.maximum(a, a * a),
    "minimum": lambda a: torch.minimum(a, a * a),
    "elu": F.elu,
    "celu": lambda a: F.celu(a, 0.7),
    "selu": F.selu,
    "leaky relu": F.leaky_relu,
    "logsigmoid": F.logsigmoid,
    "silu": F.silu,
    "where with numbers": lambda a: torch.where(a > 0, a, 0.0) + torch.where(a > 1, 1.0, a),
    "masked fill": lambda a: a.masked_fill(a > 0.5, 0.25),
    "zeros, ones, full": lambda a: a * torch.ones_like(a) + torch.zeros_like(a) + torch.full_like(a, 0.3),
    "zeros of a size": lambda a: a + torch.ones(H, dtype=a.dtype) + a.new_zeros(a.shape[0])[:, None],
    "power 0": lambda a: a**0 * a,
    "power 1": lambda a: a**1,
    "power 3": lambda a: a**3,
    "power 5": lambda a: a**5,
    "power 1.5": lambda a: (a.abs() + 1) ** 1.5,
    "power -2": lambda a: (a + 7) ** -2,
    "power of a number": lambda a: 2**a,
    "torch.pow of a number": lambda a: torch.pow(2.0, a),
    "power of values": lambda a: (a.abs() + 1) ** (0.1 * a),
    "expm1, log1p": lambda a: torch.expm1(0.1 * a) + torch.log1p(a.abs()),
    "counting": lambda a: a * (a > 0).sum(1, keepdim=True),
    "a number's tensor": lambda a: a * torch.tensor(0.5, dtype=a.dtype),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_operations_are_torchs_at_their_kinks_too(operation):
    own = cell(lambda c, x, h: operation(h * 1.0) * 0.1 + 0 * torch.tanh(c.U(x)))
    single = operation in (F.hardsigmoid, OPERATIONS["celu"])  # torch's own gradients hold numbers in float32
    compare(own, T=1, N=2, state=[KINKS.view(2, 4).clone()], tolerance=1e-7 if single else 1e-10)
    compare(own, T=3, N=2, tolerance=1e-7 if single else 1e-10)


@pytest.mark.parametrize("kink", [torch.abs, torch.relu, torch.sign, lambda a: torch.where(a > 0, 2 * a, a)])
@pytest.mark.parametrize("width", [3, 9, 33])
def test_equal_numbers_have_a_norm_of_zero(kink, width):
    """So that what follows is at its kink, as in torch, and not beside it by the last bit."""

    class Own(unrolled.Cell):
        def __init__(self):
            super().__init__(D, width)
            self.U, self.norm = nn.Linear(D, width), nn.LayerNorm(width)
            nn.init.zeros_(self.norm.bias)

        def step(self, x, h):
            return torch.tanh(self.U(x)) * 0.1 + kink(self.norm(h))

    compare(Own().double(), T=1, state=[torch.full((6, width), 0.3, dtype=torch.float64)])


POLES = {
    "unit length": lambda c, x, h: torch.tanh((u := c.X(x)) / (u * u).sum(1, keepdim=True).sqrt() + h),
    "logarithm": lambda c, x, h: torch.tanh(torch.log(c.X(x).abs()) + c.W(h)),
    "quotient": lambda c, x, h: torch.tanh(c.W(h) / x[:, :1]),
    "of the state": lambda c, x, h: torch.tanh(c.U(x)) + 1 / h,
    "of the new state": lambda c, x, h: (new := torch.sigmoid(c.U(x) + h)) + 0 * c.W(h) / new**2,
}


@pytest.mark.parametrize("backend", ["engine", "eager"])
@pytest.mark.parametrize("checkpoint", [None, 2])
@pytest.mark.parametrize("step", POLES.values(), ids=POLES)
def test_sequences_without_steps(step, checkpoint, backend):
    own = cell(step)
    layer = unrolled.Recurrent(own, backend=backend, checkpoint=checkpoint)
    for lengths in ([0, 0], [0, 1]):
        own.zero_grad()
        x = torch.randn(5, 2, D, dtype=torch.float64)
        x[1:] = x[:, 0] = torch.nan
        x.requires_grad_()
        state = torch.randn(2, H, dtype=torch.float64, requires_grad=True)
        y, (last,) = layer(x, (state,), lengths=lengths)
        (y.sum() + last.sum()).backward()
        assert not y[:, 0].any() and not y[1:].any() and torch.equal(last[0], state[0])
        assert all(p.grad is None or p.grad.isfinite().all() for p in (x, state, *own.parameters()))
        assert torch.equal(state.grad[0], torch.ones(H, dtype=torch.float64))


def power(a, doublings):
    for _ in range(doublings):
        a = a * a
    return a


HUGE = {
    "a high power": (lambda c, x, h: power(c.X(x), 3) * torch.tanh(c.W(h)), {}),
    "a large number": (lambda c, x, h: (c.X(x) * 1e35) * (1e-35 * torch.tanh(c.W(h))), {}),
    "large weights": (lambda c, x, h: c.X(x) * (1e-35 * torch.tanh(c.W(h))), {"X.weight": 1e35}),
    "a large state": (lambda c, x, h: c.X(x) * h * (1e-35 * torch.tanh(c.W(h * 1e-35))), {"state": 1e35}),
    "a large state after a reset": (
        lambda c, x, h: c.X(x) * h * (1e-35 * torch.tanh(c.W(h * 1e-35))),
        {"reset": 1e35},
    ),
    "weights computed from others": (lambda c, x, h: F.linear(x, c.X.weight * 1e35) * (1e-35 * torch.tanh(h)), {}),
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("step", "sizes"), HUGE.values(), ids=HUGE)
def test_moderate_padding_that_overflows_in_the_equation(step, sizes, reverse):
    """In single precision, where a product of some large numbers is infinite."""
    own, lengths = cell(step), [3, 0, 5, 1]
    x, state = torch.randn(5, 4, D).double(), torch.randn(4, H).double() * sizes.get("state", 1)
    with torch.no_grad():
        own.X.weight.mul_(sizes.get("X.weight", 1))
    for p in own.parameters():
        p.data = p.data.float().double()
    resets = None
    if "reset" in sizes:
        own.initial_state = lambda N, like: (sizes["reset"] * like.new_ones(N, H),)
        resets = torch.zeros(5, 4, dtype=torch.bool)
        resets[0] = resets[2, 2] = True
    first = x[0].clone()
    for n, length in enumerate(lengths):
        x[length:, n] = -9e5
    x[0] = first

    def results(dtype, unroll):
        own.to(dtype).zero_grad()
        given = [t.to(dtype).requires_grad_() for t in (x, state)]
        y, *rest = unroll(*given)
        (y.sum() + sum(torch.tanh(s).sum() for s in rest)).backward()
        return [t.detach().double() for t in (y, *rest)], [
            None if t.grad is None else t.grad.double() for t in given
        ] + [None if p.grad is None else p.grad.double() for p in own.parameters()]

    def by_engine(x, s):
        y, last = unrolled.Recurrent(own, backend="engine", reverse=reverse)(x, (s,), lengths=lengths, resets=resets)
        return y, *last

    ours, gradients = results(torch.float32, by_engine)
    truth, wanted = results(torch.float64, lambda x, s: loop(own, x, (s,), lengths, resets, reverse))
    for a, b in zip((*ours, *gradients), (*truth, *wanted), strict=True):
        a, b = (torch.zeros(()) if t is None else t for t in (a, b))
        torch.testing.assert_close(a, b.expand_as(a), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("padding", [0.0, -7.0, 1e5, 1e30, 1e300, torch.inf, torch.nan])
def test_whatever_stands_in_the_padding(padding, reverse):
    own = cell(lambda c, x, h: torch.relu(c.U(x) * c.X(x)) * torch.tanh(c.W(h)))
    lengths = [3, 0, 5, 1]
    x = torch.randn(5, 4, D, dtype=torch.float64)
    for n, length in enumerate(lengths):
        x[length:, n] = padding
    x.requires_grad_()
    state = (torch.randn(4, H, dtype=torch.float64),)
    found = unrolled.Recurrent(own, backend="engine", reverse=reverse)(x, state, lengths=lengths)
    wanted = loop(own, x, state, lengths, reverse=reverse)
    of = [x, *(p for p in own.parameters() if p is not own.b and p is not own.V.weight)]
    ours = torch.autograd.grad((found[0] + found[1][0]).square().sum(), of)
    truth = torch.autograd.grad((wanted[0] + wanted[1]).square().sum(), of)
    for a, b in zip((found[0], *found[1], *ours), (*wanted, *truth), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("backend", ["engine", "eager"])
@pytest.mark.parametrize("step", POLES.values(), ids=POLES)
def test_padding_in_which_the_equation_is_infinite(step, backend, reverse):
    torch.manual_seed(0)
    own = cell(step)
    T, lengths = 5, [3, 0, 5, 1]
    x = torch.randn(T, 4, D, dtype=torch.float64)
    for n, length in enumerate(lengths):
        x[length:, n] = torch.nan if n % 2 else 0.0
    state = torch.randn(4, H, dtype=torch.float64)
    state[1] = 0
    layer = unrolled.Recurrent(own, backend=backend, reverse=reverse)

    def gradients(parts):
        own.zero_grad()
        for xs, s, given in parts:
            y, (last,) = layer(xs, (s,), lengths=given)
            (y.square().sum() + last.sin().sum()).backward()
        return [p.grad.clone() if p.grad is not None else None for p in own.parameters()]

    together = gradients([(x, state, lengths)])
    alone = gradients([(x[:k, n : n + 1], state[n : n + 1], None) for n, k in enumerate(lengths) if k])
    for a, b in zip(together, alone, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
