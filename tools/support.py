"""What is there and how it is tested, as tables: functions, primitives, ONNX's operators.

They are read from what the code itself goes by: the families' public names, the operation table of
the tests, the handlers of ONNX's operators and the instructions of their functions.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from inspect import unwrap
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, cast

from stepwell.tools.markdown import first_line, table

ROOT = Path(__file__).resolve().parent.parent


def functions() -> str:
    """Every public function by its family."""
    from stepwell.frontend import operations, random

    families: dict[str, list[tuple[str, str]]] = {}
    for home, prefix in ((operations, "sw."), (random, "sw.random.")):
        for name in home.__all__:
            function = unwrap(getattr(home, name))
            family = cast(str, function.__module__)
            families.setdefault(family, []).append((prefix + name, first_line(function)))
    parts: list[str] = []
    for family, rows in sorted(families.items()):
        about = first_line(import_module(family))
        parts.append(f"### {family.rpartition('.')[2]}\n\n{about}\n\n")
        parts.append(table(("function", "what it computes"), sorted(rows)) + "\n")
    return "".join(parts)


def primitives() -> str:
    """The operation table of the tests: every `array` operation at every stage."""
    sys.path.insert(0, str(ROOT / "tests"))
    try:
        rows: Any = import_module("operations.table").ROWS
    finally:
        sys.path.pop(0)

    def cells(row: Any) -> tuple[str, ...]:
        dtypes = {argument.dtype for case in row.cases for argument in case.arguments}
        slopes = sum(bool(case.gradient) for case in row.cases)
        known = [name for name in ("f32", "f16", "i32", "u32", "bool") if name in dtypes]
        other = sorted(dtypes.difference(known))
        return (
            row.op.name.removeprefix("array."), ", ".join([*known, *other]) or "-",
            str(len(row.cases)), str(slopes) if slopes else "-",
        )  # fmt: skip

    return table(("operation", "dtypes", "cases", "of them gradients"), map(cells, rows))


def onnx_operators() -> str:
    """Every ONNX operator with a handler, and the functions that the handler calls."""
    import stepwell.frontend.onnx as onnx
    from stepwell.frontend.onnx.registry import HANDLERS

    assert onnx.load

    def row(name: str) -> tuple[str, str]:
        made_of = sorted(set(_called(HANDLERS[name].function, name, set())))
        return name, ", ".join(f"`{found}`" for found in made_of) or "-"

    return table(("operator", "made of"), map(row, sorted(HANDLERS)))


def _called(value: object, operator: str, seen: set[object]) -> Iterator[str]:
    """The public functions that a handler reaches through functions of the ONNX front end."""
    from stepwell.frontend import operations

    if isinstance(value, partial):
        value = cast("partial[Any]", value).func
    if not isinstance(value, FunctionType) or value in seen:
        return
    seen.add(value)
    name = value.__name__
    if getattr(operations, name, None) is value:
        yield name
    elif value.__module__.startswith("stepwell.frontend.onnx"):
        for cell in value.__closure__ or ():
            yield from _called(cell.cell_contents, operator, seen)
        yield from _named(value.__code__, value.__globals__, operator, seen)


def _named(
    code: CodeType, names: Mapping[str, Any], operator: str, seen: set[object]
) -> Iterator[str]:
    """What the instructions of a function name: `sw.x`, and functions and tables of its module."""
    from stepwell.frontend import operations

    of_operations = False
    for instruction in dis.get_instructions(code):
        if isinstance(instruction.argval, CodeType):
            yield from _named(instruction.argval, names, operator, seen)
        if of_operations and instruction.argval in operations.__all__:
            yield str(instruction.argval)
        found = names.get(instruction.argval) if instruction.opname == "LOAD_GLOBAL" else None
        of_operations = found is operations
        if isinstance(found, dict):
            found = cast("dict[str, Callable[..., Any]]", found).get(operator)
        for value in cast("tuple[object, ...]", found) if isinstance(found, tuple) else (found,):
            yield from _called(value, operator, seen)
