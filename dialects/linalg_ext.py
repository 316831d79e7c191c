"""The `linalg_ext` dialect: structured operations on tensors that affine maps cannot say.

The name and the idea are IREE's. Operations are pure; a schedule keeps each of them in one kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import AnyTensorTypeConstr, BoolAttr, FloatAttr, TensorType, f32
from xdsl.ir import Attribute, Dialect, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException


@irdl_op_definition
class AttentionOp(IRDLOperation):
    """softmax(query key^T * scale + mask) value, and the log-sum-exp of every row of scores.

    query [..., T, d], key [..., S, d], value [..., S, w]; mask [..., T, S] is added, or says where
    to look if it is i1; `causal` lets query i see keys 0 to i. Scores, weights and sums are f32.
    Scores of -1e38 and less have weight zero; a row without others has the result zero and a
    log-sum-exp that is finite and means nothing.
    """

    name = "linalg_ext.attention"
    query = operand_def(AnyTensorTypeConstr)
    key = operand_def(AnyTensorTypeConstr)
    value = operand_def(AnyTensorTypeConstr)
    mask = opt_operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    logsumexp = result_def(AnyTensorTypeConstr)
    scale = prop_def(FloatAttr)
    causal = prop_def(BoolAttr)

    traits = traits_def(Pure())
    assembly_format = (
        "$query `,` $key `,` $value (`mask` $mask^)? `scale` $scale `causal` $causal attr-dict `:` "
        "functional-type(operands, results)"
    )

    def __init__(
        self, operands: Sequence[SSAValue], types: Sequence[Attribute], scale: FloatAttr,
        causal: BoolAttr,
    ):  # fmt: skip
        query, key, value, *mask = operands
        super().__init__(
            operands=[query, key, value, mask or None],
            result_types=types,
            properties={"scale": scale, "causal": causal},
        )

    def verify_(self) -> None:
        types = [operand.type for operand in self.operands]
        if not all(isinstance(t, TensorType) and t.has_static_shape() for t in types):
            raise VerifyException(f"{self.name}: operands are static tensors")
        q, k, v = (t.get_shape() for t in types[:3] if isinstance(t, TensorType))
        if len(q) < 2 or not q[:-2] == k[:-2] == v[:-2] or q[-1] != k[-1] or k[-2] != v[-2]:
            raise VerifyException(f"{self.name}: query {q}, key {k} and value {v} do not fit")
        if self.mask is not None and list(_shape(self.mask)) != [*q[:-1], k[-2]]:
            raise VerifyException(f"{self.name}: the mask has the shape of the scores")
        assert isinstance(types[0], TensorType)
        wanted = [
            TensorType(types[0].element_type, [*q[:-1], v[-1]]),
            TensorType(f32, q[:-1]),
        ]
        if wanted != [result.type for result in self.results]:
            raise VerifyException(f"{self.name}: results are {wanted[0]} and {wanted[1]}")


def _shape(value: SSAValue) -> tuple[int, ...]:
    assert isinstance(value.type, TensorType)
    return value.type.get_shape()


LinalgExt = Dialect("linalg_ext", [AttentionOp])
