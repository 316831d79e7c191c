"""Initial values of parameters: NumPy arrays from the stream that `sw.manual_seed` restarts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepwell.frontend.random_state import generator

__all__ = [
    "kaiming_uniform",
    "normal",
    "uniform",
    "xavier_uniform",
]

Values = np.ndarray[Any, np.dtype[np.float32]]


def uniform(shape: Sequence[int], bound: float) -> Values:
    """Uniform on [-bound, bound)."""
    return generator().uniform(-bound, bound, tuple(shape)).astype(np.float32)


def normal(shape: Sequence[int], std: float = 1.0) -> Values:
    """Normal with mean 0."""
    return (generator().standard_normal(tuple(shape), np.float32) * std).astype(np.float32)


def kaiming_uniform(shape: Sequence[int], fan_in: int, a: float = 5**0.5) -> Values:
    """Uniform with bound sqrt(6 / ((1 + a ** 2) * fan_in)) (He et al., 2015)."""
    return uniform(shape, (6 / ((1 + a * a) * max(fan_in, 1))) ** 0.5)


def xavier_uniform(shape: Sequence[int], fan_in: int, fan_out: int, gain: float = 1.0) -> Values:
    """Uniform with bound gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    return uniform(shape, gain * (6 / (fan_in + fan_out)) ** 0.5)
