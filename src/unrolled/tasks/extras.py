"""Libraries that only some data need: a missing one is one sentence with the command that installs it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from unrolled.errors import UsageError


def needed(module: str, extra: str, what: str) -> Any:
    """An optional library.

    Arguments:
        module: its name; extra: of the package's extras, the one that brings it.
        what: what it is needed for.

    Raises:
        UsageError: it is not installed.

    >>> needed("missing_library", "dna", "FASTA files")
    Traceback (most recent call last):
    unrolled.errors.UsageError: FASTA files need missing_library: install it with pip install 'unrolled[dna]'
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(f"{what} need {module}: install it with pip install 'unrolled[{extra}]'") from error
