"""What the tests of the laboratory share."""

import pytest
import torch


@pytest.fixture
def one_thread():
    """As the laboratory's own processes run: small networks wait for no second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
