"""Reading an equation's own names: the local variables of a function at its return."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def read_names(function: Callable[..., Any], *args: Any) -> tuple[dict[str, Any], Any]:
    """Call ``function``; its local variables as they stood at its return, and what it returned.

    >>> def equation(x):
    ...     r = x + 1
    ...     return 2 * r
    >>> read_names(equation, 1)
    ({'x': 1, 'r': 2}, 4)
    """
    code = getattr(function, "__func__", function).__code__
    names: dict[str, Any] = {}

    def watch(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code is code:
            if event == "return":
                names.update(frame.f_locals)
            return watch
        return None

    # cProfile cannot be put back by setprofile; the other hook is free then
    profiler = sys.getprofile()
    put: Any = sys.setprofile if profiler is None or callable(profiler) else sys.settrace
    before = profiler if put is sys.setprofile else sys.gettrace()
    put(watch)
    try:
        returned = function(*args)
    finally:
        put(before)
    names.pop("self", None)
    return names, returned
