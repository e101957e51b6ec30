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
    "torch.random": "sets the state of torch's random number generator",
    "time": "reads the clock",
    "datetime": "reads the clock",
    "_pydatetime": "reads the clock",
    "os": "calls the operating system",
    "posix": "calls the operating system",
    "nt": "calls the operating system",
    "pathlib": "reads or writes files",
    "io": "reads or writes files",
    "_io": "reads or writes files",
    "tempfile": "reads or writes files",
    "shutil": "reads or writes files",
    "subprocess": "starts a process",
    "socket": "uses the network",
    "uuid": "draws a random number",
    "logging": "writes to a log",
    "warnings": "issues a warning",
    "_warnings": "issues a warning",
    "contextvars": "reads a context variable",
}
"""Modules of Python, and what to call their functions does."""
_BUILTINS = {
    "print": "prints",
    "input": "asks for input",
    "exec": "runs code from a string",
    "eval": "runs code from a string",
    "register_hook": "puts a hook on a tensor",
    "retain_grad": "retains the gradient of a tensor",
    "is_grad_enabled": "checks whether gradients are enabled",
    "is_inference_mode_enabled": "checks whether gradients are enabled",
    "is_autocast_enabled": "checks whether autocast is enabled",
    "get_num_threads": "reads the number of threads",
}
NAMES = {
    "register_hook": "puts a hook on a tensor",
    "register_post_accumulate_grad_hook": "puts a hook on a tensor",
    "requires_grad": "checks whether a tensor requires a gradient",
    "is_leaf": "checks how a tensor was computed",
    "grad_fn": "checks how a tensor was computed",
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
    _code(torch.autograd.Function.apply): "defines its own gradient (torch.autograd.Function)",
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
