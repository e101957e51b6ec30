"""What every test and docstring example may use."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings

gc.disable()  # until all tests are collected: torch and the tests make a million objects, and all of them stay
os.environ.setdefault("COLUMNS", "80")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    # a shell starts what runs in its background deaf to Ctrl-C, and every process that the tests start would be
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")  # an example takes as long as the machine's load makes it


def pytest_collection_finish() -> None:
    """From here on there is garbage."""
    gc.collect()  # what is there now is old; gc.freeze would hide it from the compiler, which asks who refers to it
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def _no_loss_of_power() -> Iterator[None]:
    """Nothing in this process waits for a disk, which takes longer than all of a small run's computing.

    A killed process does not need it, and no test cuts the power. That a sync comes before each rename is tested
    where files are written.
    """
    with mock.patch.object(os, "fsync", os.fstat):  # also an error if the file is not open
        yield


@pytest.fixture(autouse=True)
def _examples(doctest_namespace: dict[str, Any]) -> None:
    """The names that the examples in docstrings take for granted."""
    import numpy as np
    import torch

    import unrolled

    doctest_namespace.update(np=np, torch=torch, unrolled=unrolled)
