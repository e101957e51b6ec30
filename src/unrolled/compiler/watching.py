"""Tracing under watch: what the equation read, and a refusal of what a program cannot keep."""

from __future__ import annotations

import dis
import gc
import inspect
import linecache
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, TypeVar

import numpy as np
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import _disable_current_modes

from unrolled.cells.cell import Cell
from unrolled.compiler import effects, marks
from unrolled.compiler.hooks import any_hook
from unrolled.compiler.marks import Marks
from unrolled.compiler.reads import Reads
from unrolled.compiler.theirs import is_their_code, is_their_frame
from unrolled.compiler.trace import trace
from unrolled.compiler.traced import Traced, UnsupportedError, Widths

T = TypeVar("T")
_CLEAN = "unrolled compiling"
_GENERATES = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_NUMPYS = "the random numbers of numpy"
_ROUNDS = 4
"""Traces at most until all code that runs is known."""
_ALONE = threading.RLock()
"""Held while an equation runs: collection and torch's cache, both off then, are of the whole process."""


def watched(cell: Cell, constants: Widths = ()) -> tuple[Traced | UnsupportedError, Reads]:
    """The program of ``cell.step``, or why there is none; and what that depends on.

    The equation runs a few times, on tensors without numbers. What it changes is put back.
    """
    reads = Reads(cell)
    try:
        if hook := any_hook(cell):  # before it runs: it may do anything, and at each step
            raise UnsupportedError(hook)
        functions: set[FunctionType] = set()
        for _ in range(_ROUNDS):
            traced, ran = _traced(cell, constants, reads)
            unknown = ran - reads.codes
            if not unknown:
                return traced, reads
            functions |= _functions_of(unknown)
            reads = Reads(cell, functions)
            if not unknown <= reads.codes:
                break
        reason = "runs functions that cannot be found behind gc.freeze()" if gc.get_freeze_count() else ""
        raise UnsupportedError(reason or "runs code without a source", _at(next(iter(unknown)).co_firstlineno, ""))
    except UnsupportedError as error:
        return error, reads


def clean(function: Callable[..., T], *args: Any) -> T:
    """Call it in a thread of its own, where no mode, transformation or profiler of the caller's is active."""
    if threading.current_thread().name.startswith(_CLEAN):  # a layer within a cell, while that is verified
        return function(*args)
    with ThreadPoolExecutor(1, thread_name_prefix=_CLEAN) as executor:
        return executor.submit(function, *args).result()


def _traced(cell: Cell, constants: Widths, reads: Reads, again: int = 2) -> tuple[Traced, set[CodeType]]:
    """One trace, which must leave everything as it was; and the person's code that ran."""
    _refuse_unwatchable(reads)
    everything = (reads.marks, _numpys_generator())
    listener = _Listener()
    failed: UnsupportedError | None = None
    with _ALONE, _no_cache(), _no_collection():
        try:
            traced = trace(cell, constants, listener.listening)
        except UnsupportedError as error:
            failed = error
    changed = _put_back(everything)
    if changed == [_NUMPYS] and again:  # or was it another thread?
        return _traced(cell, constants, reads, again - 1)
    if changed:
        where = _line_of(lambda: trace(cell, constants), everything, changed)
        _put_back(everything)
        reads.marks.forget(changed)
        raise UnsupportedError(f"step changes {', '.join(changed)}", where)
    if listener.refused or failed:
        raise listener.refused or failed  # type: ignore[misc]
    for code in listener.ran:
        for name in (name for name in effects.NAMES if name in code.co_names):
            raise UnsupportedError(f"step {effects.NAMES[name]}", _at(_line_naming(code, name), code.co_filename))
    return traced, listener.ran


class _Listener:
    """Hears of every call while the equation runs."""

    def __init__(self) -> None:
        self.ran: set[CodeType] = set()
        self.refused: UnsupportedError | None = None
        self._import: FrameType | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        before = sys.getprofile()
        sys.setprofile(self._hear)
        try:
            yield
        finally:
            sys.setprofile(before)

    def _hear(self, frame: FrameType, event: str, arg: Any) -> None:
        if self._import is not None:  # a library loads a part of itself: not the equation's doing
            if event == "return" and frame is self._import:
                self._import = None
        elif event == "call" and frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            self._import = frame
        elif event == "call":
            if not is_their_frame(frame):
                self.ran.add(frame.f_code)
            elif frame.f_code.co_flags & _GENERATES:  # whoever made it was heard; its f_back can crash Python 3.11
                pass
            elif (caller := frame.f_back) is not None and not is_their_frame(caller):
                self._judge(effects.of_call(frame), caller)
        elif event == "c_call" and not is_their_frame(frame):
            self._judge(effects.of_builtin(arg), frame)

    def _judge(self, effect: str, frame: FrameType) -> None:
        if effect:  # before it takes place
            self.refused = UnsupportedError(f"step {effect}", _at(frame.f_lineno, frame.f_code.co_filename))
            raise self.refused


def _refuse_unwatchable(reads: Reads) -> None:
    if reads.unwatchable:
        label = reads.unwatchable[0]
        attribute = label.rpartition(".")[2].partition("[")[0]
        places: Iterator[Any] = ((c, line) for c in reads.codes if (line := _line_naming(c, attribute)) is not None)
        code, line = next(places, (None, None))
        raise UnsupportedError(
            f"step reads {label}, whose changes cannot be detected", _at(line, code and code.co_filename)
        )


def _line_naming(code: CodeType, name: str) -> int | None:
    """The first line of ``code`` that has a name."""
    for i in dis.get_instructions(code):
        if i.argval == name and i.positions is not None:
            return i.positions.lineno
    return None


def _numpys_generator() -> Marks:
    """A mark of where numpy's shared generator stands, whose calls nobody hears; the others' are refused as calls."""
    made, shared = Marks(), np.random.random.__self__  # type: ignore[attr-defined]
    made.add_equal(marks.generator_state, shared, _NUMPYS, marks.generator_undo(shared))
    return made


def _put_back(everything: tuple[Marks, ...]) -> list[str]:
    """Undo what has changed; its labels."""
    found = [pair for m in everything for pair in m.changed().items()]
    for _, undo in reversed(found):
        if undo is not None:
            undo()
    return [label for label, _ in found]


def _line_of(run: Callable[[], object], everything: tuple[Marks, ...], labels: list[str]) -> str:
    """The line that changes one of ``labels`` when ``run`` runs once more."""
    place: tuple[int, str] = (0, "")
    found: dict[str, tuple[int, str]] = {}

    def look() -> None:
        with _disable_current_modes():  # to compare tensors is not recorded
            now = {label for m in everything for label in m.changed()}
        for label in labels:
            if label not in now:
                found.pop(label, None)
            else:
                found.setdefault(label, place)

    def at_line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal place
        look()
        place = frame.f_lineno, frame.f_code.co_filename
        return at_line

    def at_call(frame: FrameType, event: str, _: Any) -> Any:
        return None if is_their_code(frame.f_code) else at_line(frame, event, None)

    before = sys.gettrace()
    sys.settrace(at_call)
    try:
        with _ALONE, _no_cache(), _no_collection():
            run()
    except UnsupportedError:
        pass
    finally:
        sys.settrace(before)
    look()
    return _at(*next(iter(found.values()), (0, "")))


def _at(line: int | None, file: str | None) -> str:
    text = linecache.getline(file, line).strip() if file and line else ""
    return f"line {line}: {text}" if text else f"line {line}" if line else ""


def _functions_of(codes: set[CodeType]) -> set[FunctionType]:
    """The functions that are made of these pieces of code, wherever they are kept.

    But for those that another of these pieces makes when it runs: what there is of them belongs to other threads.
    """
    lasting = codes - {inner for code in codes for inner in code.co_consts}
    found = {f for f in gc.get_referrers(*lasting) if isinstance(f, FunctionType) and f.__code__ in lasting}
    if gc.get_freeze_count():  # what was frozen is not searched
        files = {code.co_filename for code in lasting}
        modules = [m for m in list(sys.modules.values()) if getattr(m, "__file__", None) in files]
        found |= {f for f in _functions_in(modules) if f.__code__ in lasting}
    return found


def _functions_in(modules: list[ModuleType]) -> set[FunctionType]:
    """The functions in modules, in their classes, and in what wraps them."""
    found: set[FunctionType] = set()
    seen: set[int] = set()
    todo: list[Any] = [value for module in modules for value in vars(module).values()]
    names = {module.__name__ for module in modules}
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, FunctionType):
            found.add(one)
            for cell in one.__closure__ or ():
                with suppress(ValueError):  # one that is empty
                    todo.append(cell.cell_contents)
            todo.append(getattr(one, "__wrapped__", None))
        elif isinstance(one, type) and one.__module__ in names:
            todo += vars(one).values()
        elif isinstance(one, staticmethod | classmethod):
            todo.append(one.__func__)
        elif isinstance(one, property):
            todo += [one.fget, one.fset]
    return found


@contextmanager
def _no_cache() -> Iterator[None]:
    """Inside, torch does not keep what parametrizations compute: it would keep tensors without numbers."""
    state: Any = parametrize
    before = state._cache_enabled, state._cache
    state._cache_enabled, state._cache = 0, {}
    try:
        yield
    finally:
        state._cache_enabled, state._cache = before


@contextmanager
def _no_collection() -> Iterator[None]:
    """Inside, no garbage is collected by itself: what hears of it in this process is not the equation's doing."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
