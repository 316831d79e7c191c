"""What the rows compute, but for the models: inputs, and the function as Stepwell's user writes it.

Peers have a function of the same kind, and get the same inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import prod
from typing import Any

import numpy as np

import stepwell as sw
from stepwell.frontend.dtypes import as_dtype

Shape = tuple[int, ...]
Size = tuple[Any, ...]
"""Numbers, and last the name of a type where it is not f32."""
Values = np.ndarray[Any, np.dtype[Any]]
_POOL = 1_000_003
"""Distinct random numbers; larger inputs repeat them, which takes less time to make."""


@dataclass(frozen=True)
class Given:
    """An input: normal numbers of a float type, integers below `limit`, or any narrow ones."""

    shape: Shape
    dtype: str = "f32"
    limit: int = 0

    def values(self, seed: int) -> Values:
        """The input itself."""
        rng, count = np.random.default_rng(seed), min(prod(self.shape), _POOL)
        if self.limit:
            return np.resize(rng.integers(0, self.limit, count).astype(np.int32), self.shape)
        if (dtype := as_dtype(self.dtype)).is_narrow:
            low, high = dtype.limits
            named = np if dtype.bits >= 8 else import_module("ml_dtypes")
            values = rng.integers(low, high + 1, count).astype(getattr(named, self.dtype))
            return np.resize(values, self.shape)
        values = rng.standard_normal(count, np.float32).astype(dtype.numpy)
        return np.resize(values, self.shape)


@dataclass(frozen=True)
class Problem:
    """A kind of work. `result`: the shape of the result, for the gradient that flows into it."""

    inputs: Callable[[Size], Sequence[Given]]
    ours: Callable[[Sequence[sw.Array], Size], sw.Array]
    result: Callable[[Size], Shape] | None = None
    needs: str = ""
    """The function of `stepwell` without which there is no such work."""


def _like(*shapes: Shape, dtype: str = "f32") -> list[Given]:
    return [Given(shape, dtype) for shape in shapes]


def _dtype(size: Size) -> str:
    return size[-1] if isinstance(size[-1], str) else "f32"


def _matrix(size: Size) -> list[Given]:
    return _like(size[:2], dtype=_dtype(size))


def _matmul(size: Size) -> list[Given]:
    m, k, n, *_ = size
    return _like((m, k), (k, n), dtype=_dtype(size))


def _batched(size: Size) -> list[Given]:
    b, m, k, n = size
    return _like((b, m, k), (b, k, n))


def _packed(size: Size) -> list[Given]:
    rows, width, group, dtype = size
    return [Given((rows, width)), Given((width, width), dtype), Given((width, width // group))]


def _quantized(x: Sequence[sw.Array], size: Size) -> sw.Array:
    value, weight, scale = x
    return value @ sw.dequantize_linear(weight, scale, axis=1, block_size=size[2]).mT


def _weighted(count: int) -> Callable[[Size], list[Given]]:
    """A matrix and `count` vectors as long as its rows."""
    return lambda size: _like(size[:2], *[size[1:2]] * count, dtype=_dtype(size))


def _attention(x: Sequence[sw.Array], size: Size) -> sw.Array:
    query, key, value = x
    return sw.scaled_dot_product_attention(query, key, value, is_causal=True)


def _images(size: Size) -> list[Given]:
    batch, channels, side, filters, kernel, _, groups = size
    return _like((batch, channels, side, side), (filters, channels // groups, kernel, kernel))


def _convolved(size: Size) -> Shape:
    batch, _, side, filters, kernel, stride, _ = size
    out = (side + 2 * (kernel // 2) - kernel) // stride + 1
    return batch, filters, out, out


def _convolution(x: Sequence[sw.Array], size: Size) -> sw.Array:
    *_, kernel, stride, groups = size
    convolve: Any = getattr(sw, "conv2d")  # noqa: B009
    return convolve(x[0], x[1], stride=stride, padding=kernel // 2, groups=groups)


def _rms_norm(x: Sequence[sw.Array], size: Size) -> sw.Array:
    norm: Any = getattr(sw, "rms_norm")  # noqa: B009
    return norm(x[0], size[1], x[1])


PROBLEMS: Mapping[str, Problem] = {
    "copy": Problem(lambda size: _like(size), lambda x, _: x[0] + 1.0),
    "matmul": Problem(_matmul, lambda x, _: x[0] @ x[1]),
    "matmul_nt": Problem(
        lambda size: _like(size[:2], (size[2], size[1])), lambda x, _: x[0] @ x[1].mT
    ),
    "matmul_tn": Problem(
        lambda size: _like((size[1], size[0]), size[1:]), lambda x, _: x[0].mT @ x[1]
    ),
    "batched": Problem(_batched, lambda x, _: x[0] @ x[1]),
    "quantized": Problem(_packed, _quantized),
    "gemv": Problem(lambda size: _like(size * 2, size), lambda x, _: x[0] @ x[1]),
    "chain": Problem(
        lambda size: _like(size[:1], dtype=_dtype(size)),
        lambda x, _: sw.exp(-sw.abs(x[0] * 1.5 + 0.25)) * x[0],
    ),
    "gelu": Problem(
        lambda size: _like(size), lambda x, _: sw.gelu(x[0] * 1.5 + 0.25, approximate="tanh")
    ),
    "softmax": Problem(_matrix, lambda x, _: sw.softmax(x[0]), lambda size: size[:2]),
    "layer_norm": Problem(
        _weighted(2),
        lambda x, size: sw.layer_norm(x[0], size[1], x[1], x[2]),
        lambda size: size[:2],
    ),
    "rms_norm": Problem(_weighted(1), _rms_norm, lambda size: size[:2], needs="rms_norm"),
    "cross_entropy": Problem(
        lambda size: [Given(size), Given(size[:1], limit=size[1])],
        lambda x, _: sw.cross_entropy(x[0], x[1]),
        lambda size: (),
    ),
    "sum": Problem(_matrix, lambda x, _: sw.sum(x[0])),
    "sum_columns": Problem(_matrix, lambda x, _: sw.sum(x[0], axis=0)),
    "argmax": Problem(_matrix, lambda x, _: sw.argmax(x[0], axis=-1)),
    "attention": Problem(lambda size: _like(size, size, size), _attention, lambda size: size),
    "conv": Problem(_images, _convolution, _convolved, needs="conv2d"),
    "embedding": Problem(
        lambda size: [Given(size[:2]), Given(size[2:], limit=size[0])],
        lambda x, _: sw.embedding(x[0], x[1]),
        lambda size: (size[2], size[1]),
    ),
}
"""Kind -> inputs for a size, and the function of the inputs and the size."""


def inputs_of(kind: str, size: Size, *, backward: bool) -> list[Values]:
    """The inputs; for a gradient, what flows into the result last."""
    problem = PROBLEMS[kind]
    given = list(problem.inputs(size))
    if backward:
        assert problem.result is not None
        given.append(Given(tuple(problem.result(size)), given[0].dtype))
    return [entry.values(seed) for seed, entry in enumerate(given)]


def ours(kind: str, size: Size, backward: Sequence[int]) -> Callable[..., Any]:
    """The function of a list of inputs, or its gradients for the inputs at `backward`."""
    function = PROBLEMS[kind].ours

    def value(x: Sequence[sw.Array]) -> sw.Array:
        return function(x, size)

    def gradients(x: Sequence[sw.Array]) -> Any:
        *inputs, flow = x

        def objective(*inputs: sw.Array) -> sw.Array:
            return sw.sum(function(inputs, size) * flow)

        return sw.grad(objective, tuple(backward))(*inputs)

    return gradients if backward else value
