"""Rows of `dialects/array/attention.py`."""

import numpy as np
from operations.row import Argument, Case, Row

from stepwell.dialects.array import attention as ops
from stepwell.dialects.emit import Emitter

SIZES = [((), 1, 1, 1, 1), ((2,), 3, 3, 4, 4), ((), 5, 3, 2, 3), ((2, 1), 2, 5, 3, 2)]
"""Batch, queries, keys, depth, width."""


def scores(query, key, mask, scale, causal):
    found = query @ np.swapaxes(key, -1, -2) * scale
    if mask is not None:
        found = np.where(mask, found, -np.inf) if mask.dtype == np.bool_ else found + mask
    if causal:
        found = np.where(np.tri(*found.shape[-2:]) > 0, found, -np.inf)
    return found


def attention(query, key, value, mask=None, *, scale, causal):
    found = scores(query, key, mask, scale, causal)
    weights = np.exp(found)
    return weights @ value / np.maximum(weights.sum(-1, keepdims=True), 1e-300)


def torch_attention(torch, *tensors, scale, causal):
    return torch.nn.functional.scaled_dot_product_attention(*tensors, scale=scale, is_causal=causal)


def arguments(size, dtype, mask):
    batch, queries, keys, depth, width = size
    shapes = [(*batch, queries, depth), (*batch, keys, depth), (*batch, keys, width)]
    found = [Argument(shape, dtype) for shape in shapes]
    if mask is not None:
        found.append(Argument((*batch, queries, keys), dtype if mask == "float" else mask))
    return tuple(found)


def attention_cases():
    for size in SIZES:
        for dtype in ("f32", "f16"):
            for mask in (None, "bool", "float"):
                for causal in (False, True):
                    given = arguments(size, dtype, mask)
                    options = {"scale": 0.5, "causal": causal}
                    wide = dtype == "f32"
                    yield Case(
                        f"{dtype}-{size}-{mask}-{causal}",
                        given,
                        lambda emit, *operands, options=options: emit(
                            ops.AttentionOp(*operands, **options)
                        ),
                        lambda *arrays, options=options: attention(*arrays, **options),
                        gradient=((0, 1, 2, 3) if mask == "float" else (0, 1, 2)) if wide else (),
                        torch=None
                        if mask and (causal or mask == "bool")
                        else lambda torch, *tensors, options=options: torch_attention(
                            torch, *tensors, **options
                        ),
                        ulps=32,
                    )


def gradient(query, key, value, dout, logsumexp, delta, *, scale, causal):
    weights = np.exp(scores(query, key, None, scale, causal) - logsumexp[..., None])
    slope = weights * (dout @ np.swapaxes(value, -1, -2) - delta[..., None]) * scale
    found = slope @ key, np.swapaxes(slope, -1, -2) @ query, np.swapaxes(weights, -1, -2) @ dout
    return np.concatenate([part.reshape(-1) for part in found])


def build_gradient(emit: Emitter, *operands, options):
    from xdsl.dialects.builtin import BoolAttr, FloatAttr, f64

    from stepwell.dialects.array.base import shape_of
    from stepwell.dialects.array.shape import ConcatenateOp, ReshapeOp

    results = emit.all(
        ops.AttentionGradientOp(
            *operands,
            scale=FloatAttr(options["scale"], f64),
            causal=BoolAttr.from_bool(options["causal"]),
        )
    )
    flat = [emit(ReshapeOp(part, [int(np.prod(shape_of(part)))])) for part in results]
    return emit(ConcatenateOp(flat, 0))


def gradient_cases():
    for size in SIZES:
        batch, queries, _, _, width = size
        for causal in (False, True):
            options = {"scale": 0.5, "causal": causal}
            given = (
                *arguments(size, "f32", None),
                Argument((*batch, queries, width)),
                Argument((*batch, queries), "f32", (1, 3)),
                Argument((*batch, queries)),
            )
            yield Case(
                f"{size}-{causal}",
                given,
                lambda emit, *operands, options=options: build_gradient(
                    emit, *operands, options=options
                ),
                lambda *arrays, options=options: gradient(*arrays, **options),
                gradient=(0, 1, 2, 3, 4, 5) if not batch else (),
                ulps=64,
            )


ROWS = [
    Row(ops.AttentionOp, list(attention_cases())),
    Row(ops.AttentionGradientOp, list(gradient_cases())),
]
