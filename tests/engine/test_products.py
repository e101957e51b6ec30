"""Products of matrices by the engine's kernel beside torch's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.comparing import CLOSE
from helpers import engine_on
from unrolled import threads
from unrolled.engine import native
from unrolled.engine.products import bmm

sizes = st.integers(1, 70)
pytestmark = pytest.mark.skipif(not native.available(), reason="the engine was not built")


@pytest.mark.parametrize("count", [1, 2, 5])
@given(K=st.integers(1, 6), M=sizes, D=sizes, N=sizes, turned=st.tuples(st.booleans(), st.booleans()))
@settings(deadline=None, max_examples=60)
def test_as_torch_for_all_sizes_and_layouts(count, K, M, D, N, turned):
    a = torch.randn(K, D, M).double().mT if turned[0] else torch.randn(K, M, D).double()
    b = torch.randn(K, N, D).double().mT if turned[1] else torch.randn(K, D, N).double()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "suited", lambda most, operations: count)
        torch.testing.assert_close(bmm(a, b), torch.bmm(a, b), **CLOSE)


@pytest.mark.parametrize("size", [256, 300])
def test_rows_that_crowd_a_cache(path, size):
    a, b = torch.randn(2, 3, size, size).unbind()
    truth = torch.bmm(a.double(), b.double())
    for right in (b, b.mT.contiguous().mT):
        with engine_on(2):
            off = (bmm(a, right).double() - truth).abs().max() / truth.abs().max()
        assert off < 2**-24 * size**0.5 * 4  # a random walk of roundings, and a margin


def test_what_the_engine_does_not_multiply_goes_to_torch():
    a, b = torch.randn(2, 3, 4), torch.randn(2, 4, 5)
    learned = a.clone().requires_grad_()
    bmm(learned, b).sum().backward()
    torch.testing.assert_close(learned.grad, b.sum(2)[:, None].expand(2, 3, 4))
    assert bmm(a[:0], b[:0]).shape == (0, 3, 5) and bmm(a[..., :0], b[:, :0]).eq(0).all()
    torch.testing.assert_close(bmm(a.bfloat16(), b.bfloat16()), torch.bmm(a.bfloat16(), b.bfloat16()))
    for wrong in ((a, b.mT), (a, b[:1]), (a[0], b[0]), (a, b.double())):
        with pytest.raises(RuntimeError):
            bmm(*wrong)
