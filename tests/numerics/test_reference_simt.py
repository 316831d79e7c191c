"""The reference backend on kernels at the `tiled` stage: results, and what it refuses to hide."""

import numpy as np
import pytest
import tiled
from reference_ir import parse

from stepwell.backends.reference import ExecutionError, ReferenceExecutable, simt

RNG = np.random.default_rng(0)


def launch(types, body, *arguments, workgroup=8, grid=1, subgroup_size=8, attributes=()):
    """All buffers after a launch of the kernel with arguments %0, %1, ... of these types."""
    names = [f"%{index}" for index in range(len(types))]
    labels = dict(attributes)
    kernel = tiled.kernel(
        ", ".join(f"%{i}: {t} {labels.get(i, '')}" for i, t in enumerate(types)),
        body,
        workgroup,
        grid,
    )
    list_ = ", ".join(types)
    values = ", ".join(names)
    pairs = ", ".join(f"{n}: {t}" for n, t in zip(names, types, strict=True))
    host = (
        f"func.func @main({pairs}) -> ({list_}) {{\n"
        f"  kernel.launch @test({values}) : ({list_}) -> ()\n"
        f"  func.return {values} : {list_}\n}}\n"
    )
    module = parse(tiled.generic(kernel) + host)
    return ReferenceExecutable(module, subgroup_size=subgroup_size)(*arguments)


IDS = """
  %t = gpu.thread_id x
  %b = gpu.block_id x
  %size = arith.constant 8 : index
  %start = arith.muli %b, %size : index
  %i = arith.addi %start, %t : index
"""


def zeros(n, dtype=np.float32):
    return np.zeros(n, dtype)


def normal(n):
    return RNG.standard_normal(n).astype(np.float32)


@pytest.mark.parametrize("lanes", [1 << 15, 8], ids=["together", "workgroup by workgroup"])
def test_guarded_map(monkeypatch, lanes):
    monkeypatch.setattr(simt, "_LANES", lanes)
    a = normal(21)
    _, y = launch(
        ["memref<21xf32>", "memref<21xf32>"],
        IDS
        + """
  %n = arith.constant 21 : index
  %inside = arith.cmpi ult, %i, %n : index
  scf.if %inside {
    %x = memref.load %0[%i] : memref<21xf32>
    %e = math.exp %x : f32
    memref.store %e, %1[%i] : memref<21xf32>
  }""",
        a,
        zeros(21),
        grid=3,
    )
    np.testing.assert_array_equal(y, np.exp(a))


def test_vectors():
    a = normal(32)
    _, y = launch(
        ["memref<32xf32>", "memref<32xf32>"],
        """
  %t = gpu.thread_id x
  %four = arith.constant 4 : index
  %i = arith.muli %t, %four : index
  %v = vector.load %0[%i] : memref<32xf32>, vector<4xf32>
  %last = vector.extract %v[3] : f32 from vector<4xf32>
  %spread = vector.broadcast %last : f32 to vector<4xf32>
  %p = arith.mulf %v, %spread : vector<4xf32>
  %one = arith.constant 1.0 : f32
  %w = vector.insert %one, %p[1] : f32 into vector<4xf32>
  vector.store %w, %1[%i] : memref<32xf32>, vector<4xf32>""",
        a,
        zeros(32),
    )
    rows = a.reshape(8, 4)
    expected = rows * rows[:, 3:]
    expected[:, 1] = 1
    np.testing.assert_array_equal(y.reshape(8, 4), expected)


def test_divergent_loop_and_branch():
    """Lane i sums 0, 1, ... i - 1; odd lanes negate."""
    (y,) = launch(
        ["memref<16xi32>"],
        IDS
        + """
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %start_sum = arith.constant 0 : i32
  %sum = scf.for %k = %zero to %i step %one iter_args(%acc = %start_sum) -> (i32) {
    %k32 = arith.index_cast %k : index to i32
    %next = arith.addi %acc, %k32 : i32
    scf.yield %next : i32
  }
  %odd = arith.andi %i, %one : index
  %is_odd = arith.cmpi eq, %odd, %one : index
  %signed = scf.if %is_odd -> (i32) {
    %minus = arith.subi %start_sum, %sum : i32
    scf.yield %minus : i32
  } else {
    scf.yield %sum : i32
  }
  memref.store %signed, %0[%i] : memref<16xi32>""",
        zeros(16, np.int32),
        grid=2,
    )
    expected = [sum(range(i)) * (-1 if i % 2 else 1) for i in range(16)]
    assert y.tolist() == expected


def test_while_counts_each_lane_on_its_own():
    """The number of halvings until i is 0."""
    (y,) = launch(
        ["memref<16xi32>"],
        IDS
        + """
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %start_value = arith.index_cast %i : index to i32
  %n, %end = scf.while (%count = %zero, %v = %start_value) : (i32, i32) -> (i32, i32) {
    %more = arith.cmpi sgt, %v, %zero : i32
    scf.condition(%more) %count, %v : i32, i32
  } do {
  ^bb0(%count: i32, %v: i32):
    %next = arith.addi %count, %one : i32
    %half = arith.shrui %v, %one : i32
    scf.yield %next, %half : i32, i32
  }
  memref.store %n, %0[%i] : memref<16xi32>""",
        zeros(16, np.int32),
        grid=2,
    )
    assert y.tolist() == [i.bit_length() for i in range(16)]


def reverse(barrier):
    """Each workgroup reverses its 8 elements through workgroup memory."""
    return (
        IDS
        + f"""
  %m = memref.alloca() : memref<8xf32, #kernel.workgroup>
  %x = memref.load %0[%i] : memref<16xf32>
  memref.store %x, %m[%t] : memref<8xf32, #kernel.workgroup>
  {barrier}
  %seven = arith.constant 7 : index
  %r = arith.subi %seven, %t : index
  %y = memref.load %m[%r] : memref<8xf32, #kernel.workgroup>
  memref.store %y, %1[%i] : memref<16xf32>"""
    )


TWO = ["memref<16xf32>", "memref<16xf32>"]


def test_workgroup_memory():
    a = normal(16)
    _, y = launch(TWO, reverse("gpu.barrier"), a, zeros(16), grid=2)
    np.testing.assert_array_equal(y.reshape(2, 8), a.reshape(2, 8)[:, ::-1])


def test_a_missing_barrier_is_an_error():
    with pytest.raises(ExecutionError, match=r"memref\.load: reads an element that another lane"):
        launch(TWO, reverse(""), normal(16), zeros(16), grid=2)


def test_overwriting_what_others_still_read_is_an_error():
    body = reverse("gpu.barrier") + "\n  memref.store %y, %m[%t] : memref<8xf32, #kernel.workgroup>"
    with pytest.raises(ExecutionError, match="writes an element that another lane read"):
        launch(TWO, body, normal(16), zeros(16), grid=2)


def test_overwriting_after_a_second_barrier_is_fine():
    store = "  memref.store %y, %m[%t] : memref<8xf32, #kernel.workgroup>"
    launch(TWO, reverse("gpu.barrier") + f"\n  gpu.barrier\n{store}", normal(16), zeros(16), grid=2)


def test_an_element_that_all_lanes_read_may_not_be_overwritten_by_one_of_them():
    body = """
  %t = gpu.thread_id x
  %zero = arith.constant 0 : index
  %x = memref.load %0[%zero] : memref<8xf32>
  %first = arith.cmpi eq, %t, %zero : index
  scf.if %first {
    memref.store %x, %0[%zero] : memref<8xf32>
  }"""
    with pytest.raises(ExecutionError, match="writes an element that another lane read"):
        launch(["memref<8xf32>"], body, normal(8))


def test_several_lanes_writing_one_element_is_an_error():
    body = """
  %zero = arith.constant 0 : index
  %x = arith.constant 1.0 : f32
  memref.store %x, %0[%zero] : memref<8xf32>"""
    with pytest.raises(ExecutionError, match="several lanes write one element"):
        launch(["memref<8xf32>"], body, zeros(8))


@pytest.mark.parametrize("workgroups_at_once", [8, 1 << 15])
def test_a_race_between_workgroups_is_an_error(monkeypatch, workgroups_at_once):
    monkeypatch.setattr(simt, "_LANES", workgroups_at_once)
    body = """
  %t = gpu.thread_id x
  %x = arith.constant 1.0 : f32
  memref.store %x, %0[%t] : memref<8xf32>"""
    with pytest.raises(ExecutionError, match="lane"):
        launch(["memref<8xf32>"], body, zeros(8), grid=2)


def test_updating_in_place_is_no_race():
    a = normal(16)
    (y,) = launch(
        ["memref<16xf32>"],
        IDS
        + """
  %x = memref.load %0[%i] : memref<16xf32>
  %y = arith.addf %x, %x : f32
  memref.store %y, %0[%i] : memref<16xf32>""",
        a,
        grid=2,
    )
    np.testing.assert_array_equal(y, 2 * a)


BARRIER_UNDER = """
  %n = arith.constant {bound} : index
  %inside = arith.cmpi ult, %{id}, %n : index
  scf.if %inside {{
    gpu.barrier
  }}"""


def test_a_barrier_that_some_lanes_miss_is_an_error():
    with pytest.raises(ExecutionError, match="5 of 8 lanes of a workgroup reach the barrier"):
        launch(TWO, IDS + BARRIER_UNDER.format(bound=5, id="t"), normal(16), zeros(16), grid=2)


def test_a_barrier_that_whole_workgroups_miss_is_fine():
    launch(TWO, IDS + BARRIER_UNDER.format(bound=1, id="b"), normal(16), zeros(16), grid=2)


@pytest.mark.parametrize("access", ["load", "store"])
def test_out_of_bounds_is_an_error(access):
    body = {
        "load": "%x = memref.load %0[%i] : memref<12xf32>",
        "store": "%c = arith.constant 0.0 : f32\n memref.store %c, %0[%i] : memref<12xf32>",
    }[access]
    with pytest.raises(ExecutionError, match=rf"memref\.{access}: index 12 is out of bounds of 12"):
        launch(["memref<12xf32>"], IDS + body, zeros(12), grid=2)


def test_misaligned_vectors_are_an_error():
    body = """
  %t = gpu.thread_id x
  %v = vector.load %0[%t] : memref<12xf32>, vector<4xf32>"""
    with pytest.raises(ExecutionError, match="vector of 4 at element 1 is not aligned"):
        launch(["memref<12xf32>"], body, zeros(12))


PADDED = """
  %t = gpu.thread_id x
  %four = arith.constant 4 : index
  %i = arith.muli %t, %four : index
  %v = vector.load %0[%i] : memref<6xf32>, vector<4xf32>
  vector.store %v, %1[%i] : memref<6xf32>, vector<4xf32>"""


def test_vectors_may_reach_into_the_padding_of_a_buffer():
    a = normal(6)
    _, y = launch(["memref<6xf32>"] * 2, PADDED, a, zeros(6), workgroup=2)
    np.testing.assert_array_equal(y, a)


def test_vectors_may_not_reach_beyond_the_padding():
    with pytest.raises(ExecutionError, match="index 8 is out of bounds of 6"):
        launch(["memref<6xf32>"] * 2, PADDED, normal(6), zeros(6), workgroup=3)


def test_workgroup_memory_begins_as_poison():
    (y,) = launch(
        ["memref<8xf32>"],
        """
  %t = gpu.thread_id x
  %m = memref.alloca() : memref<8xf32, #kernel.workgroup>
  %x = memref.load %m[%t] : memref<8xf32, #kernel.workgroup>
  memref.store %x, %0[%t] : memref<8xf32>""",
        zeros(8),
    )
    assert np.isnan(y).all()


def test_private_memory_is_each_lanes_own():
    (y,) = launch(
        ["memref<8xi32>"],
        """
  %t = gpu.thread_id x
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %m = memref.alloca() : memref<2x3xi32>
  %v = arith.index_cast %t : index to i32
  memref.store %v, %m[%one, %zero] : memref<2x3xi32>
  %w = memref.load %m[%one, %zero] : memref<2x3xi32>
  memref.store %w, %0[%t] : memref<8xi32>""",
        zeros(8, np.int32),
    )
    assert y.tolist() == list(range(8))


def test_subgroups():
    a = normal(16)
    _, y, z = launch(
        [*TWO, "memref<16xf32>"],
        """
  %t = gpu.thread_id x
  %x = memref.load %0[%t] : memref<16xf32>
  %s = kernel.subgroup_reduce "max" %x : f32
  memref.store %s, %1[%t] : memref<16xf32>
  %f = kernel.subgroup_broadcast %x, 2 : f32
  memref.store %f, %2[%t] : memref<16xf32>""",
        a,
        zeros(16),
        zeros(16),
        workgroup=16,
        subgroup_size=4,
    )
    groups = a.reshape(4, 4)
    np.testing.assert_array_equal(y, np.repeat(groups.max(1), 4))
    np.testing.assert_array_equal(z, np.repeat(groups[:, 2], 4))


def test_subgroup_operations_need_all_lanes():
    body = """
  %t = gpu.thread_id x
  %n = arith.constant 5 : index
  %inside = arith.cmpi ult, %t, %n : index
  scf.if %inside {
    %x = memref.load %0[%t] : memref<8xf32>
    %s = kernel.subgroup_reduce "add" %x : f32
  }"""
    with pytest.raises(ExecutionError, match="some lanes of a subgroup are inactive"):
        launch(["memref<8xf32>"], body, zeros(8))


def test_atomics_count_all_lanes():
    _, tickets = launch(
        ["memref<1xi32>", "memref<16xi32>"],
        IDS
        + """
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : i32
  %old = "memref.atomic_rmw"(%one, %0, %zero) <{kind = 1 : i64}>
    : (i32, memref<1xi32>, index) -> i32
  memref.store %old, %1[%i] : memref<16xi32>""",
        zeros(1, np.int32),
        zeros(16, np.int32),
        grid=2,
    )
    assert sorted(tickets.tolist()) == list(range(16))


@pytest.mark.parametrize(
    "write",
    [
        "memref.store %x, %0[%zero] : memref<1xi32>",
        '%y = "memref.atomic_rmw"(%x, %0, %zero) <{kind = 1 : i64}>'
        " : (i32, memref<1xi32>, index) -> i32",
    ],
)
def test_host_scalars_are_read_only(write: str):
    body = f"""
  %zero = arith.constant 0 : index
  %x = memref.load %0[%zero] : memref<1xi32>
  {write}"""
    with pytest.raises(ExecutionError, match="writes read-only memory"):
        launch(
            ["memref<1xi32>"],
            body,
            zeros(1, np.int32),
            workgroup=1,
            attributes={0: "{kernel.scalar = 0 : i32}"},
        )


def test_a_buffer_may_not_be_bound_twice_if_it_is_written():
    body = """
  %t = gpu.thread_id x
  %x = memref.load %0[%t] : memref<8xf32>
  memref.store %x, %1[%t] : memref<8xf32>"""
    kernel = tiled.kernel("%0: memref<8xf32>, %1: memref<8xf32>", body, 8)
    host = """
    func.func @main(%a: memref<8xf32>) {
      kernel.launch @test(%a, %a) : (memref<8xf32>, memref<8xf32>) -> ()
      func.return
    }"""
    module = parse(tiled.generic(kernel) + host)
    with pytest.raises(ExecutionError, match="arguments 0 and 1 share memory"):
        ReferenceExecutable(module)(zeros(8))
