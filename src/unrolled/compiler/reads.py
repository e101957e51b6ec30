"""What an equation may read beside its arguments, found by following the names that stand in its code.

Nothing is run for it. From the cell, and from each function, it goes to the attributes, globals, closure variables
and defaults whose names the code has, through containers and objects, and leaves a mark at each.
"""

from __future__ import annotations

import array
import dis
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from functools import cached_property, partial
from types import CodeType, FunctionType, MappingProxyType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

from unrolled.cells.cell import Cell
from unrolled.compiler import hooks, marks
from unrolled.compiler.marks import Marks
from unrolled.compiler.theirs import is_ours, is_their_class, is_their_code, is_their_module

_ALWAYS = {"step", "equation", "state", "constants", "state_shapes", "checked", "input_size", "hidden_size"}
_ALWAYS |= {"_program", "training", "forward", "cell"}
_COMPUTED = {"getattr", "vars", "__dict__", "attrgetter", "__getattribute__", "asdict", "astuple", "fields"}
"""Names in code that may read attributes whose names do not stand there: then all attributes are watched."""
_SKIPPED = {"__init_subclass__", "__repr__", "__str__", "__reduce__", "__getstate__", "__setstate__", "__del__"}
_SKIPPED |= {
    "__init__",
    "__new__",
    "__post_init__",
    "__setattr__",
}  # if step makes objects, their code is seen to run
_SKIPPED |= {"__doc__", "__module__", "__qualname__", "__annotations__", "__dict__", "__weakref__", "__slots__"}
_PLAIN = {object, nn.Module, Cell}
"""Classes whose own code reads nothing from their instances that counts."""
MEMORY = "_prepared"
"""The attribute under which a cell keeps what was made of it, and which no equation reads."""
_MODULE_KEYS = {name for name in nn.Module().__dict__ if name != "training"} | {MEMORY}
_HIDDEN = (Iterator, ContextVar, threading.local)
"""What cannot be compared without being used up, or what each thread sees otherwise."""
_MANY = 100_000
"""Things that are watched at most."""

Path = tuple[tuple[str, Any], ...] | None
"""The way from the cell to a value, by attributes ("attr", name) and items ("item", key); None from elsewhere."""


class Reads:
    """Everything that a cell's equation may read beside its arguments and the numbers in its parameters.

    ``marks`` say whether it has changed. ``codes`` is the code that may run; ``paths`` lead to the numbers and
    texts that the cell holds itself, ``beyond`` are the labels of those that are found elsewhere, or that change
    in place. ``unwatchable`` are things that cannot be compared: iterators.
    """

    def __init__(self, cell: Cell, functions: Iterable[FunctionType] = ()) -> None:
        self._functions = tuple(functions)
        names: set[str] = set(_ALWAYS)
        while True:  # code that is found has more names, which lead to more code
            walk = _Walk(cell, self._functions, names)
            if walk.names <= names:
                break
            names |= walk.names
        self.marks, self.codes, self.names = walk.marks, walk.codes, names
        self.paths, self.beyond, self.unwatchable = walk.paths, walk.beyond, walk.unwatchable

    def hold(self) -> bool:
        return self.marks.hold()

    def renewed(self, cell: Cell) -> Reads | None:
        """What is read now, if an equation cannot tell it from what was read before."""
        now = Reads(cell, self._functions)
        return now if now.marks.signature == self.marks.signature else None


class _Walk:
    """One way through all that can be reached by ``names``."""

    def __init__(self, cell: Cell, functions: tuple[FunctionType, ...], names: set[str]) -> None:
        self.cell, self.marks = cell, Marks()
        self.names: set[str] = set()
        self.codes: set[CodeType] = set()
        self.paths: list[Path] = []
        self.beyond: list[str] = []
        self.unwatchable: list[str] = []
        self._computed = bool(names & _COMPUTED)
        self._names = names
        self._seen: dict[Any, Any] = {}
        self._tied: dict[int, str] = {}
        self._learned = {id(t) for t in (*cell.parameters(), *cell.buffers())}
        self._todo: deque[tuple[Any, str, Path]] = deque([(cell, "self", ())])
        self._todo += [(f, f.__name__, None) for f in functions]
        for table in hooks.shared_tables():
            self._hooks(table, "a hook on all modules")
        while self._todo:
            self._visit(*self._todo.popleft())
            if len(self.marks) > _MANY:
                self.unwatchable.append("more objects than can be watched")
                break

    def _visit(self, value: Any, label: str, path: Path) -> None:
        if _is_atom(value):
            return self.beyond.append(label) if path is None else self.paths.append(path)
        if id(value) in self._seen:
            return None
        self._seen[id(value)] = value
        for kinds, visit in _VISITS:
            if isinstance(value, kinds):
                return visit(self, value, label, path)
        if marks.is_generator(value):
            self.beyond.append(label)
            undo = marks.generator_undo(value)
            return self.marks.add_equal(marks.generator_state, value, label, undo)
        if isinstance(value, _HIDDEN):
            return self.unwatchable.append(label)
        if hasattr(value, "__wrapped__"):  # a function behind functools.cache, or another decorator's object
            self._todo.append((value.__wrapped__, label, None))
        return self._instance(value, label, path)

    def _next(self, value: Any, label: str, path: Path, *step: Any) -> None:
        self._todo.append((value, label, None if path is None else (*path, step)))

    # Containers

    def _items(self, value: Any, label: str, path: Path) -> None:
        tokens = [marks.token(v) for v in value]
        if not isinstance(value, tuple | frozenset):
            undo = partial(_refill, value, list(value))
            self.marks.add_equal(marks.identities, value, label, undo, tokens)
        else:
            self.marks.signature.append((label, tokens))
        if isinstance(value, set | frozenset):
            path = None
        for k, v in enumerate(value):
            self._next(v, f"{label}[{k}]", path, "item", k)
        if type(value) not in (list, tuple, set, frozenset, deque):
            self._instance(value, label, None)

    def _dict(self, value: dict, label: str, path: Path) -> None:
        self.marks.add_size(value, label, partial(_refill, value, dict(value)))
        self.marks.signature.append((label, [marks.token(k) for k in value]))
        for key, v in list(value.items()):
            self._entry(value, key, f"{label}[{key!r}]")
            self._next(v, f"{label}[{key!r}]", path, "item", key)
        if type(value) not in (dict, MappingProxyType):
            self._instance(value, label, None)

    def _array(self, value: np.ndarray, label: str, path: Path) -> None:
        self.beyond.append(label)
        if value.dtype.hasobject:
            return self.marks.add_equal(lambda a: marks.identities(a.ravel().tolist()), value, label)
        undo = partial(np.copyto, value, value.copy()) if value.flags.writeable else None
        return self.marks.add_equal(marks.content, value, label, undo)

    def _bytes(self, value: bytearray | array.array, label: str, path: Path) -> None:
        self.beyond.append(label)
        self.marks.add_equal(bytes, value, label, partial(value.__setitem__, slice(None), value[:]))

    def _tensor(self, value: Tensor, label: str, path: Path) -> None:
        if id(value) not in self._learned:
            self.beyond.append(label)
            self.marks.add_equal(marks.tensor_content, value, label)

    def _entry(self, place: Any, key: Any, label: str) -> None:
        value = place[key]
        undo = partial(place.__setitem__, key, value) if isinstance(place, dict) else None
        self.marks.add(place.get, key, value, label, undo)

    # Code

    def _function(self, f: FunctionType, label: str, path: Path) -> None:
        if hasattr(f, "__wrapped__"):
            self._todo.append((f.__wrapped__, label, None))
        if is_their_code(f.__code__):
            return
        self._code(f.__code__)
        if not is_ours(f.__code__):
            self.marks.add(_code_of, f, f.__code__, label)
            self.marks.add(_defaults_of, f, f.__defaults__, f"a default of {label}")
            self.marks.signature.append((label, [marks.token(v) for v in f.__defaults__ or ()]))
            self._globals(f)
        if f.__defaults__ is not None:
            self._todo += [(v, f"a default of {label}", None) for v in f.__defaults__ if not _is_atom(v)]
        if f.__kwdefaults__ is not None:
            self._todo.append((f.__kwdefaults__, f"a default of {label}", None))
        for name, variable in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            self._variable(variable, name)
        if f.__dict__:
            self._attributes(f, label, None)

    def _code(self, code: CodeType) -> None:
        if code in self.codes:
            return
        self.codes.add(code)
        texts = {c for c in code.co_consts if isinstance(c, str) and c.isidentifier()}
        found = {*code.co_names, *texts}
        self.names |= found - _COMPUTED if is_ours(code) else found  # those read modules' tables, which are watched
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                self._code(inner)

    def _globals(self, f: FunctionType) -> None:
        place = f.__globals__
        for name in sorted(_global_names(f.__code__)):
            if (id(place), name) in self._seen:
                continue
            self._seen[id(place), name] = place
            if name in place:
                self._entry(place, name, name)
                self._todo.append((place[name], name, None))
            else:  # a builtin, until the file has one of that name
                self.marks.add(place.get, name, None, name)

    def _variable(self, variable: Any, name: str) -> None:
        if id(variable) in self._seen:
            return
        self._seen[id(variable)] = variable
        try:
            value = variable.cell_contents
        except ValueError:
            return
        self.marks.add(_contents_of, variable, value, name, partial(setattr, variable, "cell_contents", value))
        self._todo.append((value, name, None))

    def _method(self, value: MethodType, label: str, path: Path) -> None:
        self._todo += [(value.__func__, label, None), (value.__self__, label, None)]

    def _partial(self, value: partial, label: str, path: Path) -> None:
        self._todo += [(v, label, None) for v in (value.func, value.args, value.keywords)]

    def _descriptor(self, value: Any, label: str, path: Path) -> None:
        parts = (getattr(value, name, None) for name in ("__func__", "fget", "func"))
        self._todo += [(f, label, None) for f in parts if f is not None]

    def _file(self, value: ModuleType, label: str, path: Path) -> None:
        """A module of Python."""
        if is_their_module(value):
            return
        for name in sorted(self._names):
            if name in vars(value):
                self._entry(vars(value), name, f"{label}.{name}")
                self._todo.append((vars(value)[name], f"{label}.{name}", None))

    def _weak(self, value: weakref.ref, label: str, path: Path) -> None:
        target = value()
        self.marks.add(_target_of, value, target, label)
        self._todo.append((target, label, None))

    # Objects

    def _class(self, value: type, label: str, path: Path) -> None:
        """The attributes of a class and of its bases; ``path`` leads to the class or to its instance."""
        for kind in value.__mro__:
            if is_their_class(kind) or (kind is not value and id(kind) in self._seen):
                continue
            self._seen[id(kind)] = kind
            place = vars(kind)
            self.marks.add_size(place, f"an attribute of {kind.__name__}", partial(_remove_new, kind, set(place)))
            for name in [n for n in place if n in self._names or (n.startswith("__") and n not in _SKIPPED)]:
                v = place[name]
                self.marks.add(place.get, name, v, f"{kind.__name__}.{name}", partial(setattr, kind, name, v))
                if not isinstance(v, MemberDescriptorType):
                    self._next(v, f"{kind.__name__}.{name}", path, "attr", name)

    def _instance(self, value: Any, label: str, path: Path) -> None:
        kind = type(value)
        if kind.__module__ == "builtins" and not hasattr(value, "__dict__"):
            return
        if isinstance(value, nn.Module) or not is_their_class(kind):
            self.marks.add(type, value, kind, f"the class of {label}")
            if id(kind) not in self._seen:
                self._class(kind, kind.__name__, path)
        for base in kind.__mro__:
            for name, slot in vars(base).items() if not is_their_class(base) else ():
                if isinstance(slot, MemberDescriptorType) and self._reads(name, kind):
                    self._slot(value, name, slot, f"{label}.{name}", path)
        self._attributes(value, label, path)

    def _slot(self, value: Any, name: str, slot: Any, label: str, path: Path) -> None:
        try:
            v = slot.__get__(value)
        except AttributeError:
            return
        self.marks.add(slot.__get__, value, v, label, partial(slot.__set__, value, v))
        self._next(v, label, path, "attr", name)

    def _attributes(self, value: Any, label: str, path: Path) -> None:
        place = getattr(value, "__dict__", None)
        if not isinstance(place, dict):
            return
        self.marks.add_size(place, f"an attribute of {label}", partial(_remove_new, place, set(place)))
        for name in list(place):
            if self._reads(name, type(value)):
                self._entry(place, name, f"{label}.{name}")
                self._next(place[name], f"{label}.{name}", path, "attr", name)

    def _reads(self, name: str, kind: type) -> bool:
        """Whether code may read the attribute ``name`` of an instance of ``kind``."""
        if issubclass(kind, nn.Module) and name in _MODULE_KEYS:
            return False
        if self._computed or name in self._names:
            return True
        return any(is_their_class(base) and base not in _PLAIN and _has_code(base) for base in kind.__mro__)

    def _module(self, value: nn.Module, label: str, path: Path) -> None:
        for kind in ("_parameters", "_buffers"):
            place = value.__dict__[kind]
            self.marks.add_size(place, f"{label}.{kind}", partial(_refill, place, dict(place)))
            for name, t in place.items():
                self._parameter(place, name, t, f"{label}.{name}")
        place = value.__dict__["_modules"]
        self.marks.add_size(place, f"{label}._modules", partial(_refill, place, dict(place)))
        for name, module in place.items():
            self._entry(place, name, f"{label}.{name}")
            self._next(module, f"{label}.{name}", path, "attr", name)
        if value is not self.cell:  # the loop calls step, and not the cell itself
            for table in hooks.tables(value):
                self._hooks(table, f"a hook of {label}")
        self._instance(value, label, path)

    def _hooks(self, table: dict, label: str) -> None:
        self.marks.add_size(table, label)
        self.marks.signature.append((label, list(table)))

    def _parameter(self, place: dict, name: str, t: Tensor | None, label: str) -> None:
        if t is None:
            return self.marks.add(place.get, name, None, label)
        self.marks.add_learned(place, name, t, label)
        first = self._tied.setdefault(id(t), label)
        if first != label:  # a program has it under its first name only
            self.marks.add(place.get, name, t, f"{label}, tied to {first}")
        return None


_VISITS: list[tuple[Any, Callable]] = [
    (Tensor, _Walk._tensor),
    (nn.Module, _Walk._module),
    (dict | MappingProxyType, _Walk._dict),
    (list | tuple | set | frozenset | deque, _Walk._items),
    (np.ndarray, _Walk._array),
    (bytearray | array.array, _Walk._bytes),
    (FunctionType, _Walk._function),
    (MethodType, _Walk._method),
    (partial, _Walk._partial),
    (property | staticmethod | classmethod | cached_property, _Walk._descriptor),
    (ModuleType, _Walk._file),
    (type, _Walk._class),
    (weakref.ref, _Walk._weak),
]


def _global_names(code: CodeType) -> set[str]:
    """The names that ``code``, and functions inside of it, read from the file or the builtins."""
    found = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found |= _global_names(inner)
    return found


def _is_atom(value: Any) -> bool:
    return value is None or isinstance(value, marks.ATOMS)


def _has_code(kind: type) -> bool:
    return any(isinstance(v, FunctionType) and not n.startswith("__") for n, v in vars(kind).items())


def _code_of(f: FunctionType) -> CodeType:
    return f.__code__


def _defaults_of(f: FunctionType) -> tuple | None:
    return f.__defaults__


def _contents_of(variable: Any) -> Any:
    return variable.cell_contents


def _target_of(r: weakref.ref) -> Any:
    return r()


def _refill(container: Any, contents: Any) -> None:
    container.clear()
    (container.extend if hasattr(container, "extend") else container.update)(contents)


def _remove_new(place: Any, names: set[str]) -> None:
    """Take away the attributes of an object's table, or of a class, that are not in ``names``."""
    table = vars(place) if isinstance(place, type) else place
    for name in [n for n in table if n not in names]:
        delattr(place, name) if isinstance(place, type) else place.pop(name)
