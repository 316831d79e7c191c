"""`linalg_ext` in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepwell.backends.reference.machine import Frame, Handlers
from stepwell.dialects.linalg_ext import AttentionOp

_LOWEST = -1e38


def _attention(frame: Frame, op: AttentionOp, operands: list[Any]) -> Sequence[Any]:
    query, key, value = (operand.astype(np.float64) for operand in operands[:3])
    scores = query @ np.swapaxes(key, -1, -2) * op.scale.value.data
    for mask in operands[3:]:
        seen = mask.dtype == np.bool_
        scores = np.where(mask, scores, _LOWEST) if seen else scores + mask.astype(np.float64)
    if op.causal.value.data:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=np.bool_), scores, _LOWEST)
    peak = np.maximum(scores.max(-1, keepdims=True), _LOWEST)
    weights = np.where(scores > _LOWEST, np.exp(scores - peak), 0)
    total = np.maximum(weights.sum(-1, keepdims=True), 1e-38)
    result = (weights @ value / total).astype(operands[0].dtype)
    return result, (np.log(total) + peak)[..., 0].astype(np.float32)


HANDLERS: Handlers = {AttentionOp: _attention}
