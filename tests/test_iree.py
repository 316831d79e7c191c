"""What leaves at the stage `linalg` is upstream MLIR: `iree-opt` parses and verifies it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from operations.levels import DIFF
from operations.table import ROWS
from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Region
from xdsl.printer import Printer

from stepwell.dialects import linalg_ext
from stepwell.dialects.emit import Emitter
from stepwell.passes.convert_array_to_linalg import ConvertArrayToLinalgPass

pytest.importorskip("iree.compiler", reason="the package iree-base-compiler is not installed")


def tool() -> str:
    beside = Path(sys.executable).with_name("iree-opt")
    found = str(beside) if beside.exists() else shutil.which("iree-opt")
    assert found, "iree-base-compiler is installed but iree-opt is not there"
    return found


def test_iree_accepts_every_operation_of_the_table():
    functions: list[func.FuncOp] = []
    for row in ROWS:
        for case in row.cases:
            types = [argument.type for argument in case.arguments]
            block = Block(arg_types=types)
            emit = Emitter(block)
            result = case.build(emit, *block.args)
            emit.insert(func.ReturnOp(result))
            name = f"f{len(functions)}"
            functions.append(func.FuncOp(name, (types, [result.type]), Region(block)))
    module = ModuleOp(functions)
    for pass_ in (*DIFF, ConvertArrayToLinalgPass):
        pass_().apply(Context(), module)
    for function in list(module.ops):
        # Scans have no form in IREE's input; their steps, which are functions, have one. Insertions
        # would be tensor.insert_slice of a position that is clamped before.
        ours = linalg_ext.ScanOp | linalg_ext.InsertSliceOp
        if any(isinstance(op, ours) for op in function.walk()):
            module.body.block.erase_op(function)
    text = StringIO()
    # The generic form: xDSL's own forms of some operations are not MLIR's.
    Printer(text, print_generic_format=True).print_op(module)
    done = subprocess.run(
        [tool(), "-"], input=text.getvalue(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[:4000]
