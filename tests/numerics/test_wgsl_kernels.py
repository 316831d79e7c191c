"""Kernels at the `tiled` stage, through convert-kernels-to-wgsl, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import shaders
from tiled import kernel, lower, run

from stepwell.dialects.wgsl import print_shader

rng = np.random.default_rng(7)


def floats(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def test_map_of_vectors():
    x, y = floats(256), np.zeros(256, np.float32)
    body = """
  %t = gpu.thread_id x
  %four = arith.constant 4 : index
  %i = arith.muli %t, %four : index
  %v = vector.load %x[%i] : memref<256xf32>, vector<4xf32>
  %two = arith.constant dense<2.0> : vector<4xf32>
  %m = arith.mulf %v, %two : vector<4xf32>
  %s = math.absf %m : vector<4xf32>
  vector.store %s, %y[%i] : memref<256xf32>, vector<4xf32>"""
    out = run(kernel("%x: memref<256xf32>, %y: memref<256xf32>", body), x, y)[1]
    np.testing.assert_array_equal(out, np.abs(2 * x))


def test_scalar_and_vector_accesses_of_one_buffer():
    """A buffer declared as vectors, read and written by components and as a whole."""
    x, y = floats(64), np.zeros(64, np.float32)
    body = """
  %t = gpu.thread_id x
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %base = arith.muli %t, %c4 : index
  %v = vector.load %x[%base] : memref<64xf32>, vector<4xf32>
  %next = arith.addi %base, %c1 : index
  %s = memref.load %x[%next] : memref<64xf32>
  %sv = vector.broadcast %s : f32 to vector<4xf32>
  %sum = arith.addf %v, %sv : vector<4xf32>
  vector.store %sum, %y[%base] : memref<64xf32>, vector<4xf32>
  memref.store %s, %y[%t] : memref<64xf32>"""
    out = run(kernel("%x: memref<64xf32>, %y: memref<64xf32>", body, workgroup=1), x, y)[1]
    expected = np.zeros(64, np.float32)
    expected[:4] = x[:4] + x[1]
    expected[0] = x[1]
    np.testing.assert_array_equal(out, expected)


def test_vector_access_of_a_length_that_is_no_multiple():
    x, y = floats(7), np.zeros(7, np.float32)
    body = """
  %c1 = arith.constant 1 : index
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %v = vector.load %x[%c0] : memref<7xf32>, vector<4xf32>
  vector.store %v, %y[%c0] : memref<7xf32>, vector<4xf32>
  %s = memref.load %x[%c4] : memref<7xf32>
  memref.store %s, %y[%c4] : memref<7xf32>"""
    out = run(kernel("%x: memref<7xf32>, %y: memref<7xf32>", body, workgroup=1), x, y)[1]
    np.testing.assert_array_equal(out, np.r_[x[:5], 0, 0])


@pytest.mark.parametrize("elements", [1 << 28, (1 << 28) + 4])
def test_arrays_as_large_as_naga_allows_and_larger(elements: int):
    """Only validated: few machines have the memory."""
    memory = f"memref<{elements}xf32>"
    body = f"""
  %t = gpu.thread_id x
  %c4 = arith.constant 4 : index
  %i = arith.muli %t, %c4 : index
  %v = vector.load %x[%i] : {memory}, vector<4xf32>
  vector.store %v, %y[%i] : {memory}, vector<4xf32>"""
    shaders.validate_naga(print_shader(lower(kernel(f"%x: {memory}, %y: {memory}", body))))


def test_workgroup_reduction():
    """A strided loop, workgroup memory, a tree with barriers in a loop, a result of an if."""
    x, y = floats(4 * 1000), np.zeros(4, np.float32)
    body = """
  %row = gpu.block_id x
  %t = gpu.thread_id x
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %n = arith.constant 1000 : index
  %threads = gpu.block_dim x
  %half = arith.divui %threads, %c2 : index
  %zero = arith.constant 0.0 : f32
  %base = arith.muli %row, %n : index
  %part = scf.for %k = %t to %n step %threads iter_args(%acc = %zero) -> (f32) {
    %i = arith.addi %base, %k : index
    %v = memref.load %x[%i] : memref<4000xf32>
    %next = arith.addf %acc, %v : f32
    scf.yield %next : f32
  }
  %tile = memref.alloca() : memref<64xf32, #kernel.workgroup>
  memref.store %part, %tile[%t] : memref<64xf32, #kernel.workgroup>
  gpu.barrier
  %six = arith.constant 6 : index
  %last = scf.for %step = %c0 to %six step %c1 iter_args(%width = %half) -> (index) {
    %active = arith.cmpi ult, %t, %width : index
    scf.if %active {
      %j = arith.addi %t, %width : index
      %a = memref.load %tile[%t] : memref<64xf32, #kernel.workgroup>
      %b = memref.load %tile[%j] : memref<64xf32, #kernel.workgroup>
      %ab = arith.addf %a, %b : f32
      memref.store %ab, %tile[%t] : memref<64xf32, #kernel.workgroup>
    }
    gpu.barrier
    %narrow = arith.divui %width, %c2 : index
    scf.yield %narrow : index
  }
  %first = arith.cmpi eq, %t, %c0 : index
  scf.if %first {
    %total = memref.load %tile[%c0] : memref<64xf32, #kernel.workgroup>
    memref.store %total, %y[%row] : memref<4xf32>
  }"""
    out = run(kernel("%x: memref<4000xf32>, %y: memref<4xf32>", body, grid=4), x, y)[1]
    np.testing.assert_allclose(out, x.reshape(4, 1000).astype(np.float64).sum(1), rtol=1e-4)


def test_loop_carried_values_swap():
    """Both results of a yield are taken before either is stored."""
    y = np.zeros(2, np.int32)
    body = """
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = arith.constant 10 : index
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %f, %g = scf.for %k = %c0 to %n step %c1 iter_args(%a = %zero, %b = %one) -> (i32, i32) {
    %s = arith.addi %a, %b : i32
    scf.yield %b, %s : i32, i32
  }
  %h, %i = scf.for %k = %c0 to %c1 step %c1 iter_args(%a = %f, %b = %g) -> (i32, i32) {
    scf.yield %b, %a : i32, i32
  }
  memref.store %h, %y[%c0] : memref<2xi32>
  memref.store %i, %y[%c1] : memref<2xi32>"""
    np.testing.assert_array_equal(
        run(kernel("%y: memref<2xi32>", body, workgroup=1), y)[0], [89, 55]
    )


def test_reads_stay_before_stores():
    y = np.array([1.0, 2.0], np.float32)
    body = """
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %a = memref.load %y[%c0] : memref<2xf32>
  %b = memref.load %y[%c1] : memref<2xf32>
  memref.store %b, %y[%c0] : memref<2xf32>
  memref.store %a, %y[%c1] : memref<2xf32>"""
    np.testing.assert_array_equal(run(kernel("%y: memref<2xf32>", body, workgroup=1), y)[0], [2, 1])


def test_while():
    """Collatz steps of each number."""
    x = np.arange(1, 65, dtype=np.int32)
    body = """
  %t = gpu.thread_id x
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %two = arith.constant 2 : i32
  %three = arith.constant 3 : i32
  %x0 = memref.load %x[%t] : memref<64xi32>
  %end, %count = scf.while (%v = %x0, %n = %zero) : (i32, i32) -> (i32, i32) {
    %more = arith.cmpi ne, %v, %one : i32
    scf.condition(%more) %v, %n : i32, i32
  } do {
  ^bb0(%w: i32, %m: i32):
    %bit = arith.remui %w, %two : i32
    %odd = arith.cmpi eq, %bit, %one : i32
    %next = scf.if %odd -> (i32) {
      %tripled = arith.muli %w, %three : i32
      %up = arith.addi %tripled, %one : i32
      scf.yield %up : i32
    } else {
      %down = arith.divui %w, %two : i32
      scf.yield %down : i32
    }
    %m1 = arith.addi %m, %one : i32
    scf.yield %next, %m1 : i32, i32
  }
  memref.store %count, %x[%t] : memref<64xi32>"""

    def steps(n: int) -> int:
        return 0 if n == 1 else 1 + steps(3 * n + 1 if n % 2 else n // 2)

    out = run(kernel("%x: memref<64xi32>", body), x)[0]
    np.testing.assert_array_equal(out, [steps(int(n)) for n in x])


def test_subgroup_reduction():
    x, y = floats(64), np.zeros(64, np.float32)
    body = """
  %t = gpu.thread_id x
  %v = memref.load %x[%t] : memref<64xf32>
  %sum = kernel.subgroup_reduce "add" %v : f32
  %first = kernel.subgroup_broadcast %v, 0 : f32
  %d = arith.subf %sum, %first : f32
  %size = gpu.subgroup_size
  %lane = gpu.lane_id
  %n = arith.index_cast %size : index to i32
  %l = arith.index_cast %lane : index to i32
  %z = arith.cmpi ult, %l, %n : i32
  %r = arith.select %z, %d, %v : f32
  memref.store %r, %y[%t] : memref<64xf32>
  memref.store %n, %s[%t] : memref<64xi32>"""
    text = kernel("%x: memref<64xf32>, %y: memref<64xf32>, %s: memref<64xi32>", body)
    _, out, sizes = run(text, x, y, np.zeros(64, np.int32))
    size = int(sizes[0])
    groups = x.reshape(-1, size)
    expected = np.broadcast_to((groups.sum(1) - groups[:, 0])[:, None], groups.shape)
    np.testing.assert_allclose(out.reshape(-1, size), expected, rtol=1e-4, atol=1e-5)


def test_bool_buffers():
    a = rng.integers(0, 2, 64).astype(np.uint32)
    b = rng.integers(0, 2, 64).astype(np.uint32)
    c = np.full(64, 9, np.uint32)
    body = """
  %t = gpu.thread_id x
  %four = arith.constant 4 : index
  %i = arith.muli %t, %four : index
  %x = vector.load %a[%i] : memref<64xi1>, vector<4xi1>
  %y = vector.load %b[%i] : memref<64xi1>, vector<4xi1>
  %true = arith.constant dense<true> : vector<4xi1>
  %n = arith.xori %x, %true : vector<4xi1>
  %z = arith.ori %n, %y : vector<4xi1>
  vector.store %z, %c[%i] : memref<64xi1>, vector<4xi1>"""
    text = kernel("%a: memref<64xi1>, %b: memref<64xi1>, %c: memref<64xi1>", body, workgroup=16)
    np.testing.assert_array_equal(run(text, a, b, c)[2], (a == 0) | (b != 0))


def test_scalar_bools():
    a, c = np.array([0, 5, 1, 0], np.uint32), np.full(4, 9, np.uint32)
    body = """
  %t = gpu.thread_id x
  %x = memref.load %a[%t] : memref<4xi1>
  %true = arith.constant true
  %n = arith.xori %x, %true : i1
  memref.store %n, %c[%t] : memref<4xi1>"""
    text = kernel("%a: memref<4xi1>, %c: memref<4xi1>", body, workgroup=4)
    np.testing.assert_array_equal(run(text, a, c)[1], [1, 0, 0, 1])


def test_host_scalars():
    y, n = np.zeros(4, np.float32), np.zeros(1, np.int32)
    arguments = (
        "%lr: memref<1xf32> {kernel.scalar = 5 : i32}, "
        "%step: memref<1xi32> {kernel.scalar = 0 : i32}, "
        "%on: memref<1xi1> {kernel.scalar = 2 : i32}, %h: memref<1xf16> {kernel.scalar = 3 : i32}, "
        "%y: memref<4xf32>, %n: memref<1xi32>"
    )
    body = """
  %c0 = arith.constant 0 : index
  %t = gpu.thread_id x
  %a = memref.load %lr[%c0] : memref<1xf32>
  %b = memref.load %on[%c0] : memref<1xi1>
  %c = memref.load %h[%c0] : memref<1xf16>
  %i = memref.load %step[%c0] : memref<1xi32>
  %cf = arith.extf %c : f16 to f32
  %v = arith.select %b, %a, %cf : f32
  %w = arith.addf %v, %cf : f32
  memref.store %w, %y[%t] : memref<4xf32>
  memref.store %i, %n[%c0] : memref<1xi32>"""
    scalars = np.zeros(6, np.uint32)
    scalars[5] = np.float32(0.25).view(np.uint32)
    scalars[0] = np.int32(-7).view(np.uint32)
    scalars[2] = 1
    scalars[3] = int(np.float16(1.5).view(np.uint16)) | 0xABCD0000
    out, steps = run(kernel(arguments, body, workgroup=4), y, n, scalars=scalars)
    np.testing.assert_array_equal(out, [1.75] * 4)
    assert steps[0] == -7


UNSIGNED = {
    "divui": lambda a, b: a // b,
    "remui": lambda a, b: a % b,
    "maxui": np.maximum,
    "minui": np.minimum,
    "shrui": lambda a, b: a >> (b & 31),
    "ceildivui": lambda a, b: -(-a.astype(np.int64) // b),
}
SIGNED = {
    "divsi": lambda a, b: np.trunc(a / b),
    "remsi": np.fmod,
    "maxsi": np.maximum,
    "minsi": np.minimum,
    "shrsi": lambda a, b: a >> (b & 31),
    "addi": lambda a, b: a + b,
    "subi": lambda a, b: a - b,
    "muli": lambda a, b: a * b,
    "andi": lambda a, b: a & b,
    "ori": lambda a, b: a | b,
    "xori": lambda a, b: a ^ b,
    "shli": lambda a, b: a << (b & 31),
}
LHS = np.array([0, 1, 2, 7, -1, -2, -7, 2**31 - 1, -(2**31), 123456789, -987654321, 64], np.int32)
RHS = np.array([1, 3, 5, 2, 3, -1, 4, 7, 3, 1000, 77777, 8], np.int32)


@pytest.mark.parametrize("name", [*UNSIGNED, *SIGNED])
def test_integers(name: str):
    body = f"""
  %t = gpu.thread_id x
  %a = memref.load %x[%t] : memref<12xi32>
  %b = memref.load %y[%t] : memref<12xi32>
  %c = arith.{name} %a, %b : i32
  memref.store %c, %z[%t] : memref<12xi32>"""
    text = kernel("%x: memref<12xi32>, %y: memref<12xi32>, %z: memref<12xi32>", body, workgroup=12)
    out = run(text, LHS, RHS, np.zeros(12, np.int32))[2]
    with np.errstate(over="ignore"):
        if name in UNSIGNED:
            expected = UNSIGNED[name](LHS.view(np.uint32), RHS.view(np.uint32)).astype(np.uint32)
        else:
            expected = SIGNED[name](LHS, RHS).astype(np.int32)
    np.testing.assert_array_equal(out, expected.view(np.int32))


@pytest.mark.parametrize("divisor", [1, 2, 3, 8, -2147483648])
@pytest.mark.parametrize("name", ["divui", "remui"])
def test_division_by_constants(name: str, divisor: int):
    body = f"""
  %t = gpu.thread_id x
  %a = memref.load %x[%t] : memref<12xi32>
  %b = arith.constant {divisor} : i32
  %c = arith.{name} %a, %b : i32
  memref.store %c, %z[%t] : memref<12xi32>"""
    text = kernel("%x: memref<12xi32>, %z: memref<12xi32>", body, workgroup=12)
    out = run(text, LHS, np.zeros(12, np.int32))[1]
    expected = UNSIGNED[name](LHS.view(np.uint32), np.uint32(divisor & 0xFFFFFFFF))
    np.testing.assert_array_equal(out.view(np.uint32), expected)


def test_integer_hazards():
    """Where WGSL rejects constants that at run time are defined: they are made opaque."""
    body = """
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %big = arith.constant 2147483647 : i32
  %low = arith.constant -2147483648 : i32
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %minus = arith.constant -1 : i32
  %far = arith.constant 33 : i32
  %a = arith.addi %big, %one : i32
  %b = arith.divsi %big, %zero : i32
  %c = arith.divsi %low, %minus : i32
  %d = arith.shli %one, %far : i32
  memref.store %a, %y[%c0] : memref<4xi32>
  memref.store %b, %y[%c1] : memref<4xi32>
  memref.store %c, %y[%c2] : memref<4xi32>
  memref.store %d, %y[%c3] : memref<4xi32>"""
    out = run(kernel("%y: memref<4xi32>", body, workgroup=1), np.zeros(4, np.int32))[0]
    np.testing.assert_array_equal(out, [-(2**31), 2**31 - 1, -(2**31), 2])


@pytest.mark.parametrize(
    "predicate", ["slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge", "eq", "ne"]
)
def test_integer_comparison(predicate: str):
    body = f"""
  %t = gpu.thread_id x
  %a = memref.load %x[%t] : memref<12xi32>
  %b = memref.load %y[%t] : memref<12xi32>
  %c = arith.cmpi {predicate}, %a, %b : i32
  memref.store %c, %z[%t] : memref<12xi1>"""
    text = kernel("%x: memref<12xi32>, %y: memref<12xi32>, %z: memref<12xi1>", body, workgroup=12)
    out = run(text, LHS, RHS, np.zeros(12, np.uint32))[2]
    a, b = (LHS.view(np.uint32), RHS.view(np.uint32)) if predicate[0] == "u" else (LHS, RHS)
    name = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}
    compare = {"eq": np.equal, "ne": np.not_equal}.get(predicate) or getattr(
        np, name[predicate[1:]]
    )
    np.testing.assert_array_equal(out, compare(a, b))


def test_difference_of_indices_compared_signed():
    """`t - 5 >= 0` and `max(t - 5, 0)` hold for indices as for integers."""
    body = """
  %t = gpu.thread_id x
  %c0 = arith.constant 0 : index
  %c5 = arith.constant 5 : index
  %d = arith.subi %t, %c5 : index
  %in = arith.cmpi sge, %d, %c0 : index
  %clamped = arith.maxsi %d, %c0 : index
  %i = arith.index_cast %clamped : index to i32
  %minus = arith.constant -1 : i32
  %r = arith.select %in, %i, %minus : i32
  memref.store %r, %y[%t] : memref<8xi32>"""
    out = run(kernel("%y: memref<8xi32>", body, workgroup=8), np.zeros(8, np.int32))[0]
    np.testing.assert_array_equal(out, [-1, -1, -1, -1, -1, 0, 1, 2])


def test_comparison_with_nan():
    x = np.array([np.nan, 1.0, np.nan, 2.0], np.float32)
    y = np.array([1.0, np.nan, np.nan, 1.0], np.float32)
    body = """
  %t = gpu.thread_id x
  %a = memref.load %x[%t] : memref<4xf32>
  %b = memref.load %y[%t] : memref<4xf32>
  %self = arith.cmpf une, %a, %a : f32
  %any = arith.cmpf uno, %a, %b : f32
  memref.store %self, %p[%t] : memref<4xi1>
  memref.store %any, %q[%t] : memref<4xi1>"""
    arguments = "%x: memref<4xf32>, %y: memref<4xf32>, %p: memref<4xi1>, %q: memref<4xi1>"
    zeros = np.zeros(4, np.uint32)
    _, _, p, q = run(kernel(arguments, body, workgroup=4), x, y, zeros, zeros)
    np.testing.assert_array_equal(p, np.isnan(x))
    np.testing.assert_array_equal(q, np.isnan(x) | np.isnan(y))


def test_constants():
    """Every literal arrives bit by bit, NaN and infinities included."""
    values = [0.1, -0.1, 1e-30, 3.4028234663852886e38, 1.17549435e-38, 16777216.0, 1 / 3, -2.5]
    values += [np.inf, -np.inf, np.nan]
    texts = [f"0x{np.float32(value).view(np.uint32):08x}" for value in values]
    lines = []
    for i, text in enumerate(texts):
        lines.append(f"  %i{i} = arith.constant {i} : index")
        lines.append(f"  %v{i} = arith.constant {text} : f32")
        lines.append(f"  memref.store %v{i}, %y[%i{i}] : memref<{len(texts)}xf32>")
    text = kernel(f"%y: memref<{len(texts)}xf32>", "\n".join(lines), workgroup=1)
    out = run(text, np.zeros(len(texts), np.float32))[0]
    np.testing.assert_array_equal(out, np.array(values, np.float32))


def test_private_array_and_vector_parts():
    x, y = floats(8), np.zeros(8, np.float32)
    body = """
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %c5 = arith.constant 5 : index
  %regs = memref.alloca() : memref<8xf32>
  %a = vector.load %x[%c0] : memref<8xf32>, vector<4xf32>
  %s = vector.extract %a[2] : f32 from vector<4xf32>
  %b = vector.insert %s, %a [0] : f32 into vector<4xf32>
  %d = vector.insert %s, %b [3] : f32 into vector<4xf32>
  vector.store %d, %regs[%c4] : memref<8xf32>, vector<4xf32>
  vector.store %a, %regs[%c0] : memref<8xf32>, vector<4xf32>
  %e = memref.load %regs[%c5] : memref<8xf32>
  %f = vector.load %regs[%c4] : memref<8xf32>, vector<4xf32>
  %z = arith.constant 10.0 : f32
  %total = vector.reduction <add>, %f, %z : vector<4xf32> into f32
  %g = kernel.from_elements %e, %total, %e, %s : f32, f32, f32, f32 -> vector<4xf32>
  vector.store %f, %y[%c0] : memref<8xf32>, vector<4xf32>
  vector.store %g, %y[%c4] : memref<8xf32>, vector<4xf32>"""
    out = run(kernel("%x: memref<8xf32>, %y: memref<8xf32>", body, workgroup=1), x, y)[1]
    f = np.array([x[2], x[1], x[2], x[2]])
    np.testing.assert_allclose(out, np.r_[f, x[1], f.sum() + 10, x[1], x[2]], rtol=1e-6)


def test_atomics():
    """A histogram by atomic adds, and the largest value."""
    x, h = rng.integers(0, 8, 64).astype(np.int32), np.zeros(9, np.int32)
    body = """
  %t = gpu.thread_id x
  %c8 = arith.constant 8 : index
  %one = arith.constant 1 : i32
  %v = memref.load %x[%t] : memref<64xi32>
  %bin = arith.index_cast %v : i32 to index
  %old = "memref.atomic_rmw"(%one, %h, %bin) <{kind = 1 : i64}> : (i32, memref<9xi32>, index) -> i32
  %top = "memref.atomic_rmw"(%v, %h, %c8) <{kind = 4 : i64}> : (i32, memref<9xi32>, index) -> i32"""
    out = run(kernel("%x: memref<64xi32>, %h: memref<9xi32>", body), x, h)[1]
    np.testing.assert_array_equal(out, [*np.bincount(x, minlength=8), x.max()])


def test_conversions():
    x = np.array([1.5, -1.5, 3e9, -3e9, 0.0, 1e20, -0.7, 255.9], np.float32)
    body = """
  %t = gpu.thread_id x
  %v = memref.load %x[%t] : memref<8xf32>
  %s = arith.fptosi %v : f32 to i32
  %u = arith.fptoui %v : f32 to i32
  %fs = arith.sitofp %s : i32 to f32
  %fu = arith.uitofp %u : i32 to f32
  memref.store %fs, %p[%t] : memref<8xf32>
  memref.store %fu, %q[%t] : memref<8xf32>"""
    zeros = np.zeros(8, np.float32)
    arguments = "%x: memref<8xf32>, %p: memref<8xf32>, %q: memref<8xf32>"
    _, p, q = run(kernel(arguments, body, workgroup=8), x, zeros, zeros)
    np.testing.assert_allclose(p, np.clip(np.trunc(x), -(2.0**31), 2.0**31), rtol=2e-7)
    np.testing.assert_allclose(q, np.clip(np.trunc(x), 0, 2.0**32), rtol=2e-7)


def test_deep_expressions_are_split():
    """A chain of 2,000 additions is as many short lines as it takes."""
    lines = ["  %c0 = arith.constant 0 : index", "  %v0 = memref.load %y[%c0] : memref<1xf32>"]
    lines += [f"  %v{i + 1} = arith.addf %v{i}, %v0 : f32" for i in range(2000)]
    lines += ["  memref.store %v2000, %y[%c0] : memref<1xf32>"]
    text = kernel("%y: memref<1xf32>", "\n".join(lines), workgroup=1)
    assert run(text, np.ones(1, np.float32))[0][0] == 2001
