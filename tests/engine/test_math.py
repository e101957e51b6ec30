"""The engine's element-wise operations: their numbers, their values, and how far exp and tanh are from the truth."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import unrolled
from unrolled.compiler.plan import INSTRUCTIONS, MODES
from unrolled.compiler.program import ELEMENTWISE
from unrolled.engine import native

SIZE = {torch.float32: 4, torch.float64: 8}
KINDS = list(ELEMENTWISE)
BUILT = {"x86_64": ["avx512", "avx2", "scalar"], "aarch64": ["neon", "scalar"]}.get(platform.machine(), ["scalar"])


def apply(kind, *args):
    """One operation by the engine."""
    args = [a.contiguous() for a in args]
    out = torch.full_like(args[0], torch.nan)
    addresses = [a.data_ptr() for a in args] + [0] * (3 - len(args))
    native.module.apply(args[0].dtype == torch.float64, KINDS.index(kind), out.numel(), *addresses, out.data_ptr())
    return out


def every_exponent(count=2**18):
    """Bit patterns at equal distances: all signs and exponents, denormals, infinities, NaN."""
    step = 2**32 // count
    patterns = torch.arange(-(2**31), 2**31, step, dtype=torch.int64)
    patterns = torch.cat([patterns, patterns + torch.randint(0, step, patterns.shape)]).to(torch.int32)
    special = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, 88.7228, 88.723, -103.97, -103.98, -87.34])
    return torch.cat([patterns.view(torch.float32), special, torch.linspace(-110, 110, 2**16)])


@pytest.mark.parametrize("kind", ["exp", "sigmoid", "tanh"])
def test_within_three_units_of_the_last_place(path, kind):
    """Three is what a polynomial of degree 7 and two roundings allow; torch's own kernels are within two."""
    torch.manual_seed(0)
    x = every_exponent()
    truth = getattr(torch, kind)(x.double())
    found = apply(kind, x)
    assert torch.equal(found.isnan(), x.isnan())
    x, found, truth = (t[~x.isnan()] for t in (x, found, truth))
    rounded = truth.float()
    finite = rounded.isfinite()
    assert torch.equal(found[~finite], rounded[~finite])
    after = torch.nextafter(rounded.abs(), torch.tensor(torch.inf))
    unit = (after.double() - rounded.abs().double())[finite]
    error = ((found.double() - truth).abs()[finite] / unit).max()
    assert error <= 3, f"{error} at {x[finite][((found.double() - truth).abs()[finite] / unit).argmax()]}"


def arguments(kind, dtype, n=1003):
    """Random arguments among which are zeros, equal ones, large and small ones; positive where torch asks for it."""
    made = []
    for _ in range(ELEMENTWISE[kind].arity):
        a = torch.randn(n, dtype=dtype) * 3
        a[::7] = 0
        a[1::11] *= 1e-20
        a[2::13] *= 1e4
        a[3::17] = 1
        made.append(a[torch.randperm(n)])
    return [a.abs() for a in made] if kind in ("log", "sqrt") else made


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_each_operation_is_torchs(path, kind, dtype):
    """Some units of the last place: 3 from the functions above, and sums that cancel lose more of their size."""
    torch.manual_seed(KINDS.index(kind))
    args = arguments(kind, dtype)
    wanted = ELEMENTWISE[kind].torch(*args)
    unit = torch.finfo(dtype).eps
    size = sum(a.abs() for a in args).square() if kind in ("lerp", "fma", "sub_mul", "dtanh_add") else 0
    size = size + wanted.abs() + (args[0] * args[-1]).abs() * unit
    if kind.startswith(("dsigmoid", "dtanh")):  # 1 - y y, for y that are no values of tanh here
        size = size + (args[0] * args[-1] * args[-1] * args[min(1, len(args) - 1)]).abs() + args[0].abs()
    error = (apply(kind, *args) - wanted).abs()
    close = (error <= 8 * unit * size) | (apply(kind, *args) == wanted) | wanted.isnan()
    close |= error < torch.finfo(dtype).tiny  # below the normal numbers torch's sigmoid is 0 already
    assert close.all(), (error / (unit * size)).nan_to_num().max()
    assert torch.equal(apply(kind, *args).isnan(), wanted.isnan())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [k for k in KINDS if ELEMENTWISE[k].arity < 3])
def test_what_is_not_finite(path, kind, dtype):
    """Each pair of special numbers, in a whole vector and in the rest of one."""
    special = torch.tensor([0.0, -0.0, 1.0, -1.0, torch.inf, -torch.inf, torch.nan], dtype=dtype)
    args = list(torch.cartesian_prod(*[special] * ELEMENTWISE[kind].arity).view(-1, ELEMENTWISE[kind].arity).t())
    wanted = ELEMENTWISE[kind].torch(*args)
    for repeats in (1, 5):
        found = apply(kind, *(a.repeat(repeats) for a in args))
        torch.testing.assert_close(found, wanted.repeat(repeats), equal_nan=True)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 129])
def test_no_number_beyond_the_last_is_touched(path, n):
    for dtype in SIZE:
        room = torch.full((n + 20,), 7.0, dtype=dtype)
        a = torch.randn(n + 1, dtype=dtype)
        native.module.apply(dtype == torch.float64, KINDS.index("tanh"), n, a.data_ptr(), 0, 0, room.data_ptr())
        torch.testing.assert_close(room[:n], a[:n].tanh())
        assert (room[n:] == 7).all()


def test_operations_that_do_not_exist():
    a = torch.zeros(4)
    for op, n, address in ((-1, 4, a.data_ptr()), (len(KINDS), 4, a.data_ptr()), (0, -1, a.data_ptr()), (0, 4, 0)):
        with pytest.raises(ValueError, match="^engine: there is no such operation$"):
            native.module.apply(False, op, n, address, 0, 0, a.data_ptr())


def test_the_tables_of_both_languages_agree():
    assert tuple(native.module.instructions()) == INSTRUCTIONS


def test_the_modes_have_the_same_order_in_the_header():
    header = Path(unrolled.__file__).parent / "engine" / "csrc" / "plan.h"
    if not header.exists():
        pytest.skip("the source tree is not there")
    listed = re.search(r"enum Mode[^{]*\{([^}]*)\}", header.read_text()).group(1)
    assert tuple(name.strip().lower() for name in listed.split(",")) == MODES


def test_paths():
    assert native.path() in native.paths() and native.paths()[-1] == "scalar"
    with pytest.raises(ValueError, match="there is no path abacus; this build has"):
        native.choose("abacus")


def test_a_path_in_the_environment_that_is_not_there_is_a_sentence():
    env = os.environ | {"UNROLLED_CPU": "abacus"}
    command = [sys.executable, "-m", "unrolled", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 2 and not done.stdout
    said = " ".join(done.stderr.split())
    assert said == f"unrolled: UNROLLED_CPU: there is no path abacus; this build has {', '.join(BUILT)}"
