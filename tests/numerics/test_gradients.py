"""The pass `differentiate` against central differences in f64, and against torch.

Both the plain and the differentiated IR are run by the operations' own NumPy meaning on f64 arrays.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import FileLineColLoc, IntAttr, ModuleOp, StringAttr, f16, f32, i32
from xdsl.ir import Block, Region, SSAValue
from xdsl.irdl import irdl_op_definition

from stepwell.dialects.array.base import ArrayOp, shape_of, tensor, u32
from stepwell.dialects.array.build import full_like
from stepwell.dialects.array.composite import (
    CrossEntropyOp,
    DropoutOp,
    EmbeddingOp,
    GeluOp,
    LayerNormOp,
    LogSoftmaxOp,
    LogSumExpOp,
    ReluOp,
    SigmoidOp,
    SiluOp,
    SoftmaxOp,
    SoftplusOp,
)
from stepwell.dialects.array.contraction import DotGeneralOp
from stepwell.dialects.array.differentiation import StopGradientOp, ValueAndGradOp, YieldOp
from stepwell.dialects.array.elementwise import (
    AbsOp,
    AddOp,
    DivideOp,
    ExpOp,
    FloorOp,
    MaximumOp,
    MultiplyOp,
    PowOp,
    SinOp,
    SubtractOp,
    TanhOp,
    UnaryElementwiseOp,
)
from stepwell.dialects.array.indexing import (
    DynamicSliceOp,
    DynamicUpdateSliceOp,
    ScatterAddOp,
    TakeAlongAxisOp,
    TakeOp,
)
from stepwell.dialects.array.logic import CastOp, GreaterOp, WhereOp
from stepwell.dialects.array.reduction import MaxOp, MeanOp, ProdOp, SumOp
from stepwell.dialects.array.shape import (
    BroadcastOp,
    ConcatenateOp,
    FlipOp,
    PadOp,
    ReshapeOp,
    SliceOp,
    TransposeOp,
)
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import DTypeError, ShapeError, UnsupportedError
from stepwell.passes.decompose_composites import DecomposeCompositesPass
from stepwell.passes.differentiate import DifferentiatePass

Array = np.ndarray
Build = Callable[..., SSAValue]
ELEMENTS = {np.dtype(np.float64): f32, np.dtype(np.int32): i32, np.dtype(np.uint32): u32}

HERE = FileLineColLoc(StringAttr("model.py"), IntAttr(7), IntAttr(1))


def type_like(array: Array):
    """The tensor type of an argument; f64 stands for f32, computed more accurately."""
    return tensor(array.shape, ELEMENTS[array.dtype])


def interpret(block: Block, arguments: Sequence[Array]) -> list[Array]:
    """Runs a function body of `array` operations, f32 as f64."""
    known: dict[SSAValue, Array] = dict(zip(block.args, arguments, strict=True))
    for op in block.ops:
        inputs = [known[operand] for operand in op.operands]
        if isinstance(op, func.ReturnOp):
            return inputs
        assert isinstance(op, ArrayOp), op
        outputs = op.evaluate(*inputs)
        wide = [a.astype(np.float64) if a.dtype == np.float32 else a for a in outputs]
        known |= zip(op.results, wide, strict=True)
    raise AssertionError("the function does not return")


def request(emit: Emitter, build: Build, inputs: Sequence[SSAValue], argnums: Sequence[int]):
    """Emits the gradient request of `sum(build(inputs) * sin(1 + ...))`; returns its results."""
    body = Block(arg_types=[value.type for value in inputs])
    inner = Emitter(body)
    inner.insert(YieldOp(weighted(inner, build(inner, *body.args))))
    return emit.all(ValueAndGradOp(inputs, argnums, Region(body), HERE))


def weighted(emit: Emitter, value: SSAValue) -> SSAValue:
    """A loss that no symmetry of the value hides from: its elements, with different weights."""
    from stepwell.dialects.array.shape import IotaOp

    size = int(np.prod(shape_of(value)))
    flat = emit(ReshapeOp(value, [size]))
    weights = emit(SinOp(emit(AddOp(emit(IotaOp([size], 0, f32)), full_like(emit, 1, flat)))))
    return emit(SumOp(emit(MultiplyOp(flat, weights)), [0]))


def compiled(build: Build, arrays: Sequence[Array], argnums: Sequence[int], order: int):
    """The function `order` times differentiated: `arrays -> loss, gradients`.

    For order 2 the loss is that of the first gradients.
    """
    entry = Block(arg_types=[type_like(array) for array in arrays])
    emit = Emitter(entry)

    def gradients(emit: Emitter, *values: SSAValue) -> SSAValue:
        _, *first = request(emit, build, values, argnums)
        flat = [emit(ReshapeOp(g, [int(np.prod(shape_of(g)))])) for g in first]
        return emit(ConcatenateOp(flat, 0))

    results = request(emit, build if order == 1 else gradients, entry.args, argnums)
    emit.insert(func.ReturnOp(*results))
    kind = ([argument.type for argument in entry.args], [result.type for result in results])
    module = ModuleOp([func.FuncOp("main", kind, Region(entry))])
    module.verify()
    DifferentiatePass().apply(Context(), module)
    module.verify()
    assert not any(isinstance(op, ValueAndGradOp | StopGradientOp) for op in module.walk())
    return lambda *arguments: interpret(entry, arguments)


def central_difference(f: Callable[..., float], arrays: Sequence[Array], position: int) -> Array:
    step = 1e-5
    result = np.zeros_like(arrays[position])
    for at in np.ndindex(*result.shape):
        sides: list[float] = []
        for sign in (1, -1):
            moved = [array.copy() for array in arrays]
            moved[position][at] += sign * step
            sides.append(float(f(*moved)))
        result[at] = (sides[0] - sides[1]) / (2 * step)
    return result


def check(build: Build, arrays: Sequence[Array], order: int = 1, argnums=None, tolerance=2e-6):
    """The gradients of `build`, up to that order, agree with central differences."""
    if argnums is None:
        argnums = [k for k, array in enumerate(arrays) if array.dtype == np.float64]
    for current in range(1, order + 1):
        run = compiled(build, arrays, argnums, current)
        _, *gradients = run(*arrays)
        for position, gradient in zip(argnums, gradients, strict=True):
            expected = central_difference(lambda *a, run=run: run(*a)[0], arrays, position)
            scale = max(1.0, float(np.abs(expected).max(initial=0)))
            np.testing.assert_allclose(
                gradient, expected, rtol=0, atol=tolerance * scale, err_msg=f"order {current}"
            )


def floats(*shape: int, low: float = -1.5, high: float = 1.5, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


def of(op: type[ArrayOp], *arguments, **keywords) -> Build:
    """The operation applied to the values that come in."""
    return lambda emit, *values: emit(op(*values, *arguments, **keywords))


def matmul(emit: Emitter, a: SSAValue, b: SSAValue) -> SSAValue:
    return emit(DotGeneralOp(a, b, lhs_contracting=[len(shape_of(a)) - 1], rhs_contracting=[0]))


class Case(NamedTuple):
    """One function: how to build it, its arguments, how often to differentiate, torch's form."""

    build: Build
    arrays: Sequence[Array]
    order: int = 1
    torch: str | None = None


INDICES = np.array([[2, 0, 2], [1, 1, 3]], np.int32)
OUT_OF_RANGE = np.array([0, 7, -2, 2], np.int32)
KEY = np.array([1, 2], np.uint32)
POSITIVE = floats(2, 3, low=0.3, high=2)

CASES = {
    "add": Case(of(AddOp), [floats(2, 3), floats(2, 3, seed=1)], 2, "a + b"),
    "multiply": Case(of(MultiplyOp), [floats(2, 3), floats(2, 3, seed=1)], 2, "a * b"),
    "divide": Case(of(DivideOp), [floats(2, 3), POSITIVE], 2, "a / b"),
    "pow": Case(of(PowOp), [POSITIVE, floats(2, 3)], 2, "a ** b"),
    "maximum": Case(of(MaximumOp), [floats(7), floats(7, seed=1)], 1, "torch.maximum(a, b)"),
    "exp": Case(of(ExpOp), [floats(5)], 2, "torch.exp(a)"),
    "tanh": Case(of(TanhOp), [floats(5)], 2, "torch.tanh(a)"),
    "abs": Case(of(AbsOp), [floats(5)], 1, "torch.abs(a)"),
    "floor": Case(of(FloorOp), [floats(5)], 1, "torch.floor(a)"),
    "reshape": Case(of(ReshapeOp, [3, 2]), [floats(2, 3)], 1, "a.reshape(3, 2)"),
    "transpose": Case(of(TransposeOp, [2, 0, 1]), [floats(2, 3, 4)], 1, "a.permute(2, 0, 1)"),
    "broadcast": Case(of(BroadcastOp, [2, 3, 4], [1, 2]), [floats(3, 1)], 1, "a.expand(2, 3, 4)"),
    "broadcast_same": Case(of(BroadcastOp, [3, 1], [0, 1]), [floats(3, 1)]),
    "slice": Case(of(SliceOp, [1, 0], [3, 7], [1, 3]), [floats(4, 8)], 1, "a[1:3, 0:7:3]"),
    "slice_empty": Case(of(SliceOp, [1], [1]), [floats(4)]),
    "flip": Case(of(FlipOp, [0, 1]), [floats(2, 3)], 1, "a.flip(0, 1)"),
    "pad": Case(of(PadOp, [1, 0], [0, 2], 3.0, [0, 1]), [floats(2, 3)]),
    "concatenate": Case(
        lambda emit, a, b: emit(ConcatenateOp([a, b, a], 1)),
        [floats(2, 3), floats(2, 1)],
        1,
        "torch.cat([a, b, a], 1)",
    ),
    "sum": Case(of(SumOp, [0, 2]), [floats(2, 3, 2)], 1, "a.sum((0, 2))"),
    "mean": Case(of(MeanOp, [1]), [floats(2, 3)], 1, "a.mean(1)"),
    "sum_of_squares": Case(
        lambda emit, a: emit(SumOp(emit(MultiplyOp(a, a)), [0, 1])),
        [floats(2, 3)],
        2,
        "(a * a).sum()",
    ),
    "prod": Case(of(ProdOp, [1]), [floats(2, 3)], 2, "a.prod(1)"),
    "max": Case(of(MaxOp, [0]), [floats(4, 3)], 1, "a.amax(0)"),
    "matmul": Case(matmul, [floats(2, 3), floats(3, 4)], 2, "a @ b"),
    "matmul_batched": Case(
        lambda emit, a, b: emit(
            DotGeneralOp(
                a, b, lhs_batch=[0], rhs_batch=[0], lhs_contracting=[2], rhs_contracting=[1]
            )
        ),
        [floats(2, 3, 2), floats(2, 2, 3)],
        2,
        "a @ b",
    ),
    "where": Case(
        lambda emit, a, b: emit(WhereOp(emit(GreaterOp(a, b)), emit(SinOp(a)), b)),
        [floats(6), floats(6, seed=1)],
        2,
        "torch.where(a > b, torch.sin(a), b)",
    ),
    "take": Case(of(TakeOp, 0), [floats(4, 3), INDICES], 2, "a[b.long()]"),
    "take_inner": Case(of(TakeOp, 1), [floats(2, 4, 3), INDICES], 1, "a[:, b.long()]"),
    "take_clamps": Case(of(TakeOp, 0), [floats(4, 2), OUT_OF_RANGE]),
    "take_along_axis": Case(
        of(TakeAlongAxisOp, 1), [floats(2, 4), INDICES], 1, "a.gather(1, b.long())"
    ),
    "scatter_add": Case(
        lambda emit, a, i, b: emit(ScatterAddOp(a, i, b)),
        [floats(4, 2), INDICES, floats(2, 3, 2)],
        1,
        "a.index_put((b.long(),), c, accumulate=True)",
    ),
    "scatter_add_drops": Case(
        lambda emit, a, i, b: emit(ScatterAddOp(a, i, b)), [floats(4), OUT_OF_RANGE, floats(4)]
    ),
    "dynamic_slice": Case(
        of(DynamicSliceOp, 1, 2), [floats(2, 5), np.array(1, np.int32)], 1, "a[:, 1:3]"
    ),
    "dynamic_slice_clamps": Case(of(DynamicSliceOp, 1, 2), [floats(2, 5), np.array(9, np.uint32)]),
    "dynamic_update_slice": Case(
        lambda emit, a, b, at: emit(DynamicUpdateSliceOp(a, b, at, 1)),
        [floats(2, 5), floats(2, 2), np.array(2, np.int32)],
    ),
    "relu": Case(of(ReluOp), [floats(7)], 1, "F.relu(a)"),
    "sigmoid": Case(of(SigmoidOp), [floats(7, low=-4, high=4)], 2, "F.sigmoid(a)"),
    "silu": Case(of(SiluOp), [floats(7, low=-4, high=4)], 2, "F.silu(a)"),
    "softplus": Case(of(SoftplusOp), [floats(7, low=-4, high=4)], 2, "F.softplus(a)"),
    "gelu": Case(of(GeluOp), [floats(7)], 2, "F.gelu(a)"),
    "gelu_tanh": Case(of(GeluOp, "tanh"), [floats(7)], 2, "F.gelu(a, approximate='tanh')"),
    "softmax": Case(of(SoftmaxOp, 0), [floats(3, 2)], 2, "F.softmax(a, 0)"),
    "log_softmax": Case(of(LogSoftmaxOp, 1), [floats(2, 3)], 2, "F.log_softmax(a, 1)"),
    "logsumexp": Case(of(LogSumExpOp, 1), [floats(2, 3)], 2, "torch.logsumexp(a, 1)"),
    "layer_norm": Case(
        of(LayerNormOp, 1e-3),
        [floats(2, 3, 2), floats(3, 2), floats(3, 2, seed=1)],
        2,
        "F.layer_norm(a, (3, 2), b, c, 1e-3)",
    ),
    "cross_entropy": Case(
        of(CrossEntropyOp), [floats(2, 3, 4), INDICES], 2, "F.cross_entropy(a.mT, b.long())"
    ),
    "dropout": Case(of(DropoutOp, 0.4), [floats(3, 5), KEY]),
    "embedding": Case(of(EmbeddingOp), [floats(4, 2), INDICES], 1, "F.embedding(b.long(), a)"),
    "mlp": Case(
        lambda emit, x, w, v: matmul(emit, emit(TanhOp(matmul(emit, x, w))), v),
        [floats(2, 3), floats(3, 4), floats(4, 2)],
        2,
        "torch.tanh(a @ b) @ c",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_central_differences(name):
    case = CASES[name]
    check(case.build, case.arrays, case.order)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.torch])
def test_torch(name):
    import torch

    case = CASES[name]
    tensors = [torch.tensor(array) for array in case.arrays if array.dtype != np.uint32]
    wanted = [t.requires_grad_() for t in tensors if t.is_floating_point()]
    scope = {"torch": torch, "F": torch.nn.functional, **dict(zip("abc", tensors, strict=False))}
    flat = eval(case.torch or "", scope).reshape(-1)  # The text stands in this file.
    loss = (flat * torch.sin(torch.arange(len(flat)) + 1.0)).sum()
    expected = torch.autograd.grad(loss, wanted, allow_unused=True)
    argnums = [k for k, array in enumerate(case.arrays) if array.dtype == np.float64]
    value, *gradients = compiled(case.build, case.arrays, argnums, 1)(*case.arrays)
    np.testing.assert_allclose(value, loss.item(), rtol=1e-6)
    for gradient, theirs in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, theirs.numpy(), rtol=1e-6, atol=1e-6)


COMPOSITES = {
    name: case
    for name, case in CASES.items()
    if name in ("relu", "sigmoid", "silu", "softplus", "gelu", "gelu_tanh", "softmax")
    or name in ("log_softmax", "logsumexp", "layer_norm", "cross_entropy", "dropout")
    or name in ("embedding", "scatter_add", "scatter_add_drops")
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_decompositions_mean_the_same(name):
    case = COMPOSITES[name]
    entry = Block(arg_types=[type_like(array) for array in case.arrays])
    emit = Emitter(entry)
    emit.insert(func.ReturnOp(case.build(emit, *entry.args)))
    returned = [value.type for value in entry.last_op.operands]
    kind = ([argument.type for argument in entry.args], returned)
    module = ModuleOp([func.FuncOp("main", kind, Region(entry))])
    (whole,) = interpret(entry, case.arrays)
    DecomposeCompositesPass().apply(Context(), module)
    module.verify()
    (parts,) = interpret(entry, case.arrays)
    np.testing.assert_allclose(parts, whole, rtol=1e-6, atol=1e-7)


def normalised(emit: Emitter, x: SSAValue) -> SSAValue:
    shape = shape_of(x)
    kept = list(range(len(shape) - 1))
    mean = emit(BroadcastOp(emit(MeanOp(x, [len(shape) - 1])), shape, kept))
    return emit(SubtractOp(x, mean))


STEPS: dict[str, Build] = {
    "sin": of(SinOp),
    "tanh": of(TanhOp),
    "sigmoid": of(SigmoidOp),
    "gelu": of(GeluOp),
    "softmax": lambda emit, x: emit(SoftmaxOp(x, 0)),
    "logits": lambda emit, x: emit(LogSoftmaxOp(x, 1)),
    "square": lambda emit, x: emit(MultiplyOp(x, x)),
    "transpose": of(TransposeOp, [1, 0]),
    "flip": of(FlipOp, [1]),
    "center": normalised,
    "gram": lambda emit, x: emit(DotGeneralOp(x, x, lhs_contracting=[1], rhs_contracting=[1])),
    "pad": of(PadOp, [1, 0], [0, 1]),
}


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4), st.integers(1, 2))
def test_compositions(names, order):
    def build(emit: Emitter, x: SSAValue) -> SSAValue:
        for name in names:
            x = STEPS[name](emit, x)
        return x

    check(build, [floats(2, 3)], order, tolerance=1e-5)


def test_second_order_through_a_captured_value():
    """d/dx of (d/da of sin(a) * x at a = x): the inner request takes x as a constant."""

    def build(emit: Emitter, x: SSAValue) -> SSAValue:
        _, slope = request(emit, lambda e, a: e(MultiplyOp(e(SinOp(a)), x)), [x], [0])
        return slope

    (value, gradient) = compiled(build, [floats(1)], [0], 1)(floats(1))
    (x,) = floats(1)
    weight = np.sin(1) ** 2
    np.testing.assert_allclose(value, weight * np.cos(x) * x, rtol=1e-6)
    np.testing.assert_allclose(gradient, [weight * (np.cos(x) - x * np.sin(x))], rtol=1e-6)


def test_the_same_value_twice_and_no_dependence():
    x = floats(3)

    def build(emit: Emitter, a: SSAValue, b: SSAValue, c: SSAValue) -> SSAValue:
        return emit(MultiplyOp(a, b))

    _, da, db, dc = compiled(build, [x, x, x], [0, 1, 2], 1)(x, x, x)
    np.testing.assert_allclose(da, db)
    np.testing.assert_array_equal(dc, np.zeros(3))


def test_stop_gradient():
    x = floats(3)

    def build(emit: Emitter, a: SSAValue) -> SSAValue:
        return emit(MultiplyOp(a, emit(StopGradientOp(a))))

    _, gradient = compiled(build, [x], [0], 1)(x)
    np.testing.assert_allclose(gradient, x * np.sin(np.arange(3) + 1), rtol=1e-6)


@pytest.mark.parametrize("op", [SoftmaxOp, LogSoftmaxOp, LogSumExpOp])
def test_large_values_stay_finite(op):
    x = np.array([[1000.0, -1000.0, 999.0], [-np.inf, 2.0, 1.0]])
    value, gradient = compiled(of(op, 1), [x], [0], 1)(x)
    assert np.isfinite(gradient).all()
    assert np.isfinite(value) or op is LogSoftmaxOp  # log(0) = -inf is right there.


def test_logsumexp_of_nothing_but_minus_infinity():
    x = np.full((1, 3), -np.inf)
    run = compiled(of(LogSumExpOp, 1), [x], [0], 1)
    value, gradient = run(x)
    assert value == -np.inf
    np.testing.assert_array_equal(gradient, np.zeros((1, 3)))


def test_f16_is_cast_back():
    entry = Block(arg_types=[tensor([2, 3], f16)])
    emit = Emitter(entry)
    _, gradient = request(emit, lambda e, a: e(CastOp(e(SoftmaxOp(a, 1)), f32)), entry.args, [0])
    emit.insert(func.ReturnOp(gradient))
    module = ModuleOp([func.FuncOp("main", ([entry.args[0].type], [gradient.type]), Region(entry))])
    DifferentiatePass().apply(Context(), module)
    module.verify()
    (result,) = interpret(entry, [floats(2, 3).astype(np.float16)])
    assert result.dtype == np.float16
    np.testing.assert_allclose(result.sum(1), 0, atol=2e-3)


def test_integers_have_no_gradient():
    with pytest.raises(DTypeError, match=r"model\.py:7: .*input 1 is i32"):
        compiled(of(TakeOp, 0), [floats(4), INDICES], [1], 1)


def test_the_loss_is_one_float():
    body = Block(arg_types=[tensor([3], f32)])
    body.add_op(YieldOp(body.args[0]))
    outside = Block(arg_types=[tensor([3], f32)])
    with pytest.raises(ShapeError, match=r"model\.py:7: .*rank 0, not tensor<3xf32>"):
        ValueAndGradOp(outside.args, [0], Region(body), HERE)


@irdl_op_definition
class OpaqueOp(UnaryElementwiseOp):
    """An operation that nobody gave a gradient."""

    name = "test.opaque"
    FUNCTION: ClassVar = np.sin

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        raise NotImplementedError


def test_an_operation_without_gradient_is_named():
    with pytest.raises(UnsupportedError, match=r"model\.py:7: test\.opaque is not differentiable"):
        compiled(of(OpaqueOp, location=HERE), [floats(3)], [0], 1)
    # It does no harm where no gradient goes through it.
    compiled(lambda emit, a, b: emit(AddOp(a, emit(OpaqueOp(b)))), [floats(3)] * 2, [0], 1)


def test_sigmoid_at_zero_within_another_composite():
    """silu(x) = x * sigmoid(x): the sigmoid keeps its own gradient, right where |x| has none."""
    x = np.zeros(1)
    _, first = compiled(of(SiluOp), [x], [0], 1)(x)
    _, second = compiled(of(SiluOp), [x], [0], 2)(x)
    np.testing.assert_allclose(first, 0.5 * np.sin(1))
    np.testing.assert_allclose(second, 0.5 * np.sin(1) ** 2)
