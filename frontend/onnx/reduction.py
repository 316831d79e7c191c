"""ONNX's reductions, and what works along an axis."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf, prod
from typing import Any

import numpy as np

from stepwell.frontend import operations as sw
from stepwell.frontend.array import Array
from stepwell.frontend.onnx.registry import Node, Result, Value, handler, integers


def _log_sum(x: Array, **options: Any) -> Array:
    return sw.log(sw.sum(x, **options))


def _sum_square(x: Array, **options: Any) -> Array:
    return sw.sum(sw.square(x), **options)


def _norm(order: float) -> Callable[..., Array]:
    return partial(sw.vector_norm, ord=order)


def _bool_extreme(whole: Callable[..., Array], bools: Callable[..., Array]) -> Callable[..., Array]:
    """Of bools, the largest is whether any is true, the smallest whether all are."""

    def extreme(x: Array, **options: Any) -> Array:
        return (bools if x.dtype.name == "bool" else whole)(x, **options)

    return extreme


_REDUCTIONS: dict[str, Callable[..., Array]] = {
    "ReduceSum": sw.sum,
    "ReduceMean": sw.mean,
    "ReduceMax": _bool_extreme(sw.max, sw.any),
    "ReduceMin": _bool_extreme(sw.min, sw.all),
    "ReduceProd": sw.prod,
    "ReduceL1": _norm(1),
    "ReduceL2": _norm(2),
    "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": sw.logsumexp,
    "ReduceSumSquare": _sum_square,
}


@handler(*_REDUCTIONS, known=[1])
def _reduce(node: Node, x: Array, axes: Value | None = None) -> Result:
    along = node.get("axes") if axes is None else integers(axes, "the axes")
    if not along:
        if node.get("noop_with_empty_axes", 0):
            return _elementwise(node, x)
        along = None
    keep = bool(node.get("keepdims", 1))
    over = None if along is None else tuple(along)
    if node.op in _OF_NONE and x.size == 0 and x.dtype.name != "bool":
        return _of_none(node, x, over, keep)
    reduced = _REDUCTIONS[node.op](x, axis=over, keepdims=keep)
    return sw.astype(reduced, x.dtype)


_OF_NONE = {"ReduceMax": -inf, "ReduceMin": inf, "ReduceLogSumExp": -inf}


def _of_none(node: Node, x: Array, axis: tuple[int, ...] | None, keep: bool) -> Array:
    """What ONNX gives for no elements: the least or the greatest number there is."""
    value = _OF_NONE[node.op]
    if not x.dtype.is_float:
        limits = np.iinfo(x.dtype.numpy)
        value = limits.min if value < 0 else limits.max
    shape = np.zeros(x.shape).sum(axis=axis, keepdims=keep).shape
    return sw.full(shape, value, dtype=x.dtype)


def _elementwise(node: Node, x: Array) -> Array:
    """The reduction over no axes: what it does to single elements."""
    single = sw.expand_dims(x, axis=x.ndim)
    return sw.astype(_REDUCTIONS[node.op](single, axis=x.ndim, keepdims=False), x.dtype)


@handler("ArgMax", "ArgMin")
def _arg(node: Node, x: Array) -> Result:
    axis, keep = node.get("axis", 0), bool(node.get("keepdims", 1))
    function = sw.argmax if node.op == "ArgMax" else sw.argmin
    if not node.get("select_last_index", 0):
        return function(x, axis=axis, keepdims=keep)
    last = function(sw.flip(x, axis=axis), axis=axis, keepdims=keep)
    return x.shape[axis] - 1 - last


def _rows(node: Node, x: Array) -> tuple[Array, int]:
    """Before opset 13, softmax works on all axes from the given one, as one."""
    if node.opset >= 13:
        return x, node.get("axis", -1)
    cut = node.get("axis", 1) % max(x.ndim, 1)
    return sw.reshape(x, [prod(x.shape[:cut]), prod(x.shape[cut:])]), 1


@handler("Softmax")
def _softmax(node: Node, x: Array) -> Result:
    rows, axis = _rows(node, x)
    return sw.reshape(sw.softmax(rows, axis=axis), x.shape)


@handler("LogSoftmax")
def _log_softmax(node: Node, x: Array) -> Result:
    rows, axis = _rows(node, x)
    return sw.reshape(sw.log_softmax(rows, axis=axis), x.shape)


@handler("Hardmax")
def _hardmax(node: Node, x: Array) -> Result:
    rows, axis = _rows(node, x)
    return sw.reshape(sw.hardmax(rows, axis=axis), x.shape)


@handler("LpNormalization")
def _lp_normalization(node: Node, x: Array) -> Result:
    norm = sw.vector_norm(x, axis=node.get("axis", -1), ord=node.get("p", 2), keepdims=True)
    return sw.where(sw.equal(norm, 0.0), 0.0, x / norm)
