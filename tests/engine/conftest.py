"""What several tests of the engine run under."""

import pytest
import torch

from unrolled.engine import native


@pytest.fixture(params=native.paths())
def path(request):
    """Each instruction set in turn."""
    before = native.path()
    native.choose(request.param)
    yield request.param
    native.choose(before)


@pytest.fixture
def poisoned():
    """Fresh memory holds NaN."""
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(False)
