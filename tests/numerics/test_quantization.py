"""Quantisation against NumPy, and layers whose weights are packed."""

from __future__ import annotations

import numpy as np
import pytest
from lowering import at_stage, on_device, program_of
from shaders import tint_command, validate_tint
from xdsl.dialects import arith
from xdsl.dialects.builtin import f32

import stepwell as sw
from stepwell import nn
from stepwell.backends.compiler import parse
from stepwell.backends.reference import run
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import DTypeError, ShapeError
from stepwell.passes.pipeline import lower
from stepwell.passes.target import TARGETS

DEVICES = ("reference", None)
devices = pytest.mark.parametrize("device", DEVICES, ids=["reference", "device"])


def floats(*shape, seed=0, scale=3.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def integers(dtype, *shape, seed=0):
    low, high = dtype.limits
    values = np.random.default_rng(seed).integers(low, high + 1, shape)
    return values.astype(dtype.numpy)


def quantized(x, scale, zero_point, dtype):
    low, high = dtype.limits
    return np.clip(np.round(x / scale) + zero_point.astype(np.float32), low, high)


SCALES = [
    ("number", (), 0, {}),
    ("axis", (12,), 0, {"axis": 1}),
    ("first", (7,), 1, {"axis": 0}),
    ("blocks", (7, 3), None, {"axis": 1, "block_size": 4}),
    ("rest", (7, 3), None, {"axis": 1, "block_size": 5}),
    ("rows", (2, 12), None, {"axis": 0, "block_size": 4}),
]


def spread(value, options, shape):
    """A scale for each element, by NumPy."""
    if value.ndim == 0:
        return value
    axis = options["axis"]
    if value.ndim == 1:
        return value.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    each = np.repeat(value, options["block_size"], axis=axis)
    return np.take(each, range(shape[axis]), axis=axis)


@devices
@pytest.mark.parametrize("dtype", [sw.int8, sw.uint8, sw.int16, sw.uint16, sw.int4, sw.uint4])
@pytest.mark.parametrize(("name", "shape", "_", "options"), SCALES, ids=[s[0] for s in SCALES])
def test_there_and_back(dtype, name, shape, _, options, device):
    x = floats(7, 12)
    scale = np.abs(floats(*shape, seed=1)).astype(np.float32) / 10 + 0.01
    zero_point = integers(dtype, *shape, seed=2)
    kept = sw.asarray(zero_point, dtype)
    function = sw.jit(lambda x, s, z: sw.quantize_linear(x, s, z, **options), device=device)
    result = function(x, scale, kept)
    assert result.dtype is dtype
    wide_scale, wide_zero = (spread(np.asarray(v), options, x.shape) for v in (scale, zero_point))
    expected = quantized(x, wide_scale, wide_zero, dtype)
    np.testing.assert_array_equal(result.numpy(), expected)
    back = sw.jit(lambda x, s, z: sw.dequantize_linear(x, s, z, **options), device=device)(
        result, scale, kept
    )
    exact = (expected.astype(np.float32) - wide_zero.astype(np.float32)) * wide_scale
    np.testing.assert_allclose(back.numpy(), exact, rtol=1e-6, atol=1e-6)


def test_halves_go_to_even_and_the_rest_saturates():
    x = np.array([0.5, 1.5, -2.5, 1000, -1000], np.float32)
    assert sw.quantize_linear(x, 1.0, dtype="i8").tolist() == [0, 2, -2, 127, -128]
    assert sw.quantize_linear(x, 1.0).tolist() == [0, 2, 0, 255, 0]
    assert sw.quantize_linear(x, 1.0, dtype=sw.int4).tolist() == [0, 2, -2, 7, -8]
    assert sw.dequantize_linear(np.array([2], np.int8), np.float16(0.5)).dtype is sw.float16


def test_refusals():
    x = floats(7, 12)
    with pytest.raises(ShapeError, match=r"3 scales for axis 1 of \[7, 12\], which has 12"):
        sw.quantize_linear(x, np.ones(3, np.float32))
    with pytest.raises(ShapeError, match=r"they would have the shape \[7, 3\]"):
        sw.quantize_linear(x, np.ones((7, 2), np.float32), block_size=4)
    with pytest.raises(DTypeError, match="the scale is i8, not a float"):
        sw.dequantize_linear(np.zeros(3, np.int8), np.int8(1))
    with pytest.raises(DTypeError, match="f16 is no integer dtype"):
        sw.quantize_linear(x, 1.0, dtype="f16")


def numerators_and_divisors(count):
    """Pairs of f32 whose quotients lie next to halves, next to powers of 2, and anywhere."""
    rng = np.random.default_rng(0)
    divisors = rng.uniform(1, 2, count) * 2.0 ** rng.integers(-20, 20, count)
    divisors = divisors.astype(np.float32) * rng.choice([-1, 1], count).astype(np.float32)
    halves = rng.integers(0, 1 << 16, count) + 0.5
    powers = 2.0 ** rng.integers(-20, 20, count)
    anything = rng.uniform(1, 2, count) * powers
    wanted = np.choose(rng.integers(0, 3, count), [halves, powers, anything])
    exact = (wanted * divisors).astype(np.float32)
    moved = exact.view(np.int32) + rng.integers(-2, 3, count).astype(np.int32)
    edges = np.float32([1, 1, 2**24 - 1, 2**24 - 1, 1 + 2**-23, 3e38, 1e-38, 0])
    others = np.float32([3, 2**24 - 1, 3, 2**24 - 2, 2 - 2**-23, 0.3, 1.5e30, 7])
    return np.append(moved.view(np.float32), edges), np.append(divisors, others)


@pytest.mark.parametrize("error", [-2.5, 0, 2.5])
def test_quotients_are_exact_where_a_division_is_not(error):
    """The formula makes up for a division that is some units in the last place off."""
    x, y = numerators_and_divisors(1 << 14)
    with np.errstate(all="ignore"):
        expected = x / y
    normal = (np.abs(expected) > 1.2e-38) | (x == 0)
    vector = f"tensor<{x.size}xf32>"
    text = f"""func.func @main(%x: {vector}, %y: {vector}) -> {vector} {{
      %r = array.exact_divide %x, %y : ({vector}, {vector}) -> {vector}
      func.return %r : {vector}
    }}"""
    module = lower(parse(text), TARGETS[0], "linalg")
    ratio = next(op for op in module.walk() if isinstance(op, arith.DivfOp))
    emit = Emitter(ratio.parent, before=ratio)
    again = emit(arith.DivfOp(*ratio.operands))
    factor = emit.constant(1 + error * 2**-23, f32)
    moved = emit(arith.MulfOp(again, factor))
    ratio.result.replace_all_uses_with(moved)
    (interpreted,) = run(module, "main", [x, y])
    np.testing.assert_array_equal(interpreted[normal], expected[normal])
    (found,) = on_device(program_of(parse(str(module)), "software"), [x, y])
    np.testing.assert_array_equal(found[normal], expected[normal])


@devices
def test_dynamic(device):
    function = sw.jit(sw.dynamic_quantize_linear, device=device)
    for x in (floats(3, 5), np.abs(floats(9)), -np.abs(floats(4)), np.zeros(3, np.float32)):
        y, scale, zero_point = (value.numpy() for value in function(x))
        low, high = min(x.min(), 0), max(x.max(), 0)
        step = np.float32(high - low) / np.float32(255) or np.float32(1)
        np.testing.assert_allclose(scale, step, rtol=1e-6)
        assert zero_point == np.round(-low / step) and y.dtype == np.uint8
        np.testing.assert_allclose((y - zero_point.astype(np.float32)) * scale, x, atol=step)


@devices
@pytest.mark.parametrize("shape", [(5, 33, 7), (16, 64, 32), (1, 20, 9)])
def test_integer_products(shape, device):
    m, k, n = shape
    a, b = integers(sw.uint8, m, k), integers(sw.int8, k, n, seed=1)
    za, zb = integers(sw.uint8, m, seed=2), integers(sw.int8, n, seed=3)
    product = sw.jit(sw.matmul_integer, device=device)
    wide = a.astype(np.int32), b.astype(np.int32)
    np.testing.assert_array_equal(product(a, b).numpy(), wide[0] @ wide[1])
    found = product(a, b, za, zb)
    assert found.dtype is sw.int32
    np.testing.assert_array_equal(
        found.numpy(), (wide[0] - za[:, None].astype(np.int32)) @ (wide[1] - zb.astype(np.int32))
    )
    scalar = product(a, b, za[0], zb[0])
    np.testing.assert_array_equal(
        scalar.numpy(), (wide[0] - za[0].astype(np.int32)) @ (wide[1] - zb[0].astype(np.int32))
    )


def correlate(x, w, pad):
    """A convolution of int64, by its definition."""
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    kernel = w.shape[2:]
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(2, 3))
    return np.einsum("nchwij,fcij->nfhw", windows, w)


@devices
def test_integer_convolution(device):
    x, w = integers(sw.uint8, 2, 3, 8, 9), integers(sw.int8, 4, 3, 3, 3, seed=1)
    zx, zw = np.uint8(7), integers(sw.int8, 4, seed=2)
    function = sw.jit(lambda *o: sw.conv_integer(*o, padding=1), device=device)
    wide = x.astype(np.int64) - 7, w.astype(np.int64) - zw.astype(np.int64)[:, None, None, None]
    np.testing.assert_array_equal(function(x, w, zx, zw).numpy(), correlate(*wide, 1))


@devices
def test_quantised_products_are_those_of_what_they_stand_for(device):
    x, w = integers(sw.uint8, 2, 3, 8, 9), integers(sw.int8, 4, 3, 3, 3, seed=1)
    sx, sy, zx, zy = np.float32(0.02), np.float32(0.3), np.uint8(120), np.uint8(100)
    sw_, zw = np.abs(floats(4)) / 100 + np.float32(0.001), np.zeros(4, np.int8)
    bias = np.arange(4, dtype=np.int32) * 50 - 100
    function = sw.jit(lambda *o: sw.qlinear_conv(*o, padding=1), device=device)
    y = function(x, sx, zx, w, sw_, zw, sy, zy, bias)
    total = correlate(x.astype(np.int64) - 120, w.astype(np.int64), 1) + bias[:, None, None]
    exact = total * (sx * sw_ / sy).astype(np.float64)[:, None, None] + 100
    assert y.dtype is sw.uint8 and np.abs(y.numpy() - np.clip(exact, 0, 255)).max() <= 0.5001
    a, b = integers(sw.int8, 5, 12), integers(sw.int8, 12, 6, seed=1)
    z = sw.jit(sw.qlinear_matmul, device=device)(
        a, sx, np.int8(3), b, sw_[:1], np.zeros(1, np.int8), sy, np.int8(-5)
    )
    total = (a.astype(np.int64) - 3) @ b.astype(np.int64)
    exact = np.clip(total * np.float64(sx * sw_[0] / sy) - 5, -128, 127)
    assert z.dtype is sw.int8 and np.abs(z.numpy() - exact).max() <= 0.5001


LAYERS = [(8, 0, True), (8, 16, True), (4, 32, True), (4, 32, False), (4, 24, False), (2, 8, True)]


@pytest.mark.parametrize(("bits", "group", "symmetric"), LAYERS)
@pytest.mark.parametrize("rows", [1, 5, 32])
def test_layers_equal_their_dequantised_weights(bits, group, symmetric, rows):
    sw.manual_seed(0)
    layer = nn.Linear(64, 48)
    packed = nn.quantize(layer, bits, group, symmetric)
    assert isinstance(packed, nn.QuantizedLinear) and packed.weight.dtype.bits == bits
    x = floats(rows, 64)
    weight = sw.jit(packed.dequantized)().numpy()
    compiled = sw.jit(packed).lower(x)
    np.testing.assert_allclose(
        compiled(x).numpy(), x @ weight.T + layer.bias.numpy(), rtol=2e-5, atol=2e-5
    )
    # The weight is read by the kernel that multiplies, as it is stored.
    assert len(compiled.program.kernels) == 1
    sizes = [buffer.bytes for buffer in compiled.program.buffers if buffer.kind == "input"]
    assert 64 * 48 * bits // 8 in sizes and max(sizes) < 64 * 48 * 4
    step = packed.scale.numpy().max() * (1 if symmetric else 1.01)
    assert np.abs(weight - layer.weight.numpy()).max() <= step / 2 * 1.001


def test_models_are_quantised_in_place():
    sw.manual_seed(0)
    model = nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 32), nn.Linear(32, 5))
    x = floats(4, 24, scale=1.0)
    exact = sw.jit(model)(x).numpy()
    same = nn.quantize(model, 8, where=lambda path, layer: path != "3")
    assert same is model
    kinds = [type(layer).__name__ for layer in model]
    assert kinds == ["QuantizedLinear", "ReLU", "QuantizedLinear", "Linear"]
    np.testing.assert_allclose(sw.jit(model)(x).numpy(), exact, atol=0.02)
    state = model.state_dict()
    assert state["0.weight"].dtype is sw.int8
    model.load_state_dict(state)


def test_gradients_pass_through_packed_weights():
    sw.manual_seed(0)
    layer = nn.QuantizedLinear.of(nn.Linear(16, 8), 4, 8)
    x = floats(3, 16)
    weight = sw.jit(layer.dequantized)().numpy()
    gradient = sw.grad(lambda x: layer(x).sum())(x)
    np.testing.assert_allclose(gradient.numpy(), np.tile(weight.sum(0), (3, 1)), rtol=1e-5)


def mixed(x, weight, scale, zero_point, columns):
    """Packed operands in every place, packed results of a product, and of a map."""
    wide = sw.dequantize_linear(weight, scale, zero_point, block_size=32)
    product = x @ wide.T
    integers = sw.matmul_integer((x * 10).astype(sw.int8), columns)
    return product, integers, (product / 50).astype(sw.int8), sw.quantize_linear(x, 0.1, dtype="u4")


@pytest.mark.parametrize("target", [target.name for target in TARGETS])
@pytest.mark.parametrize(("rows", "depth", "columns"), [(1, 96, 37), (5, 128, 96), (70, 96, 37)])
def test_every_schedule_reads_and_writes_what_is_packed(target, rows, depth, columns):
    groups = -(-depth // 32)
    arrays = [
        floats(rows, depth),
        integers(sw.uint4, columns, depth),
        np.abs(floats(columns, groups, seed=1)),
        integers(sw.uint4, columns, groups, seed=2),
        integers(sw.int8, depth, columns, seed=3),
    ]
    dtypes = ("f32", "u4", "f32", "u4", "i8")
    specs = [sw.spec(array.shape, d) for array, d in zip(arrays, dtypes, strict=True)]
    text = sw.compile(mixed, *specs).ir("array")
    expected = run(parse(text), "main", arrays)
    program = program_of(parse(text), target)
    if tint_command() is not None:
        validate_tint([kernel.wgsl for kernel in program.kernels.values()])
    # The interpreter also finds races and accesses out of bounds.
    for results in (at_stage(parse(text), target, "tiled", arrays), on_device(program, arrays)):
        for number, (found, exact) in enumerate(zip(results, expected, strict=True)):
            assert found.dtype == exact.dtype
            # Where the product falls next to a whole number, it may be truncated to either.
            tolerance = {0: 1e-3, 2: 1}.get(number, 0)
            np.testing.assert_allclose(found, exact, rtol=1e-4, atol=tolerance)
