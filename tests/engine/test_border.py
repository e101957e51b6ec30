"""What comes from outside is checked before the engine touches memory: tables, sizes, and a layer's arguments."""

import contextlib
import os
import signal

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import unrolled
import unrolled.compiler.program
from engine.own_cells import make
from helpers import PATIENCE
from unrolled import Recurrent
from unrolled.engine import native

SMALL = st.integers(-2, 6)
ANY = st.one_of(SMALL, st.integers(-(2**63), 2**63 - 1), st.sampled_from([2**24, 2**30, 2**31, 2**32, 2**40, 2**62]))


def table(width, numbers=ANY, rows=4):
    """Rows of a table, or a list that is no table."""
    whole = st.integers(0, rows).flatmap(lambda n: st.lists(numbers, min_size=n * width, max_size=n * width))
    return st.one_of(whole, st.lists(numbers, max_size=2 * width))


def plan_or_refusal(*arguments):
    with contextlib.suppress(ValueError):
        return native.module.Plan(*arguments)


@pytest.mark.parametrize("numbers", [ANY, SMALL], ids=["any", "small"])
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_tables_make_a_plan_or_are_refused(numbers, data):
    def draw(width):
        return data.draw(table(width, numbers))

    slots, whole = data.draw(numbers), data.draw(st.booleans())
    values = data.draw(st.lists(st.floats(), max_size=3))
    plan_or_refusal(draw(18), draw(4), draw(4), data.draw(st.lists(SMALL, max_size=5)), values, slots, whole,
                    draw(7), draw(7), draw(6))  # fmt: skip


W, N, T = 5, 3, 4
TANH, GEMM = list(unrolled.compiler.program.ELEMENTWISE).index("tanh"), len(unrolled.compiler.program.ELEMENTWISE)


def small_plan(*outers):
    """new = tanh(old W^T): one matrix, the state before and after a step, one slot."""
    gemm = [GEMM, W, 0, 2, 0, 0, 1, 0, 0, *[0] * 9]
    tanh = [TANH, W, 0, 1, 1, 0, 2, 0, 0, *[0] * 9]
    return native.module.Plan(gemm + tanh, [0, 2, W, 1], [W, W, W, 1], [1, 0], [], 1, False, [], [], list(outers))


class Memory:
    """Real memory for the small plan, with room around it."""

    def __init__(self, *outers):
        self.plan = small_plan(*outers)
        self.weight, self.initial = torch.randn(W, W), torch.randn(N, W)
        self.packed = torch.zeros(self.plan.packed_size(False))
        self.out = torch.full((T, N, W), torch.nan)
        self.sources = [self.weight.data_ptr(), W * W]
        self.arrays = [self.out.data_ptr(), T * N * W, N * W, W, 0, self.initial.data_ptr(), N * W]
        self.arrays += [self.out.data_ptr(), T * N * W, N * W, W, 0, 0, 0]
        self.shape = [T, N, T, 1, -1]

    def pack(self, sources=None, size=None):
        size = self.packed.numel() if size is None else size
        self.plan.pack(False, 1, self.sources if sources is None else sources, self.packed.data_ptr(), size)

    def run(
        self, arrays=None, shape=None, states=(), flags=0, size=None, totals=(), work=(0, 0), sources=(), packed=True
    ):
        size = self.packed.numel() if size is None else size
        arrays, shape = self.arrays if arrays is None else arrays, self.shape if shape is None else shape
        self.plan.run(
            False,
            1,
            False,
            arrays,
            list(states),
            shape,
            flags,
            self.packed.data_ptr() if packed else 0,
            size,
            list(sources),
            list(totals),
            *work,
        )


def test_the_small_plan_computes_what_it_says():
    m = Memory()
    m.pack()
    m.run()
    h = m.initial
    for t in range(T):
        h = torch.tanh(h @ m.weight.t())
        torch.testing.assert_close(m.out[t], h)


@settings(max_examples=120, deadline=None)
@given(place=st.sampled_from([1, 2, 3, 4, 6, 8, 9, 10, 11]), value=ANY)
def test_arrays_that_are_too_small_are_refused(place, value):
    """Every size, stride and first step of an array, one at a time; addresses are the caller's word."""
    m = Memory()
    m.pack()
    arrays = [*m.arrays]
    honest, arrays[place] = arrays[place], value
    size = place in (1, 6, 8)
    if size and value > honest:  # that would be a lie about the memory
        return
    with contextlib.suppress(ValueError):
        m.run(arrays)
        assert not size or value >= (N * W if place == 6 else (T - 1) * N * W)


@settings(max_examples=120, deadline=None)
@given(shape=st.lists(SMALL, min_size=5, max_size=5))
def test_any_small_shape_runs_inside_its_memory_or_is_refused(shape):
    m = Memory()
    m.pack()
    guard = m.out.clone()
    with contextlib.suppress(ValueError):
        m.run(shape=shape)
        return
    torch.testing.assert_close(m.out, guard, equal_nan=True)


NO_STEPS, NO_SHAPE = "there are no such steps", "shape is T, N, steps of a block, direction, upstream"
UNFIT = [
    ([T, 2**62, T, 1, -1], NO_STEPS),
    ([2**62, 2**62, 2**62, 1, -1], NO_STEPS),
    ([2**40, N, 2**40, 1, -1], NO_STEPS),
    ([T, 2**40, T, 1, -1], NO_STEPS),
    ([T, N, T, 0, -1], "there is no such direction"),
    ([T, N, T, 1, 2], "there is no such array"),
    ([T, N, 0, 1, -1], NO_STEPS),
    ([T, N, -1, 1, -1], NO_STEPS),
    ([T, N, T + 1, 1, -1], NO_STEPS),
    ([0, N, 0, 1, -1], NO_STEPS),
    ([T, N, T], NO_SHAPE),
    ([], NO_SHAPE),
]


@pytest.mark.parametrize(("shape", "reason"), UNFIT, ids=str)
def test_shapes_that_do_not_fit_are_refused(shape, reason):
    m = Memory()
    m.pack()
    with pytest.raises(ValueError, match=f"^engine: {reason}$"):
        m.run(shape=shape)


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ({"size": 0}, "the packed buffer is too small"),
        ({"size": -1}, "the packed buffer is too small"),
        ({"sources": []}, "a matrix is missing"),
        ({"sources": [0, W * W]}, "a matrix has no address"),
    ],
)
def test_packing_with_wrong_sizes_is_refused(sizes, reason):
    with pytest.raises(ValueError, match=f"^engine: {reason}$"):
        Memory().pack(**sizes)


@pytest.mark.parametrize("elements", [W * W - 1, 0, -1, -(2**63)])
def test_a_matrix_that_is_too_small_is_refused(elements):
    m = Memory()
    with pytest.raises(ValueError, match="^engine: a matrix is too small$"):
        m.pack(sources=[m.weight.data_ptr(), elements])


def test_run_with_wrong_sizes_is_refused():
    m = Memory()
    m.pack()
    for wrong, reason in (
        ({"size": 0}, "the packed buffer is too small"),
        ({"arrays": m.arrays[:-1]}, "an array is missing"),
        ({"arrays": []}, "an array is missing"),
        ({"totals": [8]}, "a total is missing"),
        ({"states": [1, 2]}, "the states are cut off"),
    ):
        with pytest.raises(ValueError, match=f"^engine: {reason}$"):
            m.run(**wrong)


def test_an_outer_product_is_summed_over_all_rows_in_place():
    m = Memory(1, 0, W, 0, 0, W)  # new^T old
    m.pack()
    room = m.plan.work_sizes(False, N, 1, True)[0] * T * N
    work, total = torch.empty(room), torch.full((W, W + 2), 7.0)
    given = {"work": (work.data_ptr(), room)}
    m.run(**given, totals=[total.data_ptr(), total.numel() - 2, W + 2, 0])
    old = torch.cat([m.initial[None], m.out[:-1]]).view(-1, W)
    truth = m.out.view(-1, W).t() @ old
    torch.testing.assert_close(total[:, :W], truth)
    m.run(**given, totals=[total.data_ptr(), total.numel() - 2, W + 2, 1])
    torch.testing.assert_close(total[:, :W], 2 * truth)
    assert (total[:, W:] == 7).all()
    for size, stride, reason in (
        (total.numel() - 3, W + 2, "a total is too small"),
        (W * W, W - 1, "the rows of a total overlap"),
        (W * W, -1, "the rows of a total overlap"),
        (-1, W, "the rows of a total overlap"),
        (2**62, 2**62, "a size is beyond any memory"),
    ):
        with pytest.raises(ValueError, match=f"^engine: {reason}$"):
            m.run(**given, totals=[total.data_ptr(), size, stride, 0])
    with pytest.raises(ValueError, match="work space"):
        m.run(work=(work.data_ptr(), room - 1), totals=[total.data_ptr(), total.numel(), W + 2, 0])


def test_a_matrix_is_read_as_it_lies_where_it_is_given():
    m, packed = Memory(), Memory()
    packed.weight.copy_(m.weight)
    packed.initial.copy_(m.initial)
    packed.pack()
    packed.run()
    m.run(size=0, sources=m.sources, packed=False)
    torch.testing.assert_close(m.out, packed.out)
    m.out.zero_()
    m.run(sources=m.sources)  # packed first
    assert torch.equal(m.out, packed.out)
    with pytest.raises(ValueError, match="packed buffer"):
        m.run(size=m.packed.numel() - 1, sources=m.sources)
    address, size = m.sources
    for wrong, reason in (
        ([address], "a matrix is missing"),
        ([0, size], "a matrix has no address"),
        ([address, size - 1], "a matrix is too small"),
        ([address, -1], "a matrix is too small"),
        ([address, size, address, size], "a matrix is missing"),
    ):
        with pytest.raises(ValueError, match=f"^engine: {reason}$"):
            m.run(size=0, sources=wrong, packed=False)
    turned = native.module.Plan([GEMM, W, 0, 1, 1, 0, 1, 0, 0, *[0] * 9], [0, 1, W, 1], [W, W, 1, W], [1, 0], [], 0,
                                False, [], [], [])  # fmt: skip
    with pytest.raises(ValueError, match="side by side"):
        turned.run(False, 1, False, m.arrays, [], m.shape, 0, 0, 0, m.sources, [], 0, 0)


def state(m, out=1, width=W, last=None):
    """One state of a call with flags; addresses in the order initial, reset, last."""
    last = m.out.data_ptr() if last is None else last
    return [width, 0, out, -1, -1, m.initial.data_ptr(), m.initial.data_ptr(), last, 0, 0]


def strides(m, row, time):
    arrays = [*m.arrays]
    arrays[2], arrays[3], arrays[9], arrays[10] = time, row, time, row
    return arrays


def packs_without_end():
    most = 2**30 - 1
    plan = native.module.Plan([], [], [most, most, 0, 0] * 16, [], [], 0, False, [], [], [])
    room = torch.zeros(16)
    plan.pack(False, 1, [room.data_ptr(), 16] * 16, room.data_ptr(), 16)


def sum_of_a_number():
    """As many columns of a number as an array may have."""
    rowsum = [GEMM + 1, 1, 2**23, 1, 0, 0, 3, 0, 0, *[0] * 9]
    plan = native.module.Plan(rowsum, [0, 1, 1, 0], [], [0], [1.0], 0, True, [], [], [])
    out = torch.zeros(T, N, 1)
    plan.run(False, 1, False, [out.data_ptr(), T * N, N, 1, 0, 0, 0], [], [T, N, 0, T, 1, -1], 0, 8, 0, [], [], 0, 0)
    assert (out == 2**23).all()


FLAGS = torch.full((T, N), 9, dtype=torch.uint8)
LIES = {
    "a state without an array": lambda m: m.run(states=state(m, out=-1), flags=FLAGS.data_ptr()),
    "a state wider than its array": lambda m: m.run(states=state(m, width=2**22), flags=FLAGS.data_ptr()),
    "a state without an address": lambda m: m.run(states=state(m, last=0), flags=FLAGS.data_ptr()),
    "flags without states": lambda m: m.run(shape=[T, N, 0, T, 1, 0], flags=FLAGS.data_ptr()),
    "rows whose extent overflows": lambda m: m.run(strides(m, 2**39, 0), [T, 2**25 + 1, 0, T, 1, -1]),
    "steps whose extent overflows": lambda m: m.run(strides(m, W, 2**39), [2**40, N, 0, 2**25 + 1, 1, -1]),
    "matrices whose sum overflows": lambda m: packs_without_end(),
    "the sum of a number": lambda m: sum_of_a_number(),
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("lie", LIES)
def test_numbers_that_cannot_be_true_do_not_end_the_process(lie):
    """Each in a process of its own, since what is wrong here ends it."""
    m = Memory()
    m.pack()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        signal.alarm(PATIENCE)  # a hang ends
        with contextlib.suppress(ValueError):
            LIES[lie](m)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


X = torch.zeros(4, 2, 3)
H0 = torch.zeros(2, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": X[0]}, "x has shape"),
        ({"x": X[..., :2]}, "x has shape"),
        ({"x": X[:0]}, "x has shape .* at least one step"),
        ({"x": X.int()}, "x has dtype"),
        ({"x": X.double()}, "x has dtype"),
        ({"x": X.half()}, "x has dtype"),
        ({"x": X.to(torch.complex64)}, "x has dtype"),
        ({"x": X.to("meta")}, "x is on meta|x .*device"),
        ({"state": H0}, "state must be a tuple"),
        ({"state": (H0[:1],)}, "state h has shape"),
        ({"state": (H0[:, :3],)}, "state h has shape"),
        ({"state": (H0.double(),)}, "state h has dtype"),
        ({"state": (H0.to("meta"),)}, "state h .*(device|meta)"),
        ({"state": (None,)}, r"tuple \(h,\) of tensors, got \(None,\)"),
        ({"lengths": torch.tensor([5, 1])}, "lengths must lie"),
        ({"lengths": torch.tensor([-1, 1])}, "lengths must lie"),
        ({"lengths": torch.tensor([1, 1, 1])}, "lengths has shape"),
        ({"lengths": torch.tensor([1.0, 1.0])}, "lengths has shape"),
        ({"lengths": torch.tensor([2**62, 1])}, "lengths must lie"),
        ({"resets": torch.zeros(4, 2)}, "resets has shape"),
        ({"resets": torch.zeros(4, 3, dtype=torch.bool)}, "resets has shape"),
        ({"constants": ()}, "constants"),
        ({"constants": (torch.zeros(2, 3),)}, "constant"),
        ({"constants": (torch.zeros(3, 2),)}, "constant"),
        ({"constants": (torch.zeros(2, 2).double(),)}, "constant"),
        ({"constants": (torch.zeros(2, 2, device="meta"),)}, "constant"),
        ({"constants": (1.0,)}, "constant"),
    ],
)
@pytest.mark.parametrize("backend", ["engine", "auto"])
def test_arguments_that_do_not_fit_are_named(arguments, message, backend):
    layer = Recurrent(make("modulated", 3, 4).float(), backend=backend)
    with pytest.raises(ValueError, match=message):
        layer(**{"x": X, "constants": (torch.zeros(2, 2),)} | arguments)
