"""Attention, softmax(query key^T * scale + mask) value, as one operation; its gradient as another.

With a cap c, c * tanh(query key^T * scale / c) is what the mask is added to (Gemma 2). Scores are
computed in f32. A score of at most -1e38, as a boolean mask and an additive mask of -inf
give, has weight zero, and so have keys that the bounds hide (`dialects/bounds.py`); a query without
any other score has the result zero.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import (
    AnyTensorTypeConstr,
    FloatAttr,
    LocationAttr,
    f32,
    f64,
    i32,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    result_def,
    var_operand_def,
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
)
from stepwell.dialects.array.build import full, full_like, unreduce, zeros_like
from stepwell.dialects.array.contraction import DotGeneralOp
from stepwell.dialects.array.elementwise import (
    AddOp,
    ExpOp,
    LogOp,
    MaximumOp,
    MultiplyOp,
    SubtractOp,
    TanhOp,
)
from stepwell.dialects.array.logic import CastOp, GreaterOp, LessEqualOp, WhereOp
from stepwell.dialects.array.reduction import MaxOp, SumOp
from stepwell.dialects.array.shape import IotaOp, ReshapeOp, SliceOp
from stepwell.dialects.bounds import (
    Bound,
    BoundedOp,
    Bounds,
    bounds_attr,
    bounds_of,
    seen,
    verify_bounds,
    verify_cap,
)
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import DTypeError, ShapeError

LOWEST = -1e38
"""Scores are no lower; those that are no higher are masked."""
TINIEST = 2.0**-126
"""Sums of weights are no smaller, so that their logarithm is finite, and so is what is divided by
them: GPUs take smaller numbers for zero."""
Floats = NDArray[np.float64]


def _cast(emit: Emitter, value: SSAValue, element: Attribute) -> SSAValue:
    return value if element_of(value) == element else emit(CastOp(value, element))


class AttendingOp(CompositeOp, BoundedOp, ABC):
    """What attention and its gradient share: query, key and value, the mask and the scores."""

    def __init__(
        self,
        *operands: SSAValue,
        mask: SSAValue | None = None,
        shifts: SSAValue | None = None,
        scale: float,
        softcap: float | None = None,
        bounds: Sequence[Bound] = (),
        location: LocationAttr | None = None,
    ):
        super().__init__(
            *operands,
            *[value for value in (mask, shifts) if value is not None],
            location=location,
            scale=FloatAttr(scale, f64),
            bounds=bounds_attr(bounds),
            **({} if softcap is None else {"softcap": FloatAttr(softcap, f64)}),
        )

    @classmethod
    def check(
        cls,
        operands: Sequence[Tensor],
        beside: Sequence[Tensor],
        properties: Mapping[str, Attribute],
    ) -> None:
        """Raises ShapeError or DTypeError unless query, key, value, mask and shifts go together."""
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
        masks = [type for type in beside if type.element_type != i32]
        shifts = [type.get_shape() for type in beside if type.element_type == i32]
        verify_bounds(cast(Bounds, properties["bounds"]), q[:-2], shifts[0] if shifts else None)
        verify_cap(properties.get("softcap"))
        if len(masks) > 1 or len(shifts) > 1 or [*masks, *beside[len(masks) :]] != [*beside]:
            raise ShapeError(f"{cls.name}: there is a mask, and shifts after it")
        if not masks:
            return
        (mask,) = masks
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

    def _scores(self, emit: Emitter, query: SSAValue, key: SSAValue) -> tuple[SSAValue, SSAValue]:
        """The scores in f32, and the tanh that caps them; the scores again if nothing does."""
        scores, cap = self._product(emit, query, key, 1, 1), self.cap
        if cap is None:
            scores = emit(MultiplyOp(scores, full_like(emit, self.scale.value.data, scores)))
            return scores, scores
        factor = full_like(emit, self.scale.value.data / cap, scores)
        share = emit(TanhOp(emit(MultiplyOp(scores, factor))))
        return emit(MultiplyOp(share, full_like(emit, cap, share))), share

    def _masked(
        self, emit: Emitter, scores: SSAValue, mask: SSAValue | None, shifts: SSAValue | None
    ) -> SSAValue:
        """The scores, at least `LOWEST`."""
        lowest = full_like(emit, LOWEST, scores)
        if mask is not None and is_bool(element_of(mask)):
            scores = emit(WhereOp(mask, scores, lowest))
        elif mask is not None:
            scores = emit(MaximumOp(emit(AddOp(scores, _cast(emit, mask, f32))), lowest))
        for bound in self._seen(emit, shifts):
            scores = emit(WhereOp(bound, scores, lowest))
        return scores

    def _seen(self, emit: Emitter, shifts: SSAValue | None) -> Iterator[SSAValue]:
        """For each bound which scores it leaves."""
        shape, rank = self._score_shape, len(self._score_shape)
        bounds = bounds_of(self.bounds)
        first = len(bounds) - (0 if shifts is None else shape_of(shifts)[-1])
        for number, bound in enumerate(bounds):
            terms: list[tuple[int, SSAValue]] = [
                (coefficient, emit(IotaOp(shape, axis, i32)))
                for coefficient, axis in ((bound.key, rank - 1), (bound.query, rank - 2))
            ]
            terms.append((-1, full(emit, bound.limit, shape, i32)))
            if shifts is not None and number >= first:
                starts = [0] * (rank - 2) + [number - first]
                limits = [*shape[:-2], number - first + 1]
                shift = emit(ReshapeOp(emit(SliceOp(shifts, starts, limits)), shape[:-2]))
                terms.append((-1, unreduce(emit, shift, shape, [rank - 2, rank - 1])))
            # What has a minus stands on the other side.
            left = right = full(emit, 0, shape, i32)
            for coefficient, term in terms:
                if coefficient > 0:
                    left = emit(AddOp(left, term))
                elif coefficient:
                    right = emit(AddOp(right, term))
            yield emit(LessEqualOp(left, right))

    def _weights(self, emit: Emitter, scores: SSAValue, logsumexp: SSAValue) -> SSAValue:
        """exp(scores - logsumexp), zero where the score is masked."""
        axis = len(self._batch) + 1
        along = unreduce(emit, logsumexp, self._score_shape, [axis])
        weights = emit(ExpOp(emit(SubtractOp(scores, along))))
        seen = emit(GreaterOp(scores, full_like(emit, LOWEST, scores)))
        return emit(WhereOp(seen, weights, zeros_like(emit, weights)))

    def raw_scores(self, query: Floats, key: Floats) -> Floats:
        """The scores before they are masked, in f64."""
        scores = query @ np.swapaxes(key, -1, -2) * self.scale.value.data
        return scores if self.cap is None else self.cap * np.tanh(scores / self.cap)

    def score_array(
        self, query: Floats, key: Floats, mask: NumPyArray | None, shifts: NumPyArray | None
    ) -> Floats:
        """The scores in f64, -inf where masked."""
        scores = self.raw_scores(query, key)
        if mask is not None and mask.dtype == np.bool_:
            scores = np.where(mask, scores, -np.inf)
        elif mask is not None:
            scores = scores + mask.astype(np.float64)
        left = seen(bounds_of(self.bounds), shifts, *scores.shape[-2:])
        scores = np.where(left, scores, -np.inf)
        return np.where(scores <= LOWEST, -np.inf, scores)


@irdl_op_definition
class AttentionOp(AttendingOp):
    """softmax(query key^T * scale + mask) value, and the log-sum-exp of every row of scores.

    query [..., T, d], key [..., S, d], value [..., S, w]. `bounds` say which keys queries see. With
    these may go a mask [..., T, S], which is added, or says where to look if it is bool, and shifts
    [..., n], i32, which are added to the limits of the last n bounds. The log-sum-exp is f32 and
    finite.
    """

    name = "array.attention"
    query = operand_def(AnyTensorTypeConstr)
    key = operand_def(AnyTensorTypeConstr)
    value = operand_def(AnyTensorTypeConstr)
    beside = var_operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    logsumexp = result_def(AnyTensorTypeConstr)

    assembly_format = (
        "$query `,` $key `,` $value (`with` $beside^)? `scale` $scale "
        "(`softcap` $softcap^)? `bounds` $bounds attr-dict `:` functional-type(operands, results)"
    )

    FIXED: ClassVar = 3

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        cls.check(operands[:3], operands[3:], properties)
        return cls.types(operands[0], operands[2])

    @staticmethod
    def types(query: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Of the result and the log-sum-exp."""
        rows = query.get_shape()[:-1]
        return tensor([*rows, value.get_shape()[-1]], query.element_type), tensor(rows, f32)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        given, mask, shifts = self.split(arrays)
        query, key, value = (array.astype(np.float64) for array in given)
        scores = self.score_array(query, key, mask, shifts)
        peak = np.maximum(scores.max(-1, keepdims=True), LOWEST)
        weights = np.exp(scores - peak)
        total = weights.sum(-1, keepdims=True)
        result = weights @ value / np.where(total == 0, 1, total)
        logsumexp = np.log(np.maximum(total, TINIEST)) + peak
        return (
            np.asarray(result, given[0].dtype),
            np.asarray(logsumexp[..., 0], np.float32),
        )

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        given, mask, shifts = self.split(operands)
        query, key, value = (_cast(emit, operand, f32) for operand in given)
        axis = len(self._batch) + 1
        scores, _ = self._scores(emit, query, key)
        scores = self._masked(emit, scores, mask, shifts)
        peak = emit(MaxOp(scores, [axis]))
        along = unreduce(emit, peak, self._score_shape, [axis])
        seen = emit(GreaterOp(scores, full_like(emit, LOWEST, scores)))
        shifted = emit(ExpOp(emit(SubtractOp(scores, along))))
        total = emit(SumOp(emit(WhereOp(seen, shifted, zeros_like(emit, shifted))), [axis]))
        total = emit(MaximumOp(total, full_like(emit, TINIEST, total)))
        logsumexp = emit(AddOp(emit(LogOp(total)), peak))
        weights = self._weights(emit, scores, logsumexp)
        result = self._product(emit, weights, value, 1, 0)
        return _cast(emit, result, element_of(given[0])), logsumexp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        wide = _cast(emit, cotangents[0], f32)
        axis = len(self._batch) + 1
        product = emit(MultiplyOp(wide, _cast(emit, self.result, f32)))
        delta = emit(SubtractOp(emit(SumOp(product, [axis])), cotangents[1]))
        gradient = AttentionGradientOp(
            *(self.query, self.key, self.value, cotangents[0], self.logsumexp, delta),
            mask=self.mask,
            shifts=self.shifts,
            scale=self.scale.value.data,
            softcap=self.cap,
            bounds=bounds_of(self.bounds),
        )
        slopes: list[SSAValue | None] = list(emit.all(gradient))
        if self.mask is not None:
            additive = is_float(element_of(self.mask))
            slopes.append(gradient.score_gradient(emit) if additive else None)
        return slopes if self.shifts is None else [*slopes, None]


@irdl_op_definition
class AttentionGradientOp(AttendingOp):
    """The gradients of attention with respect to query, key and value.

    With weights p = exp(scores - logsumexp): of value p^T dout, and of the scores
    ds = p (dout value^T - delta), of which query and key receive ds key and ds^T query, scaled, and
    with a cap c times 1 - (score / c)^2.
    `delta` is the sum over each row of dout * out, less the cotangent of the log-sum-exp.
    """

    name = "array.attention_gradient"
    query = operand_def(AnyTensorTypeConstr)
    key = operand_def(AnyTensorTypeConstr)
    value = operand_def(AnyTensorTypeConstr)
    dout = operand_def(AnyTensorTypeConstr)
    logsumexp = operand_def(AnyTensorTypeConstr)
    delta = operand_def(AnyTensorTypeConstr)
    beside = var_operand_def(AnyTensorTypeConstr)
    dquery = result_def(AnyTensorTypeConstr)
    dkey = result_def(AnyTensorTypeConstr)
    dvalue = result_def(AnyTensorTypeConstr)

    assembly_format = (
        "$query `,` $key `,` $value `,` $dout `,` $logsumexp `,` $delta (`with` $beside^)? "
        "`scale` $scale (`softcap` $softcap^)? `bounds` $bounds attr-dict "
        "`:` functional-type(operands, results)"
    )

    FIXED: ClassVar = 6

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        query, key, value, dout, logsumexp, delta, *beside = operands
        cls.check([query, key, value], beside, properties)
        out, row = AttentionOp.types(query, value)
        named = zip(("dout", "logsumexp", "delta"), (dout, logsumexp, delta), strict=True)
        for (what, given), wanted in zip(named, (out, row, row), strict=True):
            if given != wanted:
                raise ShapeError(f"{cls.name}: {what} is {given}, not {wanted}")
        return query, key, value

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        given, mask, shifts = self.split(arrays)
        query, key, value, dout, logsumexp, delta = (a.astype(np.float64) for a in given)
        scores = self.score_array(query, key, mask, shifts)
        weights = np.exp(scores - logsumexp[..., None])
        slope = weights * (dout @ np.swapaxes(value, -1, -2) - delta[..., None])
        slope *= self.scale.value.data
        if self.cap is not None:
            slope *= 1 - (self.raw_scores(query, key) / self.cap) ** 2
        results = (
            slope @ key,
            np.swapaxes(slope, -1, -2) @ query,
            np.swapaxes(weights, -1, -2) @ dout,
        )
        return [np.asarray(result, given[0].dtype) for result in results]

    def _weights_and_slope(
        self, emit: Emitter, operands: Sequence[SSAValue]
    ) -> tuple[SSAValue, SSAValue, SSAValue]:
        """The weights, the gradient of the scores, and the tanh that caps them."""
        given, mask, shifts = self.split(operands)
        query, key, value, dout = (_cast(emit, operand, f32) for operand in given[:4])
        logsumexp, delta = given[4:]
        scores, share = self._scores(emit, query, key)
        scores = self._masked(emit, scores, mask, shifts)
        weights = self._weights(emit, scores, logsumexp)
        received = self._product(emit, dout, value, 1, 1)
        along = unreduce(emit, delta, self._score_shape, [len(self._batch) + 1])
        return weights, emit(MultiplyOp(weights, emit(SubtractOp(received, along)))), share

    def score_gradient(self, emit: Emitter) -> SSAValue:
        """The gradient of an additive mask: that of the scores."""
        _, slope, _ = self._weights_and_slope(emit, list(self.operands))
        return _cast(emit, slope, element_of(self.query))

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        query, key, _, dout = (_cast(emit, operand, f32) for operand in operands[:4])
        weights, slope, share = self._weights_and_slope(emit, operands)
        slope = emit(MultiplyOp(slope, full_like(emit, self.scale.value.data, slope)))
        if self.cap is not None:
            # The derivative of tanh is 1 - tanh ** 2.
            passed = emit(SubtractOp(full_like(emit, 1.0, share), emit(MultiplyOp(share, share))))
            slope = emit(MultiplyOp(slope, passed))
        results = (
            self._product(emit, slope, key, 1, 0),
            self._product(emit, slope, query, 0, 0),
            self._product(emit, weights, dout, 0, 0),
        )
        return [_cast(emit, result, element_of(self.query)) for result in results]


OPERATIONS = [AttentionOp, AttentionGradientOp]
