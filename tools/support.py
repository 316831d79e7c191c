"""What is there and how it is tested, as tables: functions, modules, primitives, ONNX's operators.

They are read from what the code itself goes by: the families' public names, the tests that call
them, the operation table of the tests, the handlers of ONNX's operators and the instructions of
their functions.
"""

from __future__ import annotations

import csv
import dis
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, cast

from stepwell.tools import tried
from stepwell.tools.markdown import first_line, table
from stepwell.tools.tested import HOMES, public, tests

ROOT = Path(__file__).resolve().parent.parent

_tests = cache(tests)


def functions() -> str:
    """Every public function by its family."""
    families: dict[str, list[tuple[str, ...]]] = {}
    for name, function in public().items():
        if name.rpartition(".")[0] in ("sw", "sw.random"):
            operators = [op for op, made_of in _made_of().items() if function.__name__ in made_of]
            row = (name, first_line(function), *_tried(name), _some(operators), _tested(name))
            families.setdefault(cast(str, function.__module__), []).append(row)
    header = ("function", "what it computes", "dtypes", "gradients", "ONNX operators", "tested in")
    parts: list[str] = []
    for family, rows in sorted(families.items()):
        about = first_line(import_module(family))
        parts.append(f"### {family.rpartition('.')[2]}\n\n{about}\n\n")
        parts.append(table(header, sorted(rows)) + "\n")
    return "".join(parts)


def modules() -> str:
    """Everything in `sw.nn` and `sw.optim`."""
    homes: dict[str, list[tuple[str, ...]]] = {}
    for name, value in public().items():
        home = name.rpartition(".")[0]
        if home not in ("sw", "sw.random"):
            homes.setdefault(home, []).append((name, first_line(value), _tested(name)))
    header = ("name", "what it is", "tested in")
    return "".join(
        f"### {home}\n\n{first_line(import_module(HOMES[home]))}\n\n{table(header, sorted(rows))}\n"
        for home, rows in homes.items()
    )


def _tried(name: str) -> tuple[str, str]:
    """The dtypes and the gradients of a function of arrays."""
    functions = tried.functions()
    if name not in functions:
        return "-", "-"
    examples = _of_tests("operations.examples")
    outcome = tried.attempt(functions[name], examples.example(name, functions[name]))
    return outcome.dtypes_text(), outcome.orders_text()


def _of_tests(module: str) -> Any:
    """A module of the tests."""
    sys.path.insert(0, str(ROOT / "tests"))
    try:
        return import_module(module)
    finally:
        sys.path.pop(0)


def _tested(name: str) -> str:
    """The file with most tests that call a public name: it changes seldom."""
    files = Counter(test.partition("::")[0].removeprefix("test_") for test in _tests()[name])
    return _some(sorted(files, key=lambda file: (-files[file], file))[:1])


def _some(names: Sequence[str], most: int = 3) -> str:
    """The names, or the first of them where there are many."""
    shown = [f"`{name}`" for name in names[:most]]
    return ", ".join(shown if len(names) <= most else [*shown, "..."]) or "-"


def primitives() -> str:
    """The operation table of the tests: every `array` operation at every stage."""
    rows = _of_tests("operations.table").ROWS

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
    return table(
        ("operator", "made of"),
        ((operator, _some(made_of, len(made_of))) for operator, made_of in _made_of().items()),
    )


def onnx_tests() -> str:
    """What the ledger says of ONNX's own tests."""
    with (ROOT / "tests" / "onnx_ledger.tsv").open(encoding="utf-8", newline="") as file:
        counts = Counter(
            (row["verdict"], row["reason"] if row["verdict"] == "pass" else "")
            for row in csv.DictReader(file, delimiter="\t")
        )
    doubles = 'float64="float32"'
    passed = counts["pass", ""] + counts["pass", doubles]
    return (
        f"[Of ONNX's own {counts.total():,} tests](tests/onnx_ledger.tsv) {passed:,} pass, "
        f"{counts['pass', doubles]} of them with `{doubles}`; {counts['refused', '']} are refused; "
        f"{counts['wrong', '']} give a wrong result.\n"
    )


@cache
def _made_of() -> dict[str, list[str]]:
    """ONNX operator -> the public functions that its handler calls."""
    import stepwell.frontend.onnx as onnx
    from stepwell.frontend.onnx.control import CONTROL
    from stepwell.frontend.onnx.registry import HANDLERS

    assert onnx.load
    functions = {operator: handler.function for operator, handler in HANDLERS.items()}
    return {
        operator: sorted(set(_called(function, operator, set())))
        for operator, function in sorted({**functions, **CONTROL}.items())
    }


def _called(value: object, operator: str, seen: set[object]) -> Iterator[str]:
    """The public functions that a handler reaches through what the ONNX front end defines."""
    from stepwell.frontend import operations

    if isinstance(value, partial):
        value = cast("partial[Any]", value).func
    if not isinstance(value, FunctionType | type) or value in seen:
        return
    seen.add(value)
    if isinstance(value, type):
        if value.__module__.startswith("stepwell.frontend.onnx"):
            for member in vars(value).values():
                yield from _called(member, operator, seen)
        return
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
