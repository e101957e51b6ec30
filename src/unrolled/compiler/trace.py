"""From ``step`` to a program: run the equation once on tensors without data, and write down what it did."""

from __future__ import annotations

import linecache
import math
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from unrolled.cells.cell import Cell
from unrolled.cells.reading import read_names
from unrolled.compiler import aten, shapes
from unrolled.compiler.grids import Grids
from unrolled.compiler.masking import masked
from unrolled.compiler.program import Input, Names, Op, Program, View, check
from unrolled.compiler.tidy import tidy
from unrolled.compiler.traced import Derived, Pick, Ref, Traced, UnsupportedError, Widths

_BATCHES = (10007, 10009)  # no width of a cell is like them; two, to see that the batch is in no number


def trace(
    cell: Cell,
    constants: Widths = (),
    around: Callable[[], AbstractContextManager] = nullcontext,
) -> Traced:
    """The program of ``cell.step``.

    Arguments:
        cell: its parameters are read for their shapes only.
        constants: the width of each of the cell's constants (N, width), or the shape of a larger one without its N.
        around: what surrounds each run of the equation.

    Raises:
        UnsupportedError: the equation has an operation that programs do not have.
        ValueError: the equation does not fit constants of these widths.
    """
    known = getattr(cell, "_program", None)
    if isinstance(known, Program):  # it was traced before, and kept
        return Traced(known)
    first, second = (_trace(cell, constants, batch, around) for batch in _BATCHES)
    if first.program.text != second.program.text:
        raise UnsupportedError("step depends on the size of the batch")
    return first


def _trace(cell: Cell, constants: Widths, batch: int, around: Callable[[], AbstractContextManager]) -> Traced:
    states = cell.state_shapes()
    if any(len(shape) != 1 for shape in states.values()):
        raise UnsupportedError(f"{type(cell).__name__} has a state that is not a vector")
    taken = {*states, *cell.constants}
    inputs = [Input("sequence", "x" if "x" not in taken else Names(taken).fresh("x"), cell.input_size)]
    inputs += [Input("state", name, shape[0]) for name, shape in states.items()]
    sizes = dict(zip(cell.constants, constants, strict=True))
    inputs += [
        Input("constant", name, size if isinstance(size, int) else math.prod(size)) for name, size in sizes.items()
    ]
    if len({i.name for i in inputs}) != len(inputs):
        raise UnsupportedError(f"{type(cell).__name__} has two inputs with the same name")
    own = dict(cell.named_parameters()) | dict(cell.named_buffers())
    stand_ins = {name: torch.empty(p.shape, dtype=p.dtype, device="meta") for name, p in own.items()}
    recorder = Recorder(cell, batch, inputs, stand_ins)
    try:
        tensors = [recorder.input(i, sizes.get(i.name) if i.role == "constant" else None) for i in inputs]
        with torch.enable_grad(), masked(cell, stand_ins), recorder, around():
            names, returned = read_names(cell.step, *tensors, equation=cell.equation)
            new = cell.checked(returned, tuple(tensors[1 : 1 + len(states)]))
            outputs = recorder.outputs(new)
    except UnsupportedError:
        raise
    except shapes.MisfitError as error:
        if constants:  # their widths are the caller's
            raise ValueError(f"{error} ({recorder.here()})") from error
        raise UnsupportedError(str(error), recorder.here()) from error
    except NotImplementedError as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UnsupportedError(reason, recorder.here()) from error
    except Exception as error:  # whatever the equation does; a cell that cannot run at all says so when it is run
        raise UnsupportedError(f"{type(error).__name__}: {error}".splitlines()[0], recorder.here()) from error
    return _finish(cell, recorder, inputs, own, names, outputs)


def _finish(
    cell: Cell, recorder: Recorder, inputs: list[Input], own: dict[str, Tensor], local: dict, outputs: list[str]
) -> Traced:
    """The recording as a tidy program in the equation's own names."""
    wished: dict[str, str] = dict(zip(outputs, (f"{s}'" for s in cell.state), strict=True))
    for label, value in local.items():
        known = recorder.name_of(value)
        if known is not None:
            wished.setdefault(known, label)
    names = Names(i.name for i in inputs)
    renamed = {i.name: i.name for i in inputs}
    for op in recorder.ops:
        renamed[op.out] = names.fresh(wished.get(op.out))
    ops = [Op(renamed[op.out], op.width, op.kind, op.renamed(renamed).args, op.view, op.start) for op in recorder.ops]
    used = {op.view.parameter for op in ops if op.view is not None}
    derived = recorder.needed(used)
    parameters = [(name, tuple(p.shape)) for name, p in own.items() if name in used]
    parameters += [(d.name, recorder.shapes[d.name]) for d in derived if d.name in used]
    made = Program(
        type(cell).__name__, tuple(inputs), tuple(parameters), tuple(ops), tuple(renamed[o] for o in outputs)
    )
    check(made)
    lines = {renamed[out]: line for out, line in recorder.lines.items() if out in wished}
    return Traced(tidy(made), derived, lines)


class Recorder(TorchDispatchMode):
    """Writes an `Op` for each ATen operation on the activations; `aten` says which."""

    def __init__(self, cell: Cell, batch: int, inputs: list[Input], parameters: dict[str, Tensor]) -> None:
        super().__init__()
        self.batch = batch
        self.ops: list[Op] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.lines: dict[str, str] = {}
        self._names = Names(i.name for i in inputs)
        self._values: dict[int, str] = {}
        self._widths: dict[str, int] = {i.name: i.width for i in inputs}
        self._kinds: dict[str, str] = {}
        self._dtype = next((p.dtype for p in parameters.values() if p.is_floating_point()), torch.get_default_dtype())
        self._kept: list[Tensor] = []
        self._numbers: dict[int, float] = {}  # of 0-d tensors that the equation itself makes
        self._parameter_names = Names(parameters)
        self._storages = {_storage(p): name for name, p in parameters.items()}
        self._refs = {id(p): Ref(name) for name, p in parameters.items()}
        self._derived: list[Derived] = []
        self._kept += list(parameters.values())
        self._grids = Grids(batch, self._taken, lambda t: id(t) in self._values)
        code = getattr(cell.equation, "__func__", cell.equation).__code__
        self._file, self._line = code.co_filename, code.co_firstlineno

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # skipping imports torch._dynamo, which takes seconds

    # What the recording is asked for

    def input(self, given: Input, size: int | tuple[int, ...] | None = None) -> Tensor:
        tensor = torch.empty(self.batch, given.width, dtype=self._dtype, device="meta")
        self._bind(tensor, given.name)
        return self._grids.cut(tensor, size) if isinstance(size, tuple) else tensor

    def outputs(self, new: tuple[Tensor, ...]) -> list[str]:
        """Each new state as a value of its own."""
        return [self.emit("copy", self.widened(s)) for s in new]

    def name_of(self, tensor: Any) -> str | None:
        return self._values.get(id(tensor)) if isinstance(tensor, Tensor) else None

    def here(self) -> str:
        text = linecache.getline(self._file, self._line).strip()
        return f"line {self._line}: {text}" if text else ""

    def needed(self, used: set[str]) -> tuple[Derived, ...]:
        """The derived tensors that the program needs, in order."""
        wanted, kept = set(used), []
        for node in reversed(self._derived):
            if node.name in wanted:
                kept.append(node)
                flat, _ = tree_flatten((node.args, node.kwargs))
                wanted |= {a.name for a in flat if isinstance(a, Ref)}
        return tuple(reversed(kept))

    # What the operations of `aten` are written with

    def emit(self, kind: str, *args: Any, width: int | None = None, view: View | None = None, start: int = 0) -> str:
        """One operation; its value's name."""
        given = [self._widths[a] for a in args if isinstance(a, str)]
        if width is None:
            width = max(given)
        if kind in aten.BROADCASTING:
            args = tuple(self._expanded(a, width) for a in args)
        out = self._names.fresh()
        if width < 1:
            raise UnsupportedError("step makes a tensor without columns", self.here())
        self.ops.append(Op(out, width, kind, tuple(args), view, start))
        self._widths[out] = width
        self._kinds[out] = kind
        self.lines[out] = self.here()
        return out

    def width(self, value: str) -> int:
        return self._widths[value]

    def operand(self, a: Any, width: int) -> str | float:
        """An argument of an element-wise operation: a number, a value, or part of a parameter as a row."""
        if isinstance(a, int | float):
            return float(a)
        if id(a) in self._numbers:
            return self._numbers[id(a)]
        if id(a) in self._values:
            return self._values[id(a)]
        name = self._storages.get(_storage(a))
        if name is None:
            raise UnsupportedError(
                "step uses a tensor that is neither a parameter nor a buffer of the cell", self.here()
            )
        self._check_type(a)
        same_rows = a.dim() < 2 or a.shape[0] == 1 or (a.shape[0] == self.batch and a.stride(0) == 0)
        if a.dim() > 2 or not same_rows or (a.dim() and a.shape[-1] not in (1, width)):
            raise UnsupportedError(f"step uses a parameter of shape {tuple(a.shape)} elementwise", self.here())
        stride = a.stride(-1) if a.dim() and a.shape[-1] == width else 0
        return self.emit("row", width=width, view=View(name, int(a.storage_offset()), (width,), (int(stride),)))

    def matrix(self, a: Tensor) -> View:
        """A parameter's part as the matrix of a linear map."""
        if a.dim() == 2 and _storage(a) in self._storages and _overlaps(a):
            a = self._derive(torch.ops.aten.clone.default, (a,), {"memory_format": torch.contiguous_format})
        name = self._storages.get(_storage(a))
        if name is None or a.dim() != 2:
            raise UnsupportedError("step multiplies two matrices that both depend on the sequence", self.here())
        self._check_type(a)
        return View(name, int(a.storage_offset()), tuple(a.shape), tuple(a.stride()))

    def widened(self, tensor: Tensor) -> str:
        """A tensor as a value, also where it is a number or a parameter for all sequences."""
        width = tensor.shape[-1] if tensor.dim() else 1
        made = self.operand(tensor, width)
        return made if isinstance(made, str) else self.emit("number", made, width=width)

    # The dispatch

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._find_line()
        listening = sys.getprofile()  # whoever listens to the equation need not hear the compiler
        sys.setprofile(None)
        try:
            return self._taken(func, args, kwargs or {})
        finally:
            sys.setprofile(listening)

    def _taken(self, func: Any, args: Any, kwargs: Any) -> Any:
        tensors = shapes.tensors_of(args, kwargs)
        self._refuse_odd(func, tensors)
        if self._grids.takes(func, args, tensors):
            return self._grids.record(func, args, kwargs)
        if not tensors or self._is_new(tensors) or any(id(t) in self._values or self._repeats(t) for t in tensors):
            return self._record(func, args, kwargs)
        return self._derive(func, args, kwargs)

    def _repeats(self, tensor: Tensor) -> bool:
        """Whether a parameter's row stands there for each sequence of the batch."""
        return tensor.dim() == 2 and tensor.shape[0] == self.batch and tensor.stride(0) == 0

    def _refuse_odd(self, func: Any, tensors: list[Tensor]) -> None:
        """UnsupportedError for what no program can say: other gradients, random numbers, memory as such."""
        packet = func.overloadpacket
        name = packet._qualified_op_name
        cuts = packet is torch.ops.aten.detach and not all(self._has_no_gradient(t) for t in tensors)
        if cuts or not torch.is_grad_enabled():
            raise UnsupportedError("step stops the gradient (detach, or torch.no_grad)", self.here())
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise UnsupportedError(f"step draws random numbers with {name}", self.here())
        if packet is torch.ops.aten.as_strided or (func._schema.is_mutable and tensors):
            raise UnsupportedError(f"step changes or reinterprets memory with {name}", self.here())

    def _has_no_gradient(self, tensor: Tensor) -> bool:
        """Whether the tensor is a number, or counts something."""
        made = self._values.get(id(tensor))
        number = bool(made) and self._kinds.get(made or "") == "number"
        return number or id(tensor) in self._numbers or not tensor.is_floating_point()

    def _is_new(self, tensors: list[Tensor]) -> bool:
        return not any(_storage(t) in self._storages for t in tensors if t.device.type == "meta")

    def _record(self, func: Any, args: Any, kwargs: Any) -> Any:
        handler = aten.HANDLERS.get(func.overloadpacket)
        if handler is None:
            raise UnsupportedError(
                f"the engine does not support {func.overloadpacket._qualified_op_name}", self.here()
            )
        result = shapes.result_of(func, args, kwargs)
        values = handler(self, result, *args, **kwargs)
        made = result if isinstance(result, tuple | list) else (result,)
        for tensor, value in zip(made, values if isinstance(values, list) else [values], strict=False):
            if isinstance(value, str):
                self._check_value(func, tensor, value)
                self._bind(tensor, value)
            elif isinstance(tensor, Tensor):
                self._numbers[id(tensor)] = float(tensor) if value is None else value
                self._kept.append(tensor)
        return result

    def _derive(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Parameters only: views are kept as views, the rest is computed before the scan."""
        result = func(*args, **kwargs)
        if isinstance(result, bool | int | float):
            raise UnsupportedError("step reads the values of a parameter", self.here())
        refs = tree_map(lambda a: self._refs.get(id(a), a) if isinstance(a, Tensor) else a, (args, kwargs))
        flat, spec = tree_flatten(result)
        for k, tensor in enumerate(flat):
            if not isinstance(tensor, Tensor):
                continue
            is_view = _storage(tensor) in self._storages
            if not is_view:  # parts of it are known by their places in a contiguous tensor
                tensor = flat[k] = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
            name = self._parameter_names.fresh("derived")
            pick = func if isinstance(result, Tensor) else Pick(func, k)
            self._derived.append(Derived(name, pick, refs[0], refs[1], is_view))
            self._refs[id(tensor)] = Ref(name)
            self._kept.append(tensor)
            self.shapes[name] = tuple(tensor.shape)
            self._storages.setdefault(_storage(tensor), name)
        return tree_unflatten(flat, spec)

    def _check_value(self, func: Any, tensor: Tensor, value: str) -> None:
        """A value is (N, width), or the same for all sequences; where it is no whole number, of the cell's type."""
        width, name = self._widths[value], func.overloadpacket._qualified_op_name
        number = self._kinds.get(value) == "number"
        if tuple(tensor.shape) not in ((self.batch, width), (self.batch,) if width == 1 else ()) and not number:
            shape = tuple("N" if n == self.batch else n for n in tensor.shape)
            raise UnsupportedError(f"{name} returns a tensor of shape {shape}, expected (N, width)", self.here())
        if tensor.is_floating_point() and tensor.dtype != self._dtype and not number:
            raise UnsupportedError(f"{name} returns {tensor.dtype} in a cell of {self._dtype}", self.here())

    def _check_type(self, a: Tensor) -> None:
        if a.dtype != self._dtype:
            raise UnsupportedError(f"step uses a tensor of {a.dtype} in a cell of {self._dtype}", self.here())

    def _bind(self, tensor: Tensor, value: str) -> None:
        self._values[id(tensor)] = value
        self._kept.append(tensor)

    def _expanded(self, a: Any, width: int) -> Any:
        if isinstance(a, str) and self._widths[a] == 1 and width > 1:
            return self.emit("expand", a, width=width)
        return a

    def _find_line(self) -> None:
        frame: Any = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_filename == self._file:
                self._line = frame.f_lineno
                return
            frame = frame.f_back


def _overlaps(matrix: Tensor) -> bool:
    """Whether two elements are one place in memory."""
    (rows, columns), (down, along) = matrix.shape, matrix.stride()
    if 0 in ([down] if rows > 1 else []) + ([along] if columns > 1 else []):
        return True
    return abs(down) < columns * abs(along) and abs(along) < rows * abs(down)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
