"""`linalg_ext` in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepwell.backends.reference.machine import Frame, Handlers
from stepwell.dialects.array.attention import LOWEST, TINIEST
from stepwell.dialects.bounds import bounds_of, seen
from stepwell.dialects.linalg_ext import (
    AttendingOp,
    AttentionKeyGradientOp,
    AttentionOp,
    AttentionQueryGradientOp,
)


def _unmasked(op: AttendingOp, query: Any, key: Any) -> Any:
    scores = query @ np.swapaxes(key, -1, -2) * op.scale.value.data
    return scores if op.cap is None else op.cap * np.tanh(scores / op.cap)


def _scores(op: AttendingOp, query: Any, key: Any, mask: Any, shifts: Any) -> Any:
    scores = _unmasked(op, query, key)
    if mask is not None and mask.dtype == np.bool_:
        scores = np.where(mask, scores, LOWEST)
    elif mask is not None:
        scores = scores + mask.astype(np.float64)
    return np.where(seen(bounds_of(op.bounds), shifts, *scores.shape[-2:]), scores, LOWEST)


def _attention(frame: Frame, op: AttentionOp, operands: list[Any]) -> Sequence[Any]:
    given, *beside = op.split(operands)
    query, key, value = (operand.astype(np.float64) for operand in given)
    scores = _scores(op, query, key, *beside)
    peak = np.maximum(scores.max(-1, keepdims=True), LOWEST)
    weights = np.where(scores > LOWEST, np.exp(scores - peak), 0)
    total = np.maximum(weights.sum(-1, keepdims=True), TINIEST)
    result = (weights @ value / total).astype(operands[0].dtype)
    return result, (np.log(total) + peak)[..., 0].astype(np.float32)


def _weights_and_slopes(op: AttendingOp, operands: list[Any]) -> Any:
    given, *beside = op.split(operands)
    query, key, value, dout, logsumexp, delta = (o.astype(np.float64) for o in given)
    scores = _scores(op, query, key, *beside)
    exponents = np.where(scores > LOWEST, scores - logsumexp[..., None], -np.inf)
    weights = np.exp(exponents)
    slopes = weights * (dout @ np.swapaxes(value, -1, -2) - delta[..., None])
    if op.cap is not None:
        slopes *= 1 - (_unmasked(op, query, key) / op.cap) ** 2
    return weights, slopes


def _query_gradient(
    frame: Frame, op: AttentionQueryGradientOp, operands: list[Any]
) -> Sequence[Any]:
    _, slopes = _weights_and_slopes(op, operands)
    key = operands[1]
    return [(slopes @ key.astype(np.float64) * op.scale.value.data).astype(key.dtype)]


def _key_gradient(frame: Frame, op: AttentionKeyGradientOp, operands: list[Any]) -> Sequence[Any]:
    weights, slopes = _weights_and_slopes(op, operands)
    query, dout = operands[0].astype(np.float64), operands[3].astype(np.float64)
    dkey = np.swapaxes(slopes, -1, -2) @ query * op.scale.value.data
    dvalue = np.swapaxes(weights, -1, -2) @ dout
    return [result.astype(operands[0].dtype) for result in (dkey, dvalue)]


HANDLERS: Handlers = {
    AttentionOp: _attention,
    AttentionQueryGradientOp: _query_gradient,
    AttentionKeyGradientOp: _key_gradient,
}
