"""ONNX's Fourier transforms, as products with the matrices of cosines and sines."""

from __future__ import annotations

import numpy as np

from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend import operations as sw
from stepwell.frontend.array import Array
from stepwell.frontend.building import lift
from stepwell.frontend.onnx.registry import Node, Result, Value, handler, integers


@handler("DFT", known=[1, 2])
def _dft(node: Node, x: Array, length: Value | None = None, axis: Value | None = None) -> Result:
    if node.opset < 20:
        along = node.get("axis", 1)
    else:
        along = -2 if axis is None else integers(axis, "the axis")[0]
    along %= x.ndim
    if along == x.ndim - 1:
        raise UnsupportedError("the last axis, which holds real and imaginary parts")
    inverse, onesided = bool(node.get("inverse", 0)), bool(node.get("onesided", 0))
    if length is not None:
        size = integers(length, "the length")[0]
    else:
        size = 2 * (x.shape[along] - 1) if inverse and onesided else x.shape[along]
    return _transformed(x, along, size, inverse=inverse, onesided=onesided)


def _transformed(x: Array, axis: int, size: int, *, inverse: bool, onesided: bool) -> Array:
    """The transform of `size` points; a one-sided inverse gives real numbers."""
    bins = size // 2 + 1
    used = bins if inverse and onesided else size
    outputs = bins if onesided and not inverse else size
    parts = [_fitted(sw.swapaxes(x[..., i], axis, -1), used) for i in range(x.shape[-1])]
    turns = np.outer(np.arange(used), np.arange(outputs)) % size * (2 * np.pi / size)
    scale = np.full((used, 1), 1 / size if inverse else 1.0)
    if inverse and onesided:
        scale[1 : size - bins + 1] *= 2
    cos = lift((np.cos(turns) * scale).astype(x.dtype.numpy))
    sin = lift((np.sin(turns) * scale * (-1 if inverse else 1)).astype(x.dtype.numpy))
    real = sw.matmul(parts[0], cos)
    if len(parts) == 2:
        real = real + sw.matmul(parts[1], sin)
    if inverse and onesided:
        return sw.expand_dims(sw.swapaxes(real, axis, -1), axis=-1)
    imaginary = -sw.matmul(parts[0], sin)
    if len(parts) == 2:
        imaginary = imaginary + sw.matmul(parts[1], cos)
    return sw.stack([sw.swapaxes(part, axis, -1) for part in (real, imaginary)], axis=-1)


def _fitted(x: Array, size: int) -> Array:
    """The last axis cut, or continued with zeros, to a size."""
    if x.shape[-1] >= size:
        return x[..., :size]
    return sw.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, size - x.shape[-1])])


@handler("STFT", known=[1, 3])
def _stft(
    node: Node, x: Array, step: Value, window: Array | None = None, length: Value | None = None
) -> Result:
    (stride,) = integers(step, "the step")
    if length is not None:
        (size,) = integers(length, "the length")
    elif window is not None:
        size = window.shape[0]
    else:
        raise UnsupportedError("neither a window nor a length")
    if window is not None and window.shape != (size,):
        raise UnsupportedError(f"a window of {list(window.shape)} for frames of {size}")
    frames = (x.shape[1] - size) // stride + 1
    places = np.arange(frames)[:, None] * stride + np.arange(size)
    framed = sw.take(x, lift(places.ravel().astype(np.int32)), axis=1)
    framed = sw.reshape(framed, [x.shape[0], frames, size, x.shape[2]])
    if window is not None:
        framed = framed * sw.reshape(window, [size, 1])
    onesided = bool(node.get("onesided", 1))
    return _transformed(framed, 2, size, inverse=False, onesided=onesided)
