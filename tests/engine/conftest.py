"""What several tests of the engine run under."""

import pytest
import torch

from unrolled.engine import native


@pytest.fixture(params=native.paths())
def path(request):
    """Each instruction set in turn."""
    before = native.path()
    assert native.choose(request.param) == request.param
    yield request.param
    native.choose(before)


@pytest.fixture
def poisoned():
    """Fresh memory holds NaN."""
    deterministic, fills = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic
    before = deterministic, fills.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    fills.fill_uninitialized_memory = True
    assert torch.empty(5).isnan().all()
    yield
    torch.use_deterministic_algorithms(before[0])
    fills.fill_uninitialized_memory = before[1]
