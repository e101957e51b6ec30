"""Whose code it is: torch's, numpy's and Python's own is taken as it is, what a person wrote is watched."""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType, ModuleType

import numpy as np
import torch

_OURS = Path(__file__).parents[1]
_CELLS = str(_OURS / "cells") + os.sep
_LIBRARIES = tuple(str(Path(module.__path__[0])) + os.sep for module in (torch, np))
_ROOMS = tuple(str(_OURS / room) + os.sep for room in ("compiler", "engine", "layers"))
_BASES = tuple(str(_OURS / "cells" / file) for file in ("cell.py", "gates.py", "reading.py", "shown.py"))
_PYTHON = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})
_SITES = tuple({sysconfig.get_path(name) + os.sep for name in ("purelib", "platlib")})
_TYPING = ("builtins", "types", "functools", "typing", "abc")


def is_their_code(code: CodeType) -> bool:
    """Whether a library has it that does what it says: torch, numpy, Python, or our own base classes."""
    return _is_their_file(code.co_filename)


def is_their_frame(frame: FrameType) -> bool:
    """As `is_their_code`, of code that runs; code that a library makes from a text is the library's."""
    if not frame.f_code.co_filename.startswith("<string"):
        return is_their_code(frame.f_code)
    module = sys.modules.get(frame.f_globals.get("__name__", ""))
    return module is not None and is_their_module(module)


def is_ours(code: CodeType) -> bool:
    """Whether it belongs to a cell that comes with the package."""
    return code.co_filename.startswith(_CELLS)


def is_their_module(module: ModuleType) -> bool:
    name = module.__name__
    file = getattr(module, "__file__", None)
    return name.partition(".")[0] == "unrolled" or (_is_their_file(file) if file else name in sys.stdlib_module_names)


def is_their_class(kind: type) -> bool:
    module = sys.modules.get(kind.__module__)
    if kind.__module__ in _TYPING or module is None or kind.__module__ == "__main__":
        return kind.__module__ in _TYPING
    file = getattr(module, "__file__", None)
    return _is_their_file(file) if file else kind.__module__ in sys.stdlib_module_names


@lru_cache(maxsize=4096)
def _is_their_file(file: str) -> bool:
    if file.startswith(("<frozen", *_LIBRARIES, *_ROOMS, *_BASES)):
        return True
    return file.startswith(_PYTHON) and not file.startswith(_SITES)  # where others' packages lie, often within
