"""Products of matrices by the kernel that multiplies in the scan."""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled import threads
from unrolled.engine import fresh, native


def bmm(a: Tensor, b: Tensor) -> Tensor:
    """``torch.bmm`` of matrices that are not differentiated, by the engine where it can, else by torch.

    The library with which torch multiplies is far from the limit on processors that are not its maker's
    (``python benchmarks/matmul.py``).

    Shapes:
        a (K, M, D), b (K, D, N); the result (K, M, N).

    >>> bmm(torch.ones(1, 2, 3), torch.ones(1, 3, 2))
    tensor([[[3., 3.],
             [3., 3.]]])
    """
    if not _fits(a, b):
        return torch.bmm(a, b)
    (K, M, D), N = a.shape, b.shape[2]
    a, b = fresh.plain(a), b.resolve_neg()
    out = fresh.empty(a, K, M, N)
    count = threads.suited(threads.limited(torch.get_num_threads()), 2.0 * K * M * D * N)
    addresses = a.data_ptr(), b.data_ptr()
    native.module.multiply(
        a.dtype == torch.float64, count, [K, M, D, N], *addresses, list(b.stride()), out.data_ptr()
    )
    return out


def _fits(a: Tensor, b: Tensor) -> bool:
    alike = a.dtype == b.dtype and a.dtype in (torch.float32, torch.float64) and a.is_cpu and b.is_cpu
    learning = torch.is_grad_enabled() and (a.requires_grad or b.requires_grad)
    matching = a.dim() == b.dim() == 3 and a.shape[::2] == b.shape[:2] and min(*a.shape, *b.shape) > 0
    return native.available() and alike and matching and not learning and not torch.compiler.is_compiling()
