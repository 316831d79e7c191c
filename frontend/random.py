"""Random numbers from keys: the same key gives the same numbers on every device.

A key is two u32. Draw from each key once; `split` and `fold_in` make new ones.

    key = sw.random.key(0)
    first, second = sw.random.split(key)
    x = sw.random.normal(first, (3, 4))

`next_key` draws from the global stream, which `sw.manual_seed` restarts: outside of compiled
functions at once, inside them from a new seed at each call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from stepwell.dialects.array import random as ops
from stepwell.dialects.array.base import whole
from stepwell.dialects.errors import DTypeError, ShapeError
from stepwell.frontend import building, tracing
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_float, axis_of, emit, lift
from stepwell.frontend.creation import arange
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import float32, int32, uint32
from stepwell.frontend.elementwise import astype, clip, erf, log, where
from stepwell.frontend.executable import SEED, Captured
from stepwell.frontend.functions import erfinv
from stepwell.frontend.indexing import take
from stepwell.frontend.random_state import manual_seed, next_seed
from stepwell.frontend.reductions import argmax
from stepwell.frontend.shaping import moveaxis, stack
from stepwell.frontend.sorting import argsort, top_k
from stepwell.frontend.tracing import Tracer

__all__ = [
    "bernoulli",
    "bits",
    "categorical",
    "exponential",
    "fold_in",
    "gumbel",
    "key",
    "manual_seed",
    "multinomial",
    "next_key",
    "normal",
    "permutation",
    "randint",
    "split",
    "truncated_normal",
    "uniform",
]

Sizes = int | Sequence[int]


def _sizes(shape: Sizes) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(whole(size) < 0 for size in sizes):
        raise ShapeError(f"a shape of {list(sizes)}: sizes are 0 or more")
    return sizes


def _key(x: ArrayLike) -> Tracer:
    tracer = lift(x)
    if tracer.dtype is not uint32 or tracer.shape != (2,):
        raise DTypeError(
            f"a random key is u32[2], not {tracer.type_text()}; make one with `sw.random.key(seed)`"
        )
    return tracer


@operation
def key(seed: ArrayLike, /) -> Array:
    """The key of a seed: an integer from 0 to 2**32 - 1."""
    word = lift(seed)
    if word.dtype.kind != "int" or word.shape:
        raise DTypeError(f"a seed is an integer of rank 0, not {word.type_text()}")
    word = word.astype(uint32)
    return stack([lift(0, uint32), word])


@operation
def split(key: Array, /, num: int = 2) -> list[Array]:
    """`num` new keys."""
    words = emit(ops.RandomBitsOp(_key(key).value, _sizes((num, 2))))
    return [words[i] for i in range(num)]


@operation
def fold_in(key: Array, data: ArrayLike, /) -> Array:
    """A new key from a key and an integer of rank 0."""
    words = _key(key)
    first, second = (lift(words[i], None, (2,)) for i in range(2))
    # Draws encrypt the counters (0, i): these are others unless data is -1.
    number = lift(data)
    if number.dtype.kind != "int" or number.shape:
        raise DTypeError(f"fold_in: {number.type_text()} is no integer of rank 0")
    counter = lift(number.astype(uint32) + 1, uint32, (2,))
    low = lift(arange(2, dtype=uint32))
    return emit(ops.ThreefryOp(first.value, second.value, counter.value, low.value))


@operation
def bits(key: Array, shape: Sizes = (), /) -> Array:
    """32 random bits an element, as u32."""
    return emit(ops.RandomBitsOp(_key(key).value, _sizes(shape)))


@operation
def uniform(
    key: Array, shape: Sizes = (), /, *, minval: Array | float = 0.0, maxval: Array | float = 1.0
) -> Array:
    """Uniform on [minval, maxval), in f32."""
    unit = emit(ops.RandomUniformOp(_key(key).value, _sizes(shape)))
    if (
        not isinstance(minval, Array)
        and not isinstance(maxval, Array)
        and (minval, maxval) == (0, 1)
    ):
        return unit
    return unit * (lift(maxval) - lift(minval)) + minval


@operation
def normal(key: Array, shape: Sizes = (), /) -> Array:
    """Normal with mean 0 and variance 1, in f32."""
    return emit(ops.RandomNormalOp(_key(key).value, _sizes(shape)))


@operation
def randint(key: Array, shape: Sizes, low: int, high: int, /) -> Array:
    """Integers from low to high - 1, in i32; the bias is below (high - low) / 2**32."""
    if not low < high:
        raise ShapeError(f"randint: there is no integer from {low} to {high} - 1")
    words = emit(ops.RandomBitsOp(_key(key).value, _sizes(shape)))
    return (words % (high - low)).astype(int32) + low


def _inside(key: Array, shape: Sizes) -> Array:
    """Uniform on (0, 1) without its ends."""
    words = emit(ops.RandomBitsOp(_key(key).value, _sizes(shape)))
    return (astype(words >> 9, float32) + 0.5) * 2.0**-23


@operation
def bernoulli(key: Array, p: ArrayLike = 0.5, shape: Sizes | None = None, /) -> Array:
    """True with probability p; the shape is by default that of p."""
    chance = as_float(p)
    return uniform(key, chance.shape if shape is None else shape) < chance


@operation
def exponential(key: Array, shape: Sizes = (), /) -> Array:
    """Exponential with mean 1, in f32."""
    return -log(_inside(key, shape))


@operation
def gumbel(key: Array, shape: Sizes = (), /) -> Array:
    """-log(-log(u)) of uniform u, in f32: the largest of many exponential variables."""
    return -log(-log(_inside(key, shape)))


@operation
def truncated_normal(
    key: Array, shape: Sizes = (), /, *, low: float = -2.0, high: float = 2.0
) -> Array:
    """Normal with mean 0 and variance 1 given that it lies within low and high, in f32."""
    if not low < high:
        raise ShapeError(f"truncated_normal: nothing lies between {low} and {high}")
    first, last = (erf(bound / 2**0.5) for bound in (low, high))
    unit = _inside(key, shape) * (last - first) + first
    return clip(erfinv(unit) * 2**0.5, low, high)


@operation
def categorical(
    key: Array, logits: ArrayLike, shape: Sizes | None = None, /, *, axis: int = -1
) -> Array:
    """Positions along an axis as i32, drawn with probabilities softmax(logits).

    `shape`, by default that of the logits without the axis, may have further axes before it.
    """
    scores = as_float(logits)
    along = axis_of("categorical", axis, scores.ndim)
    rows = lift(moveaxis(scores, along, -1))
    sizes = rows.shape[:-1] if shape is None else _sizes(shape)
    if sizes[len(sizes) - rows.ndim + 1 :] != rows.shape[:-1]:
        raise ShapeError(
            f"categorical: shape {list(sizes)} does not end in {list(rows.shape[:-1])}"
        )
    noise = gumbel(key, (*sizes, rows.shape[-1]))
    return argmax(rows + noise, axis=-1)


@operation
def multinomial(
    key: Array, probabilities: ArrayLike, num_samples: int, /, *, replacement: bool = False
) -> Array:
    """`num_samples` positions of the last axis as i32, drawn with (not normalised) probabilities;
    without replacement all of them differ.
    """
    shares = as_float(probabilities)
    lowest = lift(-3.0e38, shares.dtype) if shares.dtype is float32 else lift(-6e4, shares.dtype)
    logits = where(shares > 0, log(where(shares > 0, shares, 1.0)), lowest)
    if replacement:
        drawn = categorical(key, logits, (num_samples, *shares.shape[:-1]))
        return moveaxis(drawn, 0, -1)
    if num_samples > shares.shape[-1]:
        raise ShapeError(
            f"multinomial: {shares.shape[-1]} classes give no {num_samples} different samples"
        )
    return top_k(logits + gumbel(key, shares.shape), num_samples)[1]


@operation
def permutation(key: Array, x: Array | int, /, *, axis: int = 0) -> Array:
    """The slices of x along an axis in random order; of an integer n, 0 to n - 1."""
    value = lift(arange(*_sizes(x))) if isinstance(x, int) else lift(x)
    along = axis_of("permutation", axis, value.ndim)
    order = argsort(bits(key, value.shape[along]))
    return take(value, order, axis=along)


def next_key() -> Array:
    """A key from the global stream."""
    if tracing.current() is None:
        return Array(np.array([0, next_seed()], np.uint32))
    return key_of_call(next_seed)


def key_of_call(read: Callable[[], np.uint32]) -> Array:
    """In a traced function: a key, another one at each use, from the seed that `read` gives for
    each call.
    """
    trace = building.trace()

    def seed() -> tuple[Tracer, Captured]:
        return trace.argument((), uint32, SEED), Captured(SEED, read)

    word = Tracer(trace, trace.capture(read, seed))
    trace.keys += 1
    return fold_in(key(word), trace.keys)
