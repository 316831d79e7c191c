"""Rows of `dialects/array/attention.py`."""

import numpy as np
from operations.row import Argument, Case, Row

from stepwell.dialects.array import attention as ops
from stepwell.dialects.array.base import shape_of
from stepwell.dialects.array.shape import ConcatenateOp, ReshapeOp
from stepwell.dialects.bounds import CAUSAL, Bound
from stepwell.dialects.emit import Emitter

SIZES = [((), 1, 1, 1, 1), ((2,), 3, 3, 4, 4), ((), 5, 3, 2, 3), ((2, 1), 2, 5, 3, 2)]
"""Batch, queries, keys, depth, width."""

BOUNDS = {
    "all": ((), 0),
    "causal": ((CAUSAL,), 0),
    "window": ((Bound(-1, 1, 1), Bound(1, -1, 1)), 0),
    "few": ((Bound(0, 1, 2), Bound(-1, 0, -1)), 0),
    "shifted": ((CAUSAL, Bound(-1, 1, 1), Bound(1, 0, -1)), 2),
}
"""Bounds, and how many of the last are shifted."""


CAPPED = ((2,), 3, 3, 4, 4)
"""The size at which scores are capped too."""


def raw_scores(query, key, scale, softcap):
    found = query @ np.swapaxes(key, -1, -2) * scale
    return found if softcap is None else softcap * np.tanh(found / softcap)


def scores(query, key, mask, shifts, scale, bounds, softcap):
    found = raw_scores(query, key, scale, softcap)
    if mask is not None:
        found = np.where(mask, found, -np.inf) if mask.dtype == np.bool_ else found + mask
    queries, keys = found.shape[-2:]
    for number, (k, q, limit) in enumerate(bounds):
        if shifts is not None and number >= len(bounds) - shifts.shape[-1]:
            limit = limit + shifts[..., number - len(bounds), None, None]
        at = k * np.arange(keys) + q * np.arange(queries)[:, None]
        found = np.where(at <= limit, found, -np.inf)
    return found


def beside(kind, rest):
    """The mask and the shifts of what follows the other operands."""
    left = list(rest)
    return left.pop(0) if kind else None, left.pop() if left else None


def attention(query, key, value, *rest, mask, scale, bounds, softcap=None):
    found = scores(query, key, *beside(mask, rest), scale, bounds, softcap)
    weights = np.exp(found)
    return weights @ value / np.maximum(weights.sum(-1, keepdims=True), 1e-300)


def torch_attention(torch, *tensors, scale, bounds, mask):
    causal = bool(bounds)
    return torch.nn.functional.scaled_dot_product_attention(*tensors, scale=scale, is_causal=causal)


def build_attention(emit: Emitter, *operands, mask, **options):
    given, shifts = beside(mask, operands[3:])
    return emit(ops.AttentionOp(*operands[:3], mask=given, shifts=shifts, **options))


def arguments(size, dtype, mask, shifted):
    batch, queries, keys, depth, width = size
    shapes = [(*batch, queries, depth), (*batch, keys, depth), (*batch, keys, width)]
    found = [Argument(shape, dtype) for shape in shapes]
    if mask is not None:
        found.append(Argument((*batch, queries, keys), dtype if mask == "float" else mask))
    if shifted:
        found.append(Argument((*batch, shifted), "i32", (-1, 4)))
    return tuple(found)


def attention_cases():
    for mask in (None, "float"):
        options = {"scale": 0.5, "softcap": 0.75, "bounds": (CAUSAL,), "mask": mask}
        yield Case(
            f"{mask}-capped",
            arguments(CAPPED, "f32", mask, 0),
            lambda emit, *operands, options=options: build_attention(emit, *operands, **options),
            lambda *arrays, options=options: attention(*arrays, **options),
            gradient=(0, 1, 2, 3) if mask else (0, 1, 2),
            ulps=32,
        )
    for size in SIZES:
        for dtype in ("f32", "f16"):
            for mask in (None, "bool", "float"):
                for name, (bounds, shifted) in BOUNDS.items():
                    if mask and name in ("window", "few"):
                        continue
                    options = {"scale": 0.5, "bounds": bounds, "mask": mask}
                    wide = dtype == "f32"
                    both = name in ("all", "causal") and not (mask and name == "causal")
                    yield Case(
                        f"{dtype}-{size}-{mask}-{name}",
                        arguments(size, dtype, mask, shifted),
                        lambda emit, *operands, options=options: build_attention(
                            emit, *operands, **options
                        ),
                        lambda *arrays, options=options: attention(*arrays, **options),
                        gradient=((0, 1, 2, 3) if mask == "float" else (0, 1, 2)) if wide else (),
                        torch=(
                            lambda torch, *tensors, options=options: torch_attention(
                                torch, *tensors, **options
                            )
                        )
                        if both and mask != "bool"
                        else None,
                        ulps=32,
                    )


def gradient(query, key, value, dout, logsumexp, delta, *rest, scale, bounds, softcap):
    shifts = rest[0] if rest else None
    weights = np.exp(
        scores(query, key, None, shifts, scale, bounds, softcap) - logsumexp[..., None]
    )
    slope = weights * (dout @ np.swapaxes(value, -1, -2) - delta[..., None]) * scale
    if softcap is not None:
        slope = slope * (1 - (raw_scores(query, key, scale, softcap) / softcap) ** 2)
    found = slope @ key, np.swapaxes(slope, -1, -2) @ query, np.swapaxes(weights, -1, -2) @ dout
    return np.concatenate([part.reshape(-1) for part in found])


def build_gradient(emit: Emitter, *operands, options):
    shifts = operands[6] if len(operands) > 6 else None
    results = emit.all(ops.AttentionGradientOp(*operands[:6], shifts=shifts, **options))
    flat = [emit(ReshapeOp(part, [int(np.prod(shape_of(part)))])) for part in results]
    return emit(ConcatenateOp(flat, 0))


def gradient_cases():
    for size, softcap in [(CAPPED, 0.75), *((size, None) for size in SIZES)]:
        batch, queries, _, _, width = size
        for name, (bounds, shifted) in BOUNDS.items():
            if softcap is not None and name != "causal":
                continue
            options = {"scale": 0.5, "softcap": softcap, "bounds": bounds}
            always = arguments(size, "f32", None, 0)
            given = (
                *always,
                Argument((*batch, queries, width)),
                Argument((*batch, queries), "f32", (1, 3)),
                Argument((*batch, queries)),
                *arguments(size, "f32", None, shifted)[len(always) :],
            )
            yield Case(
                f"{size}-{softcap}-{name}",
                given,
                lambda emit, *operands, options=options: build_gradient(
                    emit, *operands, options=options
                ),
                lambda *arrays, options=options: gradient(*arrays, **options),
                gradient=(0, 1, 2, 3, 4, 5) if softcap or not batch else (),
                ulps=64,
            )


ROWS = [
    Row(ops.AttentionOp, list(attention_cases())),
    Row(ops.AttentionGradientOp, list(gradient_cases())),
]
