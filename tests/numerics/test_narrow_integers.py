"""Integers below 32 bits: packed in device memory, the same numbers everywhere."""

from __future__ import annotations

import numpy as np
import pytest

import stepwell as sw
from stepwell.backends.packing import from_device_layout, to_device_layout
from stepwell.backends.program import ELEMENT_BITS, NUMPY_DTYPES
from stepwell.frontend.dtypes import NARROW

DEVICES = ("reference", None)
devices = pytest.mark.parametrize("device", DEVICES, ids=["reference", "device"])
dtypes = pytest.mark.parametrize("dtype", NARROW, ids=str)
SHAPES = [(), (1,), (7,), (5, 7), (16, 8), (3, 0), (37, 29)]
STAGES = ("linalg", "fused", "buffers", "tiled")


def numbers(dtype, shape, seed=0):
    low, high = dtype.limits
    values = np.random.default_rng(seed).integers(low, high + 1, shape)
    return np.asarray(values, dtype.numpy)


def wrapped(values, dtype):
    low, high = dtype.limits
    return (np.asarray(values, np.int64) - low) % (high - low + 1) + low


@dtypes
@pytest.mark.parametrize("count", [0, 1, 3, 8, 17])
def test_buffers_hold_what_they_are_given(dtype, count):
    x = numbers(dtype, (count,))
    data = to_device_layout(x, dtype.name)
    assert data.nbytes == -(-count * dtype.bits // 32) * 4
    np.testing.assert_array_equal(
        from_device_layout(bytearray(data.tobytes()), x.shape, dtype.name), x
    )


def test_the_first_element_has_the_lowest_bits():
    assert to_device_layout(np.array([1, 2, -1], np.int8), "i4").tolist() == [0x21, 0x0F, 0, 0]
    assert ELEMENT_BITS["i4"] == 4 and NUMPY_DTYPES["u4"] == np.uint8


@devices
@dtypes
def test_computed_in_32_bits_and_wrapped(dtype, device):
    def function(x):
        wide = x.astype(sw.int32) * 3 + 5
        return wide, wide.astype(dtype)

    both = sw.jit(function, device=device)
    for shape in SHAPES:
        x = numbers(dtype, shape)
        wide, narrow = both(sw.asarray(x, dtype))
        assert narrow.dtype is dtype and narrow.shape == shape
        np.testing.assert_array_equal(wide.numpy(), x.astype(np.int32) * 3 + 5)
        np.testing.assert_array_equal(narrow.numpy(), wrapped(x.astype(np.int64) * 3 + 5, dtype))


@devices
@dtypes
def test_floats_saturate(dtype, device):
    low, high = dtype.limits
    x = np.array([low - 9.5, low - 0.5, -0.9, 0.9, 1.5, high + 0.5, 1e30, -1e30], np.float32)
    result = sw.jit(lambda x: x.astype(dtype), device=device)(x)
    np.testing.assert_array_equal(result.numpy(), np.clip(np.trunc(x), low, high))


@devices
@dtypes
def test_moving_keeps_the_dtype(dtype, device):
    moves = {
        "transpose": (lambda m, x: x.T, (37, 29)),
        "slice": (lambda m, x: x[1:, ::2], (9, 13)),
        "flip": (lambda m, x: m.flip(x, axis=1), (9, 13)),
        "join": (lambda m, x: m.concat([x, x], axis=1), (9, 13)),
        "reshape": (lambda m, x: x.reshape((13, 9)), (9, 13)),
        "take": (lambda m, x: m.take(x, np.array([2, 0, 2], np.int32), axis=0), (9, 13)),
    }
    for name, (move, shape) in moves.items():
        x = numbers(dtype, shape, len(name))
        result = sw.jit(lambda x, move=move: move(sw, x), device=device)(sw.asarray(x, dtype))
        expected = np.concatenate([x, x], axis=1) if name == "join" else move(np, x)
        assert result.dtype is dtype, name
        np.testing.assert_array_equal(result.numpy(), expected, err_msg=name)


@dtypes
def test_results_that_many_kinds_of_kernels_store(dtype):
    """Reductions and products store single elements: threads share words."""
    x = np.random.default_rng(0).standard_normal((33, 70)).astype(np.float32)

    @sw.jit
    def function(x):
        rows = (x.sum(axis=1) * 4).astype(dtype)
        columns = (x.max(axis=0) * 3).astype(dtype)
        product = ((x @ x.T) / 3).astype(dtype)
        return rows, columns, product

    low, high = dtype.limits
    wide = x.astype(np.float64)
    expected = (wide.sum(1) * 4, wide.max(0) * 3, wide @ wide.T / 3)
    for found, exact in zip(function(x), expected, strict=True):
        near = np.abs(exact - np.round(exact)) > 1e-4
        np.testing.assert_array_equal(
            found.numpy()[near], np.clip(np.trunc(exact), low, high)[near]
        )


@dtypes
@pytest.mark.parametrize("shape", [(5, 7), (8, 12)])
def test_donated_arrays_are_overwritten(dtype, shape):
    x = numbers(dtype, shape)
    step = sw.jit(lambda x: (x.astype(sw.int32) + 1).astype(dtype), donate_argnums=0)
    held = sw.asarray(x, dtype)
    program = step.lower(held).program
    assert program.inputs[0].donated
    for _ in range(3):
        held = step(held)
    np.testing.assert_array_equal(held.numpy(), wrapped(x.astype(np.int64) + 3, dtype))


@dtypes
def test_constants_are_stored(dtype):
    low, high = dtype.limits
    for shape in ((1,), (7,), (8,)):
        ones = sw.jit(lambda shape=shape: (sw.full(shape, low, dtype=dtype), sw.full(shape, high)))
        first, _ = ones()
        assert first.dtype is dtype and (first.numpy() == low).all()
    for value in (low, high, 1):
        step = sw.jit(lambda x, value=value: sw.where(x > 0, sw.full((), value, dtype=dtype), 1))
        assert step(np.array([1.0, -1.0], np.float32)).tolist() == [value, 1]


def test_arithmetic_is_in_32_bits():
    x = np.array([100, -100, 7], np.int8)
    a = sw.asarray(x)
    assert a.dtype is sw.int8 and a.nbytes == 3
    assert (a + a).dtype is sw.int32 and (a + a).tolist() == [200, -200, 14]
    assert (a * 2).dtype is sw.int32 and (a * 0.5).dtype is sw.float32
    assert a.sum().dtype is sw.int32 and int(a.max()) == 100
    assert sw.where(a > 0, a, 0).dtype is sw.int8
    assert sw.where(a > 0, a, sw.asarray([1, 2, 3])).dtype is sw.int32
    assert sw.argmax(a).item() == 0
    with pytest.raises(OverflowError, match="300 do not fit uint8"):
        sw.asarray(np.array([0, 300]), sw.uint8)
    with pytest.raises(sw_errors(), match="200 does not fit i8"):
        sw.full((3,), 200, dtype=sw.int8)


def test_what_moves_or_bounds_keeps_the_dtype():
    x = sw.asarray(np.array([[-7, 3], [5, 1]]), "i4")
    for found in (sw.trunc(x), sw.positive(x), sw.clip(x, -2, 4)):
        assert found.dtype is sw.int4
    assert sw.clip(x, -2, 4).tolist() == [[-2, 3], [4, 1]]
    assert sw.clip(np.array([True, False]), True).tolist() == [True, True]


@pytest.mark.parametrize("dtype", ["i8", "u4", "bool"])
def test_sums_at_positions_are_in_32_bits(dtype):
    x, updates = sw.ones((2, 3), dtype=dtype), sw.ones((4, 3), dtype=dtype)
    found = sw.scatter_add(x, np.array([1, 1, 0, 1], np.int32), updates)
    np.testing.assert_array_equal(found, np.int32([[2] * 3, [4] * 3]), strict=True)


@pytest.mark.parametrize(("reduction", "result"), [("add", 9), ("mul", 18), ("max", 6), ("min", 3)])
def test_combined_at_positions_in_32_bits(reduction, result):
    x, updates = sw.asarray(np.array([3, 3, 3]), "u4"), sw.asarray(np.array([6]), "u4")
    at = np.array([1], np.int32)
    for found in (
        sw.scatter_elements(x, at, updates, reduction=reduction),
        sw.scatter_nd(x, at[:, None], updates, reduction=reduction),
    ):
        np.testing.assert_array_equal(found, np.int32([3, result, 3]), strict=True)


def test_narrow_positions_and_factors():
    table = sw.asarray(np.arange(12, dtype=np.int32).reshape(4, 3))
    rows = sw.asarray(np.array([3, 0], np.uint8))
    assert sw.take(table, rows, axis=0).tolist() == [[9, 10, 11], [0, 1, 2]]
    assert table[rows].tolist() == [[9, 10, 11], [0, 1, 2]]
    assert sw.one_hot(rows, 4).tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]
    assert sw.nn.Embedding(4, 2)(rows).shape == (2, 2)
    x = sw.asarray(np.array([[100, -100], [3, 4]], np.int8))
    for product in (x @ x, sw.tensordot(x, x, axes=1), sw.einsum("ij,jk->ik", x, x)):
        assert product.dtype is sw.int32
        assert product.tolist() == [[9700, -10400], [312, -284]]


def sw_errors():
    from stepwell.dialects.errors import DTypeError

    return DTypeError


@devices
def test_made_of_nothing(device):
    made = sw.jit(
        lambda: (sw.arange(200, dtype=sw.int8), sw.eye(3, dtype=sw.uint4), sw.zeros(5, dtype="i2")),
        device=device,
    )()
    assert [array.dtype for array in made] == [sw.int8, sw.uint4, sw.int2]
    np.testing.assert_array_equal(made[0].numpy(), np.arange(200).astype(np.int8))
    np.testing.assert_array_equal(made[1].numpy(), np.eye(3))


def test_dtypes_by_name():
    assert repr(sw.int4) == "stepwell.int4" and str(sw.uint8) == "u8"
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.array([-8, 7, 3], ml_dtypes.int4)
    assert sw.asarray(x).dtype is sw.int4
    assert sw.asarray(x).tolist() == [-8, 7, 3]
    assert sw.jit(lambda x: x.astype(sw.int32))(x).tolist() == [-8, 7, 3]


def test_the_memory_they_take():
    x = sw.asarray(numbers(sw.int4, (64, 64)), sw.int4)
    program = sw.jit(lambda x: x.astype(sw.float32)).lower(x).program
    assert program.buffers[program.inputs[0].buffer].bytes == 2048
    (kernel,) = program.kernels.values()
    assert kernel.bytes == 2048 + 64 * 64 * 4


def test_saved_with_the_program(tmp_path):
    weight = numbers(sw.int4, (40, 24))
    layer = sw.nn.Linear(3, 3)
    layer.register_buffer("packed", sw.asarray(weight, sw.int4))
    compiled = sw.jit(lambda x: x @ layer.packed.astype(sw.float32)).lower(
        np.zeros((3, 40), np.float32)
    )
    x = np.random.default_rng(1).standard_normal((3, 40)).astype(np.float32)
    path = tmp_path / "program.safetensors"
    sw.save(compiled, path)
    np.testing.assert_allclose(sw.load(path)(x).numpy(), x @ weight, rtol=1e-5, atol=1e-4)
    assert layer.state_dict()["packed"].dtype is sw.int4


@dtypes
def test_every_stage_means_the_same(dtype):
    from stepwell.backends.compiler import parse
    from stepwell.backends.reference import run
    from stepwell.passes.pipeline import lower

    x = numbers(dtype, (9, 13))
    shared = np.random.default_rng(0).standard_normal((13, 5)).astype(np.float32)

    def function(x, y):
        moved = (x.astype(sw.int32) + 2).astype(dtype)
        return moved.T, (moved.astype(sw.float32) @ y).astype(dtype), x.astype(sw.float32) @ y

    specs = (sw.spec(x.shape, dtype), sw.spec(shared.shape))
    text = sw.compile(function, *specs).ir("array")
    expected = run(parse(text), "main", [x, shared])
    for stage in STAGES:
        found = run(lower(parse(text), to=stage), "main", [x, shared])
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.dtype == theirs.dtype, stage
            if ours.dtype.kind == "f":
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4, err_msg=stage)
            else:
                np.testing.assert_array_equal(ours, theirs, err_msg=stage)
