"""Running a function of a module: the boundary between the caller's arrays and the IR's values."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    MemRefType,
    ModuleOp,
    StringAttr,
    TensorType,
)
from xdsl.ir import Attribute

from stepwell.backends.reference import array, attention, host, linalg
from stepwell.backends.reference.errors import ExecutionError
from stepwell.backends.reference.machine import Frame, Handlers, Machine
from stepwell.backends.reference.memory import Array, Buffer, value_dtype
from stepwell.dialects.array.base import DTYPES, is_narrow, wrapped
from stepwell.dialects.errors import DTypeError, ShapeError, where
from stepwell.passes.donation import DTYPE

_HANDLERS: Handlers = {**array.HANDLERS, **linalg.HANDLERS, **attention.HANDLERS, **host.HANDLERS}


class ReferenceExecutable:
    """A function of a module, ready to be called on NumPy arrays again and again.

    Calling it takes one array per argument and returns one per result. A function on memrefs may be
    called with its first arguments only: the others are outputs, which are returned after its
    results. Arguments are never modified. Raises: ShapeError and DTypeError for arguments that do
    not fit, ExecutionError for what the program does wrong.
    """

    def __init__(self, module: ModuleOp, entry: str = "main", *, subgroup_size: int = 8):
        symbols = {op.sym_name.data: op for op in module.ops if isinstance(op, func.FuncOp)}
        if entry not in symbols:
            close = difflib.get_close_matches(entry, symbols, 1)
            hint = f"; did you mean @{close[0]}?" if close else ""
            raise ExecutionError(f"the module has no function @{entry}{hint}")
        self.function = symbols[entry]
        if self.function.is_declaration:
            raise ExecutionError(f"@{entry} is a declaration without a body")
        self._machine = Machine(_symbols(module), _HANDLERS, subgroup_size)
        function_type = self.function.function_type
        self._inputs = tuple(function_type.inputs)
        self._outputs = tuple(function_type.outputs)
        self._input_elements = _elements(self.function.arg_attrs, self._inputs)
        self._output_elements = _elements(self.function.res_attrs, self._outputs)

    def __call__(self, *arguments: Array) -> list[Array]:
        given = len(arguments)
        missing = self._inputs[given:]
        if given > len(self._inputs) or not all(isinstance(m, MemRefType) for m in missing):
            raise ExecutionError(
                f"@{self.function.sym_name.data} takes {len(self._inputs)} arguments, not {given}"
            )
        values = [self._enter(index, argument) for index, argument in enumerate(arguments)]
        values += [Buffer.allocate(m) for m in missing if isinstance(m, MemRefType)]
        with np.errstate(all="ignore"):
            results = Frame(self._machine).run(self.function.body.block, values)
        elements = (*self._output_elements, *self._input_elements[given:])
        return [_leave(v, e) for v, e in zip((*results, *values[given:]), elements, strict=True)]

    def _enter(self, index: int, argument: Any) -> Any:
        expected = self._inputs[index]
        dtype = value_dtype(self._input_elements[index])
        array = np.asarray(argument)
        assert isinstance(expected, TensorType | MemRefType)
        name = f"@{self.function.sym_name.data}"
        place = f"{where(self.function.location)}argument {index} of {name}"
        if array.dtype != dtype:
            raise DTypeError(f"{place} is {array.dtype}, it takes {dtype} ({expected})")
        if array.shape != expected.get_shape():
            raise ShapeError(
                f"{place} has shape {list(array.shape)}, not {list(expected.get_shape())}"
            )
        array = _as_element(array, expected.element_type)
        return Buffer.of(array, expected.element_type) if _is_memref(expected) else array


def run(module: ModuleOp, entry: str = "main", arguments: Sequence[Array] = ()) -> list[Array]:
    """The results of a function of the module, at any stage above `wgsl`."""
    return ReferenceExecutable(module, entry)(*arguments)


def _symbols(module: ModuleOp) -> dict[str, Any]:
    return {
        name.data: op
        for op in module.ops
        if isinstance(name := op.properties.get("sym_name"), StringAttr)
    }


def _is_memref(type: Attribute) -> bool:
    return isinstance(type, MemRefType)


def _elements(
    attributes: ArrayAttr[DictionaryAttr] | None, types: Sequence[Attribute]
) -> list[Attribute]:
    """The caller's element type of every argument or result, which the IR's may not say ("u8")."""
    dictionaries = attributes.data if attributes else [DictionaryAttr({})] * len(types)
    return [_element(d.data.get(DTYPE), t) for d, t in zip(dictionaries, types, strict=True)]


def _element(name: Attribute | None, type: Attribute) -> Attribute:
    if isinstance(name, StringAttr) and name.data in DTYPES:
        return DTYPES[name.data]
    assert isinstance(type, TensorType | MemRefType), f"no array of type {type} crosses a call"
    return type.element_type


def _as_element(array: Array, element: Attribute) -> Array:
    """The same bits as an element type of that width."""
    return wrapped(array, element) if is_narrow(element) else array.view(value_dtype(element))


def _leave(value: Any, element: Attribute) -> Array:
    # A broadcast value is a read-only view: the caller gets an array of its own.
    array = value.values() if isinstance(value, Buffer) else np.array(value, order="C")
    return _as_element(array, element)
