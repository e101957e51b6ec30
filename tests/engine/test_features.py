"""What a call may look like: each against the equation in double precision, values and every gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.comparing import assert_same, case, check, results
from engine.own_cells import ALL
from helpers import engine_on
from unrolled.engine import native

FLAGS = ("", "state", "lengths", "resets", "lengths+state", "resets+state", "lengths+resets+state")
WIDTHS = (1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 65)
"""Around the widths of vectors and of panels of two vectors."""


def check_with(threads, c):
    """The equation beside the engine on ``threads``."""
    truth = results(c, "eager")
    with engine_on(threads):
        assert_same(results(c), truth, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=6, deadline=None)
@given(
    T=st.integers(1, 7),
    N=st.integers(1, 6),
    D=st.integers(1, 5),
    H=st.integers(1, 9),
    flags=st.sampled_from(FLAGS),
    reverse=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_random_calls(name, T, N, D, H, flags, reverse, seed):
    check(case(name, T, N, D, H, seed, flags, reverse=reverse))


@pytest.mark.parametrize("name", ["lstm", "layer-norm"])
@pytest.mark.parametrize("H", WIDTHS)
def test_widths_around_those_of_vectors(path, name, H):
    check(case(name, T=2, N=7, D=2, H=H, flags="lengths+resets+state"))
    check(case(name, T=2, N=1, D=H, H=2))


@pytest.mark.parametrize("name", ALL)
def test_every_path_computes_every_cell(path, name):
    check(case(name, T=6, N=5, D=3, H=11, flags="lengths+resets+state"))


def test_another_path_after_the_first_call(path):
    """What was prepared for one instruction set is not used with another."""
    c = case("lstm", H=13, flags="lengths+resets+state")
    truth = results(c, "eager")
    for name in (*native.paths(), *reversed(native.paths())):
        native.choose(name)
        assert_same(results(c), truth)


@pytest.mark.parametrize(("flags", "reverse"), [("", True), ("lengths+resets+state", False)])
@pytest.mark.parametrize(
    ("name", "T", "N", "H"), [("lstm", 64, 64, 70), ("gru", 40, 100, 70), ("coupled", 150, 33, 64)]
)
def test_several_blocks_of_steps(name, T, N, H, flags, reverse):
    check(case(name, T=T, N=N, D=3, H=H, flags=flags, reverse=reverse))


@pytest.mark.parametrize("name", ["lstm", "gru", "layer-norm"])
@pytest.mark.parametrize("N", [1, 9])
def test_more_units_than_a_tile(name, N):
    check(case(name, T=2, N=N, D=2, H=300, flags="state"), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize(
    ("name", "H"), [("lstm", 40), ("gru", 70), ("gru-after", 270), ("two-widths", 33), ("layer-norm", 9)]
)
def test_small_batches_on_several_threads(threads, name, H):
    """Below 8 sequences the threads share the units, and wait for each other between the phases."""
    for N in range(1, 10) if name == "lstm" and threads == 3 else (1, 7):
        check_with(threads, case(name, T=3, N=N, D=3, H=H, flags="state"))
        check_with(threads, case(name, T=3, N=N, D=3, H=5, flags="lengths+resets", reverse=True))


def transposed(t):
    """The same numbers with the first two dimensions exchanged in memory."""
    return t.transpose(0, 1).contiguous().transpose(0, 1)


def strided(t):
    """The same numbers, every second of a longer row."""
    wide = torch.full((*t.shape[:-1], 2 * t.shape[-1]), torch.nan, dtype=t.dtype)
    wide[..., ::2] = t
    return wide[..., ::2]


def negated(t):
    """The same numbers, stored with the other sign."""
    return torch._neg_view(-t)


@pytest.mark.parametrize("name", ["lstm", "gru", "without-matrix", "modulated", "concatenated"])
@pytest.mark.parametrize("layout", [transposed, strided, negated])
@pytest.mark.parametrize("flags", ["state", "lengths+resets+state"])
def test_memory_layouts(name, layout, flags):
    c = case(name, flags=flags)
    state, constants = (tuple(map(layout, part)) for part in (c.state, c.constants))
    other = c.but(x=layout(c.x), state=state, constants=constants, upstream=[layout(d) for d in c.upstream])
    if c.lengths is not None:
        other = other.but(lengths=torch.stack([c.lengths, c.lengths], 1)[:, 0], resets=transposed(c.resets))
    assert not other.x.is_contiguous() or other.x.is_neg()
    assert_same(results(other), results(c))


@pytest.mark.parametrize("layout", [strided, negated])
def test_memory_layouts_of_parameters(layout):
    c = case("lstm", flags="state")
    wanted = results(c)
    with torch.no_grad():
        y = c.layer("engine").step(c.x[0], c.state)[0]
        for module in c.cell.modules():
            for name, p in module._parameters.items():
                module._parameters[name] = torch.nn.Parameter(layout(p.detach()))
    assert_same(results(c), wanted)
    with torch.no_grad():
        torch.testing.assert_close(c.layer("engine").step(c.x[0], c.state)[0], y)


@pytest.mark.parametrize("name", ["lstm", "gru", "without-matrix"])
@pytest.mark.parametrize("flags", ["", "lengths+resets"])
@pytest.mark.parametrize("T", [1, 4])
def test_expanded_inputs_states_and_upstream_gradients(name, flags, T):
    c = case(name, T=T, flags=flags + "+state")
    for dims in ((0,), (1,), (0, 1), (0, 1, 2)):
        upstream = []
        for d in c.upstream:
            lead = dims if d.dim() == 3 else [k - 1 for k in dims if k]
            for dim in lead:
                d = d.narrow(dim, 0, 1)
            upstream.append(d.expand(c.upstream[len(upstream)].shape))
        x = c.x[:1, :1].expand_as(c.x)
        check(c.but(x=x, state=tuple(s[:1].expand_as(s) for s in c.state), upstream=upstream))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_padding_reaches_nothing(name, reverse):
    c = case(name, T=6, N=4, flags="lengths+resets+state", reverse=reverse)
    c.lengths[0], c.lengths[1] = 0, 6
    outside = torch.arange(6)[:, None] >= c.lengths
    outcomes = []
    for filler in (0.0, torch.nan, torch.inf):
        x = c.x.clone()
        x[outside] = filler
        outcomes.append(results(c.but(x=x)))
        assert not outcomes[-1]["dx"][outside].any()
    for other in outcomes[1:]:
        assert_same(other, outcomes[0], rtol=0, atol=0)
        assert all(t is None or t.isfinite().all() for t in other.values())


@pytest.mark.parametrize("name", ALL)
def test_what_is_not_finite_passes_as_in_the_equation(path, name):
    for flags, value in (("", torch.nan), ("", -torch.inf), ("lengths+resets", torch.inf)):
        c = case(name, T=5, N=4, flags=flags)
        c.x[2, 1, 0] = c.x[4, 2, 1 % c.x.shape[2]] = value
        a, b = results(c), results(c, "eager")
        for key in ("y", *(k for k in a if k.startswith("s"))):
            assert torch.equal(a[key].isnan(), b[key].isnan()), key
            torch.testing.assert_close(a[key], b[key], equal_nan=True, rtol=1e-10, atol=1e-10)
        assert a["dx"][:, 0].isfinite().all(), "a sequence without it knows nothing of it"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("flags", ["", "lengths+resets+state"])
def test_nothing_is_read_before_it_is_written(poisoned, name, flags):
    for reverse in (False, True):
        c = case(name, T=5, N=5, D=3, H=9, flags=flags, reverse=reverse)
        check(c)
        with torch.no_grad():
            y, last = c.layer("engine")(c.x, c.state, c.lengths, c.resets, c.constants)
        truth = results(c, "eager")
        torch.testing.assert_close(y, truth["y"])
        torch.testing.assert_close(last[-1], truth[f"s{len(last) - 1}"])


@pytest.mark.parametrize("threads", [2, 3])
def test_nothing_is_read_before_it_is_written_by_several_threads(poisoned, threads):
    for name, N in (("lstm", 1), ("gru", 5), ("lstm", 11)):
        check_with(threads, case(name, T=4, N=N, H=35))
