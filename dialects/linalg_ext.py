"""The `linalg_ext` dialect: structured operations on tensors that affine maps cannot say.

The name and the idea are IREE's. Operations are pure; a schedule keeps each of them in one kernel.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from math import prod
from typing import ClassVar

from xdsl.dialects.builtin import (
    AnyTensorTypeConstr,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    SymbolRefAttr,
    TensorType,
    UnitAttr,
    f32,
    i1,
    i32,
    i64,
)
from xdsl.ir import Attribute, Dialect, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from stepwell.dialects.bounds import (
    Bound,
    BoundedOp,
    Bounds,
    bounds_of,
    verify_bounds,
    verify_cap,
    visible,
)
from stepwell.dialects.scanning import CalleeIsStep, CallingOp, RepeatingOp, ScanningOp


class AttendingOp(BoundedOp, ABC):
    """What attention and its gradients share: query, key and value, the mask and the scores.

    query [..., T, d], key [..., S, d], value [..., S, w]; scores query key^T * scale + mask, or
    c * tanh(query key^T * scale / c) + mask with a cap c, where the mask [..., T, S] is added, or
    says where to look if it is i1. Queries see what `bounds` let them (`dialects/bounds.py`), with
    shifts [..., n], i32, added to the limits of the last n.
    Scores, weights and sums are f32. Scores of -1e38 and less have weight zero.
    """

    query = operand_def(AnyTensorTypeConstr)
    key = operand_def(AnyTensorTypeConstr)
    value = operand_def(AnyTensorTypeConstr)
    beside = var_operand_def(AnyTensorTypeConstr)
    traits = traits_def(Pure())

    PRODUCTS: ClassVar[tuple[int, int]]
    """Products of queries by keys by the depth, and by the width of values, that it takes."""

    def __init__(
        self, operands: Sequence[SSAValue], types: Sequence[Attribute], scale: FloatAttr,
        bounds: Bounds, softcap: FloatAttr | None = None,
    ):  # fmt: skip
        super().__init__(
            operands=[*operands[: self.FIXED], operands[self.FIXED :]],
            result_types=types,
            properties={"scale": scale, "bounds": bounds, "softcap": softcap},
        )

    @property
    def scores(self) -> int:
        """Scores that it looks at, as far as that is known now."""
        (*batch, queries, _), (*_, keys, _) = _shape(self.query), _shape(self.key)
        return prod(batch) * visible(self.known_bounds, queries, keys)

    @property
    def known_bounds(self) -> list[Bound]:
        """The bounds that no shift moves."""
        bounds = bounds_of(self.bounds)
        return bounds if self.shifts is None else bounds[: -_shape(self.shifts)[-1]]

    @property
    def flops(self) -> int:
        """Multiplications and additions of the products."""
        depth, width = _shape(self.query)[-1], _shape(self.value)[-1]
        return 2 * self.scores * (self.PRODUCTS[0] * depth + self.PRODUCTS[1] * width)

    def wanted(self) -> dict[str, Attribute]:
        """The types of further operands and the results, by name.

        Raises: VerifyException if query, key, value and mask do not go together.
        """
        types = [operand.type for operand in self.operands]
        if not all(isinstance(t, TensorType) and t.has_static_shape() for t in types):
            raise VerifyException(f"{self.name}: operands are static tensors")
        q, k, v = (_shape(operand) for operand in (self.query, self.key, self.value))
        if len(q) < 2 or not q[:-2] == k[:-2] == v[:-2] or q[-1] != k[-1] or k[-2] != v[-2]:
            raise VerifyException(f"{self.name}: query {q}, key {k} and value {v} do not fit")
        if self.mask is not None and _shape(self.mask) != (*q[:-1], k[-2]):
            raise VerifyException(f"{self.name}: the mask has the shape of the scores")
        if [*self.beside] != [value for value in (self.mask, self.shifts) if value is not None]:
            raise VerifyException(f"{self.name}: there is a mask, and shifts after it")
        verify_cap(self.softcap)
        verify_bounds(self.bounds, q[:-2], None if self.shifts is None else _shape(self.shifts))
        out = TensorType(_element(self.query), [*q[:-1], v[-1]])
        row = TensorType(f32, q[:-1])
        return {
            "result": out, "dout": out, "logsumexp": row, "delta": row,
            "dquery": self.query.type, "dkey": self.key.type, "dvalue": self.value.type,
        }  # fmt: skip

    def check_types(self, *names: str) -> None:
        """Raises: VerifyException unless the values of these names have their types."""
        wanted = self.wanted()
        for name in names:
            found: SSAValue = getattr(self, name)
            if found.type != wanted[name]:
                raise VerifyException(f"{self.name}: {name} is {wanted[name]}, not {found.type}")


@irdl_op_definition
class AttentionOp(AttendingOp):
    """softmax(scores) value, and the log-sum-exp of every row of scores.

    A row of masked scores only has the result zero and a log-sum-exp that is finite and means
    nothing.
    """

    name = "linalg_ext.attention"
    result = result_def(AnyTensorTypeConstr)
    logsumexp = result_def(AnyTensorTypeConstr)

    PRODUCTS: ClassVar = (1, 1)
    FIXED: ClassVar = 3

    assembly_format = (
        "$query `,` $key `,` $value (`with` $beside^)? `scale` $scale "
        "(`softcap` $softcap^)? `bounds` $bounds attr-dict `:` functional-type(operands, results)"
    )

    def verify_(self) -> None:
        self.check_types("result", "logsumexp")


class AttentionGradientOp(AttendingOp, ABC):
    """A gradient of attention, from the log-sum-exp of its rows.

    With weights p = exp(scores - logsumexp), the gradient of the scores is
    ds = p (dout value^T - delta), and delta the sums over rows of dout * result.
    """

    query = operand_def(AnyTensorTypeConstr)
    key = operand_def(AnyTensorTypeConstr)
    value = operand_def(AnyTensorTypeConstr)
    dout = operand_def(AnyTensorTypeConstr)
    logsumexp = operand_def(AnyTensorTypeConstr)
    delta = operand_def(AnyTensorTypeConstr)
    beside = var_operand_def(AnyTensorTypeConstr)

    FIXED: ClassVar = 6


_GRADIENT = (
    "$query `,` $key `,` $value `,` $dout `,` $logsumexp `,` $delta (`with` $beside^)? "
    "`scale` $scale (`softcap` $softcap^)? `bounds` $bounds attr-dict "
    "`:` functional-type(operands, results)"
)


@irdl_op_definition
class AttentionQueryGradientOp(AttentionGradientOp):
    """The gradient of the query, ds key * scale."""

    name = "linalg_ext.attention_query_gradient"
    dquery = result_def(AnyTensorTypeConstr)

    PRODUCTS: ClassVar = (2, 1)
    assembly_format = _GRADIENT

    def verify_(self) -> None:
        self.check_types("dout", "logsumexp", "delta", "dquery")


@irdl_op_definition
class AttentionKeyGradientOp(AttentionGradientOp):
    """The gradients of the key, ds^T query * scale, and of the value, p^T dout."""

    name = "linalg_ext.attention_key_gradient"
    dkey = result_def(AnyTensorTypeConstr)
    dvalue = result_def(AnyTensorTypeConstr)

    PRODUCTS: ClassVar = (2, 2)
    assembly_format = _GRADIENT

    def verify_(self) -> None:
        self.check_types("dout", "logsumexp", "delta", "dkey", "dvalue")


@irdl_op_definition
class InsertSliceOp(IRDLOperation):
    """The destination with the update written over a window of it, of the update's shape.

    `offsets` say where the window begins. An offset of -1 is the next of `starts`, which are
    tensors of one i32 and clamped so that the window lies within the destination. Where the
    destination's memory may be overwritten, nothing but the window is written.
    """

    name = "linalg_ext.insert_slice"
    update = operand_def(AnyTensorTypeConstr)
    destination = operand_def(AnyTensorTypeConstr)
    starts = var_operand_def(TensorType.constr(i32))
    offsets = prop_def(DenseArrayBase.constr(i64))
    result = result_def(AnyTensorTypeConstr)

    traits = traits_def(Pure())

    assembly_format = (
        "$update `into` $destination `offsets` $offsets (`starts` $starts^)? attr-dict `:` "
        "functional-type(operands, results)"
    )

    def __init__(
        self, update: SSAValue, destination: SSAValue, offsets: Sequence[int],
        starts: Sequence[SSAValue] = (),
    ):  # fmt: skip
        super().__init__(
            operands=[update, destination, starts],
            result_types=[destination.type],
            properties={"offsets": DenseArrayBase.from_list(i64, list(offsets))},
        )

    def begins(self) -> list[tuple[int, SSAValue | None]]:
        """For each dimension, where the window begins; or the last such place, and what says it."""
        starts = iter(self.starts)
        sizes = zip(_shape(self.destination), _shape(self.update), strict=True)
        return [
            (size - extent, next(starts)) if offset < 0 else (offset, None)
            for offset, (size, extent) in zip(self.offsets.get_values(), sizes, strict=True)
        ]

    def verify_(self) -> None:
        types = self.update.type, self.destination.type
        if not all(isinstance(t, TensorType) and t.has_static_shape() for t in types):
            raise VerifyException(f"{self.name}: update and destination are static tensors")
        if self.result.type != self.destination.type:
            raise VerifyException(f"{self.name}: the result has the type of the destination")
        window, shape = _shape(self.update), _shape(self.destination)
        offsets = self.offsets.get_values()
        if _element(self.update) != _element(self.destination):
            raise VerifyException(f"{self.name}: update and destination differ in element type")
        if not len(window) == len(shape) == len(offsets) or any(
            max(offset, 0) + extent > size
            for offset, extent, size in zip(offsets, window, shape, strict=True)
        ):
            raise VerifyException(
                f"{self.name}: a window {window} at {offsets} does not fit into {shape}"
            )
        if any(_shape(start) for start in self.starts):
            raise VerifyException(f"{self.name}: starts have rank 0")
        if sum(offset < 0 for offset in offsets) != len(self.starts):
            raise VerifyException(f"{self.name}: every offset of -1 takes one of the starts")


@irdl_op_definition
class ScanOp(ScanningOp, RepeatingOp):
    """carry, ys[t] = callee(consts, carry, xs[t]) for each t in turn; the last carry and all ys.

    The callee is a private function of the module. Its arguments are the consts, the carries and a
    slice of each of the xs; it returns the next carries, then a slice of each of the ys.
    """

    name = "linalg_ext.scan"

    traits = traits_def(Pure(), CalleeIsStep())

    assembly_format = "$callee " + ScanningOp.FORMAT

    def __init__(
        self, callee: str, consts: Sequence[SSAValue], carries: Sequence[SSAValue],
        xs: Sequence[SSAValue], types: Sequence[Attribute], length: IntegerAttr,
        reverse: UnitAttr | None, early: UnitAttr | None,
    ):  # fmt: skip
        super().__init__(callee, [consts, carries, xs], types, length, reverse, early)


@irdl_op_definition
class WhenOp(CallingOp):
    """What the callee computes of the inputs if the condition holds; else nobody knows what.

    The callee is a private function of the module, which need not run if the condition is false.
    """

    name = "linalg_ext.when"
    condition = operand_def(TensorType(i1, []))
    inputs = var_operand_def(AnyTensorTypeConstr)
    outputs = var_result_def(AnyTensorTypeConstr)

    traits = traits_def(Pure(), CalleeIsStep())

    assembly_format = (
        "$condition $callee `(` $inputs `)` attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self,
        callee: str,
        condition: SSAValue,
        inputs: Sequence[SSAValue],
        types: Sequence[Attribute],
    ):
        super().__init__(
            operands=[condition, inputs],
            result_types=[types],
            properties={"callee": SymbolRefAttr(callee)},
        )

    def check_step(self, inputs: Sequence[Attribute], outputs: Sequence[Attribute]) -> None:
        types = [v.type for v in self.inputs], [v.type for v in self.outputs]
        if (list(inputs), list(outputs)) != types:
            raise VerifyException(f"{self.name}: the types are not those of {self.callee}")


HostOp = ScanOp | WhenOp
"""What the host does with functions: no kernel, but something between kernels."""


def _shape(value: SSAValue) -> tuple[int, ...]:
    assert isinstance(value.type, TensorType)
    return value.type.get_shape()


def _element(value: SSAValue) -> Attribute:
    assert isinstance(value.type, TensorType)
    return value.type.element_type


LinalgExt = Dialect(
    "linalg_ext",
    [AttentionOp, AttentionQueryGradientOp, AttentionKeyGradientOp, InsertSliceOp, ScanOp, WhenOp],
)
