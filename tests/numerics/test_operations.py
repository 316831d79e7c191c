"""Every row of the operation table at every level: shapes, results, gradients, their gradients."""

from __future__ import annotations

import numpy as np
import pytest
from operations.levels import GRADIENT_LEVELS, LEVELS, PLAIN, Level
from operations.modules import (
    gradient,
    gradient_cases,
    gradients_of,
    module_of,
    results_of,
    weighted,
)
from operations.row import Row, wide
from operations.table import ROWS
from xdsl.dialects.builtin import f32
from xdsl.ir import Block, Region

from stepwell.dialects.array import Array
from stepwell.dialects.array.base import numpy_dtype, tensor
from stepwell.dialects.array.differentiation import ValueAndGradOp, YieldOp
from stepwell.dialects.array.elementwise import AddOp
from stepwell.dialects.emit import Emitter

REQUESTS = {"array.value_and_grad", "array.checkpoint", "array.yield", "array.stop_gradient"}

rows = pytest.mark.parametrize("row", ROWS, ids=[f"{i}-{r.op.name}" for i, r in enumerate(ROWS)])
levels = pytest.mark.parametrize("level", LEVELS, ids=[level.name for level in LEVELS])


def test_every_operation_has_a_row():
    operations = {op.name for op in Array.operations} - REQUESTS
    assert operations == {row.op.name for row in ROWS}


def close(actual, expected, ulps, label):
    assert actual.shape == expected.shape, label
    if not np.issubdtype(actual.dtype, np.floating):
        np.testing.assert_array_equal(actual, expected.astype(actual.dtype), err_msg=label)
        return
    epsilon = float(np.finfo(actual.dtype).eps)
    with np.errstate(over="ignore"):
        expected = expected.astype(actual.dtype).astype(np.float64)
    np.testing.assert_allclose(
        actual.astype(np.float64), expected, rtol=ulps * epsilon, atol=ulps * epsilon, err_msg=label
    )


@levels
@rows
def test_results(row: Row, level: Level):
    operands = [case.operands() for case in row.cases]
    module = results_of(row)
    results = module.body.block.first_op.function_type.outputs
    actual = level.execute(module, [array for arrays in operands for array in arrays])
    for case, arrays, type_, array in zip(row.cases, operands, results, actual, strict=True):
        with np.errstate(all="ignore"):
            expected = np.asarray(case.reference(*map(wide, arrays)))
        assert array.dtype == numpy_dtype(type_.element_type), case.label
        close(array, expected, case.ulps * level.slack, f"{row.op.name} {case.label}")


def differences(function, operands, which, step):
    """Central differences of a number, by each element of the operands in `which`."""
    gradients = []
    for position in which:
        result = np.zeros(operands[position].shape)
        for index in np.ndindex(result.shape):
            values = []
            for sign in (1, -1):
                moved = [operand.copy() for operand in operands]
                moved[position][index] += sign * step
                values.append(function(*moved))
            result[index] = (values[0] - values[1]) / (2 * step)
        gradients.append(result)
    return gradients


def total(case, weights):
    return lambda *operands: float(np.sum(case.reference(*operands) * weights.astype(np.float64)))


DIFFERENTIABLE = [row for row in ROWS if any(case.gradient for case in row.cases)]
differentiable = pytest.mark.parametrize(
    "row", DIFFERENTIABLE, ids=[f"{i}-{r.op.name}" for i, r in enumerate(DIFFERENTIABLE)]
)


@pytest.mark.parametrize("level", GRADIENT_LEVELS, ids=[level.name for level in GRADIENT_LEVELS])
@differentiable
def test_gradients(row: Row, level: Level):
    cases = list(gradient_cases(row))
    arrays = [array for _, operands, weights in cases for array in (*operands, weights)]
    actual = list(level.execute(gradients_of(cases), arrays))
    for case, operands, weights in cases:
        expected = differences(
            total(case, weights), [wide(array) for array in operands], case.gradient, 1e-5
        )
        for position, slope in zip(case.gradient, expected, strict=True):
            label = f"{row.op.name} {case.label}: gradient of operand {position}"
            np.testing.assert_allclose(
                actual.pop(0), slope, rtol=1e-4 * level.slack, atol=1e-4, err_msg=label
            )


@differentiable
def test_gradients_of_gradients(row: Row):
    """d/dx of sum(v * gradient), against second differences of the reference."""
    level = PLAIN[-1]
    chosen = [found for found in gradient_cases(row) if found[2].size > 1][:1]
    for case, operands, weights in chosen:
        rng = np.random.default_rng(1)
        directions = [
            rng.uniform(0.5, 1.5, operands[k].shape).astype(np.float32) for k in case.gradient
        ]
        arrays = [*operands, weights, *directions]
        types = [argument.type for argument in case.arguments]
        types += [tensor(array.shape, f32) for array in [weights, *directions]]

        count = len(operands) + 1

        def build(emit, *arguments, case=case, count=count):
            block = Block(arg_types=[argument.type for argument in arguments])
            inner = Emitter(block)
            slopes = gradient(inner, case, list(block.args[:count]))
            parts = [
                weighted(inner, slope, direction)
                for slope, direction in zip(slopes, block.args[count:], strict=True)
            ]
            loss = parts[0]
            for part in parts[1:]:
                loss = inner(AddOp(loss, part))
            inner.insert(YieldOp(loss))
            request = emit.insert(ValueAndGradOp(arguments, case.gradient, Region(block)))
            return list(request.results[1:])

        actual = level.execute(module_of(build, types), arrays)
        function, step = total(case, weights), 1e-4

        def along(*moved, case=case, function=function, directions=directions, step=step):
            ends = []
            for sign in (1, -1):
                shifted = list(moved)
                for position, direction in zip(case.gradient, directions, strict=True):
                    shifted[position] = moved[position] + sign * step * direction
                ends.append(function(*shifted))
            return (ends[0] - ends[1]) / (2 * step)

        expected = differences(along, [wide(array) for array in operands], case.gradient, step)
        for array, slope in zip(actual, expected, strict=True):
            np.testing.assert_allclose(
                array, slope, rtol=1e-3, atol=1e-3, err_msg=f"{row.op.name} {case.label}"
            )


@differentiable
def test_gradients_against_torch(row: Row):
    torch = pytest.importorskip("torch")
    for case, operands, weights in gradient_cases(row):
        if case.torch is None:
            continue
        tensors = [torch.tensor(wide(array)) for array in operands]
        for position in case.gradient:
            tensors[position].requires_grad_()
        loss = (case.torch(torch, *tensors) * torch.tensor(wide(weights))).sum()
        if loss.requires_grad:
            loss.backward()
        types = [argument.type for argument in case.arguments] + [tensor(weights.shape, f32)]
        module = module_of(lambda emit, *a, case=case: gradient(emit, case, a), types)
        actual = PLAIN[1].execute(module, [*operands, weights])
        for position, array in zip(case.gradient, actual, strict=True):
            slope = tensors[position].grad
            expected = np.zeros(array.shape) if slope is None else slope.numpy()
            np.testing.assert_allclose(
                array, expected, rtol=1e-5, atol=1e-5, err_msg=f"{row.op.name} {case.label}"
            )
