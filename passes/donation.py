"""The contract of an entry function: donated arguments and host scalars.

An argument with attribute `stepwell.donated = r : i32` may be overwritten by result `r`. A rank-0
argument that is not donated is a host scalar: it reaches kernels through one uniform buffer.
A private function is a step of a loop, which passes it buffers only: it has no host scalars.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects import func
from xdsl.dialects.builtin import ContainerType, IntegerAttr, ModuleOp, ShapedType
from xdsl.ir import Attribute, SSAValue

DONATED = "stepwell.donated"
NAME = "stepwell.name"
DTYPE = "stepwell.dtype"
"""Argument and result attribute: the caller's dtype, where the IR's type does not say it ("u8")."""
SHAPE = "stepwell.shape"
"""Argument and result attribute below `tiled`, where types no longer say the shape."""
KIND = "stepwell.kind"
"""Attribute of `memref.alloc`: "output" for what the caller receives."""


def host_functions(module: ModuleOp) -> list[func.FuncOp]:
    """The functions of a module that the host runs: the entries, and steps of loops."""
    return [op for op in module.body.block.ops if isinstance(op, func.FuncOp) and op.body.blocks]


def argument_attributes(function: func.FuncOp, index: int) -> Mapping[str, Attribute]:
    """The attribute dictionary of one argument."""
    return {} if function.arg_attrs is None else function.arg_attrs.data[index].data


def donations(function: func.FuncOp) -> dict[int, int]:
    """Result index of each donated argument index."""
    found: dict[int, int] = {}
    for index in range(len(function.args)):
        result = argument_attributes(function, index).get(DONATED)
        if isinstance(result, IntegerAttr):
            found[index] = result.value.data
    return found


def donated_arguments(function: func.FuncOp) -> dict[SSAValue, SSAValue]:
    """For each returned value that may overwrite an argument, that argument."""
    returned = function.get_return_op()
    assert returned is not None
    return {
        returned.operands[result]: function.args[index]
        for index, result in donations(function).items()
    }


def is_step(function: func.FuncOp) -> bool:
    """Whether a function is run by a loop of another one."""
    return function.sym_visibility is not None and function.sym_visibility.data == "private"


def scalar_slots(function: func.FuncOp) -> dict[SSAValue, int]:
    """The slot of each host scalar among the arguments."""
    if is_step(function):
        return {}
    donated = donations(function)
    scalars = [
        argument
        for argument in function.args
        if isinstance(argument.type, ContainerType)
        and isinstance(argument.type, ShapedType)
        and not argument.type.get_shape()
        and argument.index not in donated
    ]
    return {argument: slot for slot, argument in enumerate(scalars)}
