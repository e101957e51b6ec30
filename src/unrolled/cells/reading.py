"""Reading an equation's own names: the local variables of a function at its return."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def read_names(
    function: Callable[..., Any], *args: Any, equation: Callable[..., Any] | None = None
) -> tuple[dict[str, Any], Any]:
    """Call ``function``; the local variables as they stood at its return, and what it returned.

    The arguments themselves are left out, under whatever name.

    Arguments:
        function: what is called with ``args``.
        equation: the function whose variables are read, if it is another, which ``function`` calls.

    >>> def equation(x):
    ...     r = x + 1
    ...     return 2 * r
    >>> read_names(equation, 1)
    ({'r': 2}, 4)
    """
    read = function if equation is None else equation
    code = getattr(read, "__func__", read).__code__
    given: dict[str, Any] = {}
    names: dict[str, Any] = {}

    def watch(frame: FrameType, event: str, arg: Any) -> Any:
        if listens:
            profiler(frame, event, arg)
        if frame.f_code is code:
            if event == "call":
                given.update(frame.f_locals)
            elif event == "return":
                known = set(map(id, given.values()))
                names.update((k, v) for k, v in frame.f_locals.items() if id(v) not in known)
            return watch
        return None

    # cProfile cannot be put back by setprofile; the other hook is free then
    profiler: Any = sys.getprofile()
    put: Any = sys.setprofile if profiler is None or callable(profiler) else sys.settrace
    listens = callable(profiler)  # a profiler written in Python goes on listening
    before = profiler if put is sys.setprofile else sys.gettrace()
    put(watch)
    try:
        returned = function(*args)
    finally:
        put(before)
    return names, returned
