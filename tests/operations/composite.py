"""Rows of `dialects/array/composite.py`."""

import math
from functools import partial

import numpy as np
from operations import random
from operations.row import Argument, Case, Row, elementwise

from stepwell.dialects.array import composite as ops

ANY = (-3.0, 3.0)
PLACES = [((7,), 0), ((3, 5), 1), ((3, 5), 0), ((2, 3, 5), 1), ((3, 1), 1)]


def functional(name, *extra, **options):
    """The function of that name in `torch.nn.functional`."""
    return lambda torch, *tensors: getattr(torch.nn.functional, name)(*tensors, *extra, **options)


def gelu(x):
    return x * (1 + np.vectorize(math.erf, otypes=[float])(x / np.sqrt(2))) / 2


def gelu_tanh(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softmax(x, axis):
    e = np.exp(x)
    return e / e.sum(axis, keepdims=True)


def logsumexp(x, axis):
    return np.log(np.exp(x).sum(axis))


def along(op, function, torch, places=PLACES):
    cases = [
        Case(
            f"{dtype}-{shape}-{axis}",
            (Argument(shape, dtype, ANY),),
            lambda emit, x, axis=axis: emit(op(x, axis)),
            partial(function, axis=axis),
            gradient=(0,) if dtype == "f32" else (),
            torch=lambda torch_, x, axis=axis: torch(torch_, x, axis),
            ulps=16,
        )
        for dtype in ("f32", "f16")
        for shape, axis in places
    ]
    return Row(op, cases)


def layer_norm(x, weight, bias):
    axes = tuple(range(x.ndim - weight.ndim, x.ndim))
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias


def rms_norm(x, weight, eps=1e-3):
    axes = tuple(range(x.ndim - weight.ndim, x.ndim))
    return x / np.sqrt((x**2).mean(axes, keepdims=True) + eps) * weight


def rms_norm_cases():
    for dtype in ("f32", "f16"):
        for shape, rank in [((3, 5), 1), ((2, 3, 5), 1), ((2, 3, 5), 2), ((7,), 1)]:
            inner = shape[len(shape) - rank :]
            yield Case(
                f"{dtype}-{shape}-{rank}",
                (Argument(shape, dtype, ANY), Argument(inner, dtype, (0.5, 1.5))),
                lambda emit, *operands: emit(ops.RmsNormOp(*operands, 1e-3)),
                rms_norm,
                gradient=(0, 1) if dtype == "f32" else (),
                torch=lambda torch, x, w, inner=inner: torch.nn.functional.rms_norm(
                    x, inner, w, 1e-3
                ),
                ulps=32,
            )


def layer_norm_cases():
    for dtype in ("f32", "f16"):
        for shape, rank in [((3, 5), 1), ((2, 3, 5), 1), ((2, 3, 5), 2), ((7,), 1)]:
            inner = shape[len(shape) - rank :]
            yield Case(
                f"{dtype}-{shape}-{rank}",
                (
                    Argument(shape, dtype, ANY),
                    Argument(inner, dtype, (0.5, 1.5)),
                    Argument(inner, dtype, (-1, 1)),
                ),
                lambda emit, *operands: emit(ops.LayerNormOp(*operands)),
                layer_norm,
                gradient=(0, 1, 2) if dtype == "f32" else (),
                torch=lambda torch, x, w, b, inner=inner: torch.nn.functional.layer_norm(
                    x, inner, w, b
                ),
                ulps=32,
            )


def cross_entropy(logits, targets):
    rows = logits.reshape(-1, logits.shape[-1])
    return np.mean(logsumexp(rows, 1) - rows[np.arange(len(rows)), targets.reshape(-1)])


def cross_entropy_cases():
    for dtype in ("f32", "f16"):
        for shape in [(3, 5), (7, 2), (2, 3, 5), (5,)]:
            yield Case(
                f"{dtype}-{shape}",
                (Argument(shape, dtype, ANY), Argument(shape[:-1], "i32", (0, shape[-1] - 1))),
                lambda emit, *operands: emit(ops.CrossEntropyOp(*operands)),
                cross_entropy,
                gradient=(0,) if dtype == "f32" else (),
                ulps=16,
            )


def dropout(x, key, rate):
    kept = random.uniform(key, x.shape).astype(np.float32) >= np.float32(rate)
    return np.where(kept, x / (1 - rate), 0)


def dropout_cases():
    for dtype in ("f32", "f16"):
        for shape in [(7,), (3, 5), (), (0, 3)]:
            for rate in (0.0, 0.25, 0.5):
                yield Case(
                    f"{dtype}-{shape}-{rate}",
                    (Argument(shape, dtype, ANY), Argument((2,), "u32", values=[11, 29])),
                    lambda emit, x, key, rate=rate: emit(ops.DropoutOp(x, key, rate)),
                    partial(dropout, rate=rate),
                    gradient=(0,) if dtype == "f32" else (),
                )


def embedding_cases():
    for dtype in ("f32", "f16"):
        for at in [(), (7,), (2, 3), (0,)]:
            yield Case(
                f"{dtype}-{at}",
                (Argument((5, 3), dtype, ANY), Argument(at, "i32", (-1, 6))),
                lambda emit, *operands: emit(ops.EmbeddingOp(*operands)),
                lambda weight, at: weight[np.clip(at, 0, 4)],
                gradient=(0,) if dtype == "f32" else (),
                ulps=0,
            )


def approximate_gelu(x):
    return ops.GeluOp(x, "tanh")


exact = elementwise(ops.GeluOp, gelu, ANY, torch=functional("gelu"), ulps=8)
approximate = elementwise(
    approximate_gelu, gelu_tanh, ANY, torch=functional("gelu", approximate="tanh"), ulps=8
)

ROWS = [
    elementwise(ops.ReluOp, lambda x: np.maximum(x, 0), ANY, torch=functional("relu")),
    elementwise(ops.SigmoidOp, lambda x: 1 / (1 + np.exp(-x)), ANY, torch=functional("sigmoid")),
    elementwise(ops.SiluOp, lambda x: x / (1 + np.exp(-x)), ANY, torch=functional("silu")),
    elementwise(
        ops.SoftplusOp, lambda x: np.log1p(np.exp(x)), ANY, torch=functional("softplus"), ulps=8
    ),
    exact,
    Row(ops.GeluOp, approximate.cases),
    along(ops.SoftmaxOp, softmax, lambda torch, x, axis: torch.softmax(x, axis)),
    along(
        ops.LogSoftmaxOp,
        lambda x, axis: x - np.expand_dims(logsumexp(x, axis), axis),
        lambda torch, x, axis: torch.log_softmax(x, axis),
    ),
    along(ops.LogSumExpOp, logsumexp, lambda torch, x, axis: torch.logsumexp(x, axis)),
    Row(ops.LayerNormOp, list(layer_norm_cases())),
    Row(ops.RmsNormOp, list(rms_norm_cases())),
    Row(ops.CrossEntropyOp, list(cross_entropy_cases())),
    Row(ops.DropoutOp, list(dropout_cases())),
    Row(ops.EmbeddingOp, list(embedding_cases())),
]
