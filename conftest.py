"""What every test and docstring example may use."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("COLUMNS", "80")

settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")  # an example takes as long as the machine's load makes it


@pytest.fixture(autouse=True)
def _examples(doctest_namespace: dict[str, Any]) -> None:
    """The names that the examples in docstrings take for granted."""
    import numpy as np
    import torch

    import unrolled

    doctest_namespace.update(np=np, torch=torch, unrolled=unrolled)
