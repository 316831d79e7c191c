"""The global stream of random seeds. Every program that asks for one gets a new one per call."""

from __future__ import annotations

import threading

import numpy as np

_LOCK = threading.Lock()
_generator = np.random.default_rng(0)


def manual_seed(seed: int) -> None:
    """Restart the stream that parameter initialisation, dropout and `random.next_key` draw from."""
    global _generator
    with _LOCK:
        _generator = np.random.default_rng(seed)


def next_seed() -> np.uint32:
    """The next number of the stream."""
    with _LOCK:
        return np.uint32(_generator.integers(0, 2**32, dtype=np.uint32))


def generator() -> np.random.Generator:
    """The stream itself, for initial values that are made on the host."""
    return _generator
