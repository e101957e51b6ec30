"""What every test and docstring example may use."""

from __future__ import annotations

import os
from typing import Any

import pytest

os.environ.setdefault("COLUMNS", "80")


@pytest.fixture(autouse=True)
def _examples(doctest_namespace: dict[str, Any]) -> None:
    """The names that the examples in docstrings take for granted."""
    import numpy as np
    import torch

    import unrolled

    doctest_namespace.update(np=np, torch=torch, unrolled=unrolled)
