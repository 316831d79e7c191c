"""ONNX's random operators. Their numbers are not those of another system, so that there are none
unless the user gives a seed (`load(..., seed=0)`); then there are others at each call.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from stepwell.backends.errors import ArgumentError
from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend import operations as sw
from stepwell.frontend import random
from stepwell.frontend.array import Array
from stepwell.frontend.building import trace
from stepwell.frontend.dtypes import DType, float32
from stepwell.frontend.onnx.bounded import elementwise
from stepwell.frontend.onnx.dtypes import computed
from stepwell.frontend.onnx.registry import Node, Operand, Result, handler, integers

Seeds = Callable[[], np.uint32]
"""The seed of the next call."""


def seeds(seed: int) -> Seeds:
    """The seeds of one call after another. Raises: ArgumentError for a negative one."""
    if seed < 0:
        raise ArgumentError(f"a seed is 0 or more, not {seed}")
    generator = np.random.default_rng(seed)
    return lambda: np.uint32(generator.integers(2**32))


_seeds: ContextVar[Seeds | None] = ContextVar("seeds", default=None)


@contextmanager
def seeded(source: Seeds | None) -> Generator[None]:
    """Within it, random numbers come from these seeds; by default they are refused."""
    token = _seeds.set(source)
    try:
        yield
    finally:
        _seeds.reset(token)


def _key() -> Array:
    """A key of a node. Raises: UnsupportedError without seeds."""
    source = _seeds.get()
    if source is None:
        raise UnsupportedError(
            "random numbers that equal another system's are not to be had; for others, load the "
            "model with a seed (seed=0)"
        )
    if len(trace().blocks) > 1:
        # A loop of the program, whose steps would all draw the same.
        raise UnsupportedError("steps draw random numbers of their own")
    return random.key_of_call(source)


def _draw(node: Node, shape: Sequence[int], dtype: DType) -> Array:
    if not dtype.is_float:
        raise UnsupportedError(f"random {dtype}")
    if node.op.startswith("RandomNormal"):
        drawn = random.normal(_key(), shape) * node.get("scale", 1.0) + node.get("mean", 0.0)
    else:
        low, high = node.get("low", 0.0), node.get("high", 1.0)
        drawn = random.uniform(_key(), shape, minval=low, maxval=high)
    return sw.astype(drawn, dtype)


@handler("RandomNormal", "RandomUniform")
def _random(node: Node) -> Result:
    element = node.get("dtype")
    return _draw(node, node.get("shape"), float32 if element is None else computed(element))


@handler("RandomNormalLike", "RandomUniformLike")
def _random_like(node: Node, x: Array) -> Result:
    element = node.get("dtype")
    return _draw(node, x.shape, x.dtype if element is None else computed(element))


@handler("Bernoulli")
def _bernoulli(node: Node, chances: Array) -> Result:
    """1 with these probabilities. The function by which ONNX defines it draws 0 with them."""
    element = node.get("dtype")
    drawn = random.bernoulli(_key(), chances)
    return sw.astype(drawn, chances.dtype if element is None else computed(element))


@handler("Multinomial")
def _multinomial(node: Node, logits: Array) -> Result:
    shape = node.get("sample_size", 1), logits.shape[0]
    drawn = random.categorical(_key(), logits, shape)
    element = node.get("dtype")
    return drawn.T if element is None else sw.astype(drawn.T, computed(element))


@handler("Dropout", known=[1, 2], bounded=elementwise)
def _dropout(
    node: Node, x: Array, ratio: Operand | None = None, training: Operand | None = None
) -> Result:
    share = float(node.get("ratio", 0.5) if ratio is None else np.asarray(ratio).item())
    if training is None or not integers(training, "training_mode")[0] or not share:
        return x, np.ones(x.shape, np.bool_)
    kept = random.uniform(_key(), x.shape) >= share
    return sw.where(kept, x / (1 - share), 0), kept
