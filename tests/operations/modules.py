"""Modules of rows of the operation table: their results, and the gradients of their sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from operations.row import Case, Row, wide
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, f32
from xdsl.ir import Attribute, Block, Region, SSAValue

from stepwell.dialects.array.base import shape_of, tensor
from stepwell.dialects.array.differentiation import ValueAndGradOp, YieldOp
from stepwell.dialects.array.elementwise import MultiplyOp
from stepwell.dialects.array.reduction import SumOp
from stepwell.dialects.emit import Emitter

DIFFERENCED = 40
"""Gradients are taken of results of up to this many elements: differences cost two runs each."""

Arrays = list[np.ndarray[Any, Any]]
GradientCase = tuple[Case, Arrays, np.ndarray[Any, Any]]


def module_of(build: Callable[..., Sequence[SSAValue]], types: Sequence[Attribute]) -> ModuleOp:
    """A module whose @main has arguments of these types and returns what `build` gives."""
    block = Block(arg_types=types)
    emit = Emitter(block)
    results = build(emit, *block.args)
    emit.insert(func.ReturnOp(*results))
    signature = (types, [result.type for result in results])
    module = ModuleOp([func.FuncOp("main", signature, Region(block))])
    module.verify()
    return module


def results_of(row: Row) -> ModuleOp:
    """All cases, whose operands follow one another."""

    def build(emit: Emitter, *arguments: SSAValue) -> list[SSAValue]:
        left = iter(arguments)
        return [case.build(emit, *(next(left) for _ in case.arguments)) for case in row.cases]

    return module_of(build, [argument.type for case in row.cases for argument in case.arguments])


def gradient_cases(row: Row) -> Iterator[GradientCase]:
    """The cases with gradients, their operands, and weights that make their results a number."""
    for case in row.cases:
        operands = case.operands()
        shape = np.asarray(case.reference(*map(wide, operands))).shape
        if case.gradient and np.prod(shape) <= DIFFERENCED:
            rng = np.random.default_rng(len(operands))
            yield case, operands, rng.uniform(0.5, 1.5, shape).astype(np.float32)


def weighted(emit: Emitter, value: SSAValue, weights: SSAValue) -> SSAValue:
    axes = range(len(shape_of(value)))
    return emit(SumOp(emit(MultiplyOp(value, weights)), list(axes)))


def gradient(emit: Emitter, case: Case, arguments: Sequence[SSAValue]) -> list[SSAValue]:
    """The gradients of the weighted sum of the case's result; the weights are the last argument."""
    block = Block(arg_types=[argument.type for argument in arguments])
    inner = Emitter(block)
    *operands, weights = block.args
    inner.insert(YieldOp(weighted(inner, case.build(inner, *operands), weights)))
    request = emit.insert(ValueAndGradOp(arguments, case.gradient, Region(block)))
    return list(request.results[1:])


def gradients_of(cases: Sequence[GradientCase]) -> ModuleOp:
    """The gradients of all cases, each of which has its operands and then its weights."""
    types = [
        type_
        for case, _, weights in cases
        for type_ in (*(a.type for a in case.arguments), tensor(weights.shape, f32))
    ]

    def build(emit: Emitter, *arguments: SSAValue) -> list[SSAValue]:
        left = iter(arguments)
        return [
            slope
            for case, operands, _ in cases
            for slope in gradient(emit, case, [next(left) for _ in range(len(operands) + 1)])
        ]

    return module_of(build, types)
