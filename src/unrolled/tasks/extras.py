"""Libraries that a task needs and the package does not bring along."""

from __future__ import annotations

import shlex
import sys
from importlib import import_module
from typing import Any

from unrolled.errors import UsageError


def needed(module: str, what: str) -> Any:
    """An optional library.

    Arguments:
        module: its name; what: what it is needed for, in the plural.

    Raises:
        UsageError: it is not installed; the command that installs it is one for the Python that runs.

    >>> needed("missing_library", "FASTA files")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    unrolled.errors.UsageError: FASTA files need missing_library: install it with ... -m pip install missing_library
    """
    try:
        return import_module(module)
    except ImportError as error:
        python = shlex.quote(sys.executable or "python")
        raise UsageError(f"{what} need {module}: install it with {python} -m pip install {module}") from error
