"""Calls that a program cannot keep: those that answer differently each time, and those that do something."""

from __future__ import annotations

import datetime
import io
import random
from types import FrameType
from typing import Any

import numpy as np
import torch

_FILES = {
    "random": "draws a random number",
    "secrets": "draws a random number",
    "torch.random": "sets torch's random numbers",
    "time": "reads the clock",
    "datetime": "reads the clock",
    "_pydatetime": "reads the clock",
    "os": "asks the operating system",
    "posix": "asks the operating system",
    "nt": "asks the operating system",
    "pathlib": "reads or writes files",
    "io": "reads or writes files",
    "_io": "reads or writes files",
    "tempfile": "reads or writes files",
    "shutil": "reads or writes files",
    "subprocess": "starts a program",
    "socket": "uses the network",
    "uuid": "draws a random number",
    "logging": "writes to a log",
    "warnings": "gives a warning",
    "_warnings": "gives a warning",
    "contextvars": "reads what each thread sees otherwise",
}
"""Modules of Python, and what to call their functions does."""
_BUILTINS = {
    "print": "prints",
    "input": "asks the person",
    "exec": "runs code from a text",
    "eval": "runs code from a text",
    "register_hook": "puts a hook on a tensor",
    "retain_grad": "keeps the gradient of a tensor",
    "is_grad_enabled": "asks whether gradients are wanted",
    "is_inference_mode_enabled": "asks whether gradients are wanted",
    "is_autocast_enabled": "asks for autocast",
    "get_num_threads": "asks for the number of threads",
}
NAMES = {
    "register_hook": "puts a hook on a tensor",
    "register_post_accumulate_grad_hook": "puts a hook on a tensor",
    "requires_grad": "asks whether a tensor wants a gradient",
    "is_leaf": "asks how a tensor was made",
    "grad_fn": "asks how a tensor was made",
}
"""Attributes that tell nothing while tensors have no numbers; code that names them may take another way then."""
_CLOCKS = {"now", "today", "utcnow"}


def _code(function: Any) -> Any:
    return getattr(function, "__func__", function).__code__


_CODES = {
    _code(torch.Tensor.register_hook): "puts a hook on a tensor",
    _code(torch.Tensor.register_post_accumulate_grad_hook): "puts a hook on a tensor",
    _code(torch.Tensor.backward): "computes gradients itself",
    _code(torch.autograd.grad): "computes gradients itself",
    _code(torch.autograd.backward): "computes gradients itself",
    _code(torch.autograd.Function.apply): "has a gradient of its own (torch.autograd.Function)",
    _code(torch.nn.Module.register_forward_hook): "puts a hook on a module",
    _code(torch.nn.Module.register_forward_pre_hook): "puts a hook on a module",
    _code(torch.nn.Module.register_full_backward_hook): "puts a hook on a module",
    _code(torch.nn.Module.register_full_backward_pre_hook): "puts a hook on a module",
}


def of_call(frame: FrameType) -> str:
    """What is wrong with the call of a library's Python function; nothing if it is empty."""
    return _CODES.get(frame.f_code) or _FILES.get(frame.f_globals.get("__name__", ""), "")


def of_builtin(function: Any) -> str:
    """As `of_call`, of a function written in C."""
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if isinstance(owner, random.Random | np.random.RandomState | np.random.Generator | np.random.BitGenerator):
        return _FILES["random"]
    if isinstance(owner, io.IOBase):
        return _FILES["io"]
    if name in _CLOCKS and isinstance(owner, type) and issubclass(owner, datetime.date):
        return _FILES["time"]
    module = getattr(function, "__module__", None) or ""
    if module in _FILES:
        return _FILES[module]
    return _BUILTINS.get(name, "") if module.partition(".")[0] in ("builtins", "torch", "") else ""
