"""Rows of `dialects/array/random.py`: bits against a Threefry of Python integers."""

import math

import numpy as np
from operations.row import Argument, Case, Row, elementwise

from stepwell.dialects.array import random as ops

MASK = 2**32 - 1
SHAPES = [(), (1,), (7,), (3, 5), (2, 1, 13), (0, 3)]
KEYS = [(0, 0), (0xDEADBEEF, 42), (MASK, MASK)]


def encrypt(key, counter):
    """Threefry-2x32-20 on Python integers, as in the paper's reference code."""
    schedule = (*key, key[0] ^ key[1] ^ 0x1BD11BDA)
    x = [(counter[i] + schedule[i]) & MASK for i in range(2)]
    rotations = (13, 15, 26, 6, 17, 29, 16, 24)
    for step in range(20):
        x[0] = (x[0] + x[1]) & MASK
        distance = rotations[step % 8]
        x[1] = ((x[1] << distance) | (x[1] >> (32 - distance))) & MASK
        x[1] ^= x[0]
        if step % 4 == 3:
            block = step // 4 + 1
            x[0] = (x[0] + schedule[block % 3]) & MASK
            x[1] = (x[1] + schedule[(block + 1) % 3] + block) & MASK
    return x


def mix(k0, k1, c0, c1):
    word = lambda *v: np.bitwise_xor(*encrypt(v[:2], v[2:]))  # noqa: E731
    return np.vectorize(word, otypes=[np.int64])(k0, k1, c0, c1)


def bits(key, shape):
    count = math.prod(shape)
    k0, k1 = (int(word) for word in key)
    words = [np.bitwise_xor(*encrypt((k0, k1), (0, index))) for index in range(count)]
    return np.array(words, np.int64).reshape(shape)


def uniform(key, shape):
    return (bits(key, shape) >> 9) / 2.0**23


def normal(key, shape):
    u, v = uniform(key, (2, *shape))
    return np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v - np.pi)


def row(op, reference, ulps):
    cases = [
        Case(
            f"{key[0]:x}-{'x'.join(map(str, shape)) or 'scalar'}",
            (Argument((2,), "u32", values=key),),
            lambda emit, key, shape=shape: emit(op(key, shape)),
            lambda key, shape=shape: reference(key, shape),
            ulps=ulps,
        )
        for key in KEYS
        for shape in SHAPES
    ]
    return Row(op, cases)


ROWS = [
    elementwise(ops.ThreefryOp, mix, *[(0, MASK)] * 4, dtypes="u32", gradient=False),
    row(ops.RandomBitsOp, bits, 0),
    row(ops.RandomUniformOp, uniform, 0),
    row(ops.RandomNormalOp, normal, 32),
]
