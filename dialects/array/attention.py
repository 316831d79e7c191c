"""Attention, softmax(query key^T * scale + mask) value, as one operation; its gradient as another.

Scores are computed in f32. A score of at most -1e38, as the causal mask, a boolean mask and an
additive mask of -inf give, has weight zero; a query without any other score has the result zero.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import (
    AnyTensorTypeConstr,
    BoolAttr,
    FloatAttr,
    LocationAttr,
    f32,
    f64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    prop_def,
    result_def,
)

from stepwell.dialects.array.base import (
    CompositeOp,
    NumPyArray,
    Tensor,
    dtype_name,
    element_of,
    is_bool,
    is_float,
    shape_of,
    tensor,
    u32,
)
from stepwell.dialects.array.build import full_like, unreduce, zeros_like
from stepwell.dialects.array.contraction import DotGeneralOp
from stepwell.dialects.array.elementwise import (
    AddOp,
    ExpOp,
    LogOp,
    MaximumOp,
    MultiplyOp,
    SubtractOp,
)
from stepwell.dialects.array.logic import CastOp, GreaterEqualOp, GreaterOp, WhereOp
from stepwell.dialects.array.reduction import MaxOp, SumOp
from stepwell.dialects.array.shape import IotaOp
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import DTypeError, ShapeError

LOWEST = -1e38
"""Scores are no lower; those that are no higher are masked."""
_TINIEST = 1e-38
"""Sums of weights are no smaller, so that their logarithm is finite."""
Floats = NDArray[np.float64]


def _cast(emit: Emitter, value: SSAValue, element: Attribute) -> SSAValue:
    return value if element_of(value) == element else emit(CastOp(value, element))


class AttendingOp(CompositeOp, ABC):
    """What attention and its gradient share: query, key and value, the mask and the scores."""

    scale = prop_def(FloatAttr)
    causal = prop_def(BoolAttr)

    @classmethod
    def check(cls, operands: Sequence[Tensor], mask: Tensor | None) -> None:
        """Raises ShapeError or DTypeError unless query, key, value and mask go together."""
        query = operands[0]
        for what, operand in zip(("query", "key", "value"), operands, strict=True):
            if not is_float(operand.element_type) or operand.element_type != query.element_type:
                raise DTypeError(
                    f"{cls.name}: {what} is {dtype_name(operand.element_type)}; query, key and "
                    "value share one of f32 and f16"
                )
        shapes = [list(operand.get_shape()) for operand in operands]
        q, k, v = shapes
        if (
            min(len(shape) for shape in shapes) < 2
            or not q[:-2] == k[:-2] == v[:-2]
            or q[-1] != k[-1]
            or k[-2] != v[-2]
            or 0 in (q[-1], k[-2])
        ):
            raise ShapeError(
                f"{cls.name}: shapes {q}, {k} and {v} are not [..., queries, depth], "
                "[..., keys, depth] and [..., keys, width] with at least one key and depth"
            )
        if mask is None:
            return
        if list(mask.get_shape()) != [*q[:-1], k[-2]]:
            raise ShapeError(
                f"{cls.name}: the mask has shape {list(mask.get_shape())}, "
                f"the scores have {[*q[:-1], k[-2]]}"
            )
        if mask.element_type != query.element_type and not is_bool(mask.element_type):
            raise DTypeError(
                f"{cls.name}: the mask is {dtype_name(mask.element_type)}; it is bool or "
                f"{dtype_name(query.element_type)} as the query is"
            )

    @property
    def _batch(self) -> list[int]:
        return list(range(len(shape_of(self.operands[0])) - 2))

    @property
    def _score_shape(self) -> tuple[int, ...]:
        query, key, *_ = self.operands
        return (*shape_of(query)[:-1], shape_of(key)[-2])

    def _product(
        self, emit: Emitter, lhs: SSAValue, rhs: SSAValue, left: int, right: int
    ) -> SSAValue:
        """lhs rhs in every batch, summed over axes `left` and `right` (of the last two)."""
        batch = self._batch
        return emit(
            DotGeneralOp(
                lhs,
                rhs,
                lhs_batch=batch,
                rhs_batch=batch,
                lhs_contracting=[len(batch) + left],
                rhs_contracting=[len(batch) + right],
            )
        )

    def _scores(
        self, emit: Emitter, query: SSAValue, key: SSAValue, mask: SSAValue | None
    ) -> SSAValue:
        """The scores in f32, at least `LOWEST`."""
        scores = self._product(emit, query, key, 1, 1)
        scores = emit(MultiplyOp(scores, full_like(emit, self.scale.value.data, scores)))
        lowest = full_like(emit, LOWEST, scores)
        if mask is not None and is_bool(element_of(mask)):
            scores = emit(WhereOp(mask, scores, lowest))
        elif mask is not None:
            scores = emit(MaximumOp(emit(AddOp(scores, _cast(emit, mask, f32))), lowest))
        if self.causal.value.data:
            rank = len(self._score_shape)
            rows, columns = (
                emit(IotaOp(self._score_shape, axis, u32)) for axis in (rank - 2, rank - 1)
            )
            scores = emit(WhereOp(emit(GreaterEqualOp(rows, columns)), scores, lowest))
        return scores

    def _weights(self, emit: Emitter, scores: SSAValue, logsumexp: SSAValue) -> SSAValue:
        """exp(scores - logsumexp), zero where the score is masked."""
        axis = len(self._batch) + 1
        along = unreduce(emit, logsumexp, self._score_shape, [axis])
        weights = emit(ExpOp(emit(SubtractOp(scores, along))))
        seen = emit(GreaterOp(scores, full_like(emit, LOWEST, scores)))
        return emit(WhereOp(seen, weights, zeros_like(emit, weights)))

    def score_array(self, query: Floats, key: Floats, mask: Sequence[NumPyArray]) -> Floats:
        """The scores in f64, -inf where masked."""
        scores = query @ np.swapaxes(key, -1, -2) * self.scale.value.data
        for allowed in mask:
            if allowed.dtype == np.bool_:
                scores = np.where(allowed, scores, -np.inf)
            else:
                scores = scores + allowed.astype(np.float64)
        if self.causal.value.data:
            scores = np.where(np.tri(*scores.shape[-2:], dtype=np.bool_), scores, -np.inf)
        return np.where(scores <= LOWEST, -np.inf, scores)


@irdl_op_definition
class AttentionOp(AttendingOp):
    """softmax(query key^T * scale + mask) value, and the log-sum-exp of every row of scores.

    query [..., T, d], key [..., S, d], value [..., S, w]; mask [..., T, S] is added, or says where
    to look if it is bool; `causal` lets query i see keys 0 to i. The log-sum-exp is f32 and finite.
    """

    name = "array.attention"
    query = operand_def(AnyTensorTypeConstr)
    key = operand_def(AnyTensorTypeConstr)
    value = operand_def(AnyTensorTypeConstr)
    mask = opt_operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    logsumexp = result_def(AnyTensorTypeConstr)

    assembly_format = (
        "$query `,` $key `,` $value (`mask` $mask^)? `scale` $scale `causal` $causal attr-dict `:` "
        "functional-type(operands, results)"
    )

    def __init__(
        self,
        query: SSAValue,
        key: SSAValue,
        value: SSAValue,
        mask: SSAValue | None = None,
        *,
        scale: float,
        causal: bool = False,
        location: LocationAttr | None = None,
    ):
        operands = [query, key, value] if mask is None else [query, key, value, mask]
        super().__init__(
            *operands,
            location=location,
            scale=FloatAttr(scale, f64),
            causal=BoolAttr.from_bool(causal),
        )

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        cls.check(operands[:3], operands[3] if len(operands) > 3 else None)
        query, _, value = operands[:3]
        rows = query.get_shape()[:-1]
        return tensor([*rows, value.get_shape()[-1]], query.element_type), tensor(rows, f32)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        given = list(arrays)
        query, key, value = (array.astype(np.float64) for array in given[:3])
        scores = self.score_array(query, key, given[3:])
        peak = np.maximum(scores.max(-1, keepdims=True), LOWEST)
        weights = np.exp(scores - peak)
        total = weights.sum(-1, keepdims=True)
        result = weights @ value / np.where(total == 0, 1, total)
        logsumexp = np.log(np.maximum(total, _TINIEST)) + peak
        return (
            np.asarray(result, given[0].dtype),
            np.asarray(logsumexp[..., 0], np.float32),
        )

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        given = list(operands)
        query, key, value = (_cast(emit, operand, f32) for operand in given[:3])
        mask = given[3] if len(given) > 3 else None
        axis = len(self._batch) + 1
        scores = self._scores(emit, query, key, mask)
        peak = emit(MaxOp(scores, [axis]))
        along = unreduce(emit, peak, self._score_shape, [axis])
        seen = emit(GreaterOp(scores, full_like(emit, LOWEST, scores)))
        shifted = emit(ExpOp(emit(SubtractOp(scores, along))))
        total = emit(SumOp(emit(WhereOp(seen, shifted, zeros_like(emit, shifted))), [axis]))
        total = emit(MaximumOp(total, full_like(emit, _TINIEST, total)))
        logsumexp = emit(AddOp(emit(LogOp(total)), peak))
        weights = self._weights(emit, scores, logsumexp)
        result = self._product(emit, weights, value, 1, 0)
        return _cast(emit, result, element_of(given[0])), logsumexp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        wide = _cast(emit, cotangents[0], f32)
        axis = len(self._batch) + 1
        product = emit(MultiplyOp(wide, _cast(emit, self.result, f32)))
        delta = emit(SubtractOp(emit(SumOp(product, [axis])), cotangents[1]))
        mask = [self.mask] if self.mask is not None else []
        gradient = AttentionGradientOp(
            *(self.query, self.key, self.value, cotangents[0], self.logsumexp, delta, *mask),
            scale=self.scale,
            causal=self.causal,
        )
        slopes: list[SSAValue | None] = list(emit.all(gradient))
        if self.mask is not None:
            additive = is_float(element_of(self.mask))
            slopes.append(gradient.score_gradient(emit) if additive else None)
        return slopes


@irdl_op_definition
class AttentionGradientOp(AttendingOp):
    """The gradients of attention with respect to query, key and value.

    With weights p = exp(scores - logsumexp): of value p^T dout, and of the scores
    ds = p (dout value^T - delta), of which query and key receive ds key and ds^T query, scaled.
    `delta` is the sum over each row of dout * out, less the cotangent of the log-sum-exp.
    """

    name = "array.attention_gradient"
    query = operand_def(AnyTensorTypeConstr)
    key = operand_def(AnyTensorTypeConstr)
    value = operand_def(AnyTensorTypeConstr)
    dout = operand_def(AnyTensorTypeConstr)
    logsumexp = operand_def(AnyTensorTypeConstr)
    delta = operand_def(AnyTensorTypeConstr)
    mask = opt_operand_def(AnyTensorTypeConstr)
    dquery = result_def(AnyTensorTypeConstr)
    dkey = result_def(AnyTensorTypeConstr)
    dvalue = result_def(AnyTensorTypeConstr)

    assembly_format = (
        "$query `,` $key `,` $value `,` $dout `,` $logsumexp `,` $delta (`mask` $mask^)? "
        "`scale` $scale `causal` $causal attr-dict `:` functional-type(operands, results)"
    )

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        query, key, value, dout, logsumexp, delta, *mask = operands
        cls.check([query, key, value], mask[0] if mask else None)
        out, row = AttentionOp.infer([query, key, value, *mask], properties)
        named = zip(("dout", "logsumexp", "delta"), (dout, logsumexp, delta), strict=True)
        for (what, given), wanted in zip(named, (out, row, row), strict=True):
            if given != wanted:
                raise ShapeError(f"{cls.name}: {what} is {given}, not {wanted}")
        return query, key, value

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        given = list(arrays)
        query, key, value, dout, logsumexp, delta = (a.astype(np.float64) for a in given[:6])
        scores = self.score_array(query, key, given[6:])
        weights = np.exp(scores - logsumexp[..., None])
        slope = weights * (dout @ np.swapaxes(value, -1, -2) - delta[..., None])
        slope *= self.scale.value.data
        results = (
            slope @ key,
            np.swapaxes(slope, -1, -2) @ query,
            np.swapaxes(weights, -1, -2) @ dout,
        )
        return [np.asarray(result, given[0].dtype) for result in results]

    def _weights_and_slope(
        self, emit: Emitter, operands: Sequence[SSAValue]
    ) -> tuple[SSAValue, SSAValue]:
        """The weights and the gradient of the scores."""
        query, key, value, dout = (_cast(emit, operand, f32) for operand in operands[:4])
        logsumexp, delta, *mask = operands[4:]
        scores = self._scores(emit, query, key, mask[0] if mask else None)
        weights = self._weights(emit, scores, logsumexp)
        received = self._product(emit, dout, value, 1, 1)
        along = unreduce(emit, delta, self._score_shape, [len(self._batch) + 1])
        return weights, emit(MultiplyOp(weights, emit(SubtractOp(received, along))))

    def score_gradient(self, emit: Emitter) -> SSAValue:
        """The gradient of an additive mask: that of the scores."""
        _, slope = self._weights_and_slope(emit, list(self.operands))
        return _cast(emit, slope, element_of(self.query))

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        query, key, _, dout = (_cast(emit, operand, f32) for operand in operands[:4])
        weights, slope = self._weights_and_slope(emit, operands)
        slope = emit(MultiplyOp(slope, full_like(emit, self.scale.value.data, slope)))
        results = (
            self._product(emit, slope, key, 1, 0),
            self._product(emit, slope, query, 0, 0),
            self._product(emit, weights, dout, 0, 0),
        )
        return [_cast(emit, result, element_of(self.query)) for result in results]


OPERATIONS = [AttentionOp, AttentionGradientOp]
