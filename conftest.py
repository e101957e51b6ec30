"""What every test and docstring example may use."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("COLUMNS", "80")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    # a shell starts what runs in its background deaf to Ctrl-C, and every process that the tests start would be
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")  # an example takes as long as the machine's load makes it


@pytest.fixture(autouse=True)
def _examples(doctest_namespace: dict[str, Any]) -> None:
    """The names that the examples in docstrings take for granted."""
    import numpy as np
    import torch

    import unrolled

    doctest_namespace.update(np=np, torch=torch, unrolled=unrolled)
