"""The reference backend on `linalg`, `tensor`, `arith` and `math`: IR by hand against NumPy."""

import numpy as np
import pytest
from reference_ir import parse

from stepwell.backends.reference import ExecutionError, linalg, run

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.fixture(params=[None, 7], ids=["one block", "small blocks"])
def blocks(request, monkeypatch):
    """Run with the whole iteration space at once, and with blocks of a few points."""
    if request.param:
        monkeypatch.setattr(linalg, "BLOCK_POINTS", request.param)


@pytest.mark.usefixtures("blocks")
def test_map_with_broadcast_and_transposed_inputs():
    module = parse("""
    func.func @main(%a: tensor<5x4xf32>, %b: tensor<5xf32>) -> tensor<4x5xf32> {
      %e = tensor.empty() : tensor<4x5xf32>
      %0 = linalg.generic {
        indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d1)>,
                         affine_map<(d0, d1) -> (d0, d1)>],
        iterator_types = ["parallel", "parallel"]}
        ins(%a, %b : tensor<5x4xf32>, tensor<5xf32>) outs(%e : tensor<4x5xf32>) {
      ^bb0(%x: f32, %y: f32, %o: f32):
        %s = arith.subf %x, %y : f32
        %t = math.tanh %s : f32
        linalg.yield %t : f32
      } -> tensor<4x5xf32>
      func.return %0 : tensor<4x5xf32>
    }""")
    a, b = normal(5, 4), normal(5)
    np.testing.assert_array_equal(run(module, "main", [a, b])[0], np.tanh(a.T - b))


def view(source, operand, result):
    rank = len(result)
    dims = ", ".join(f"d{i}" for i in range(rank))

    def type_(shape):
        return f"tensor<{'x'.join(map(str, [*shape, 'f32']))}>"

    return parse(f"""
    func.func @main(%a: {type_(operand)}) -> {type_(result)} {{
      %e = tensor.empty() : {type_(result)}
      %0 = linalg.generic {{
        indexing_maps = [affine_map<({dims}) -> ({source})>, affine_map<({dims}) -> ({dims})>],
        iterator_types = [{", ".join(['"parallel"'] * rank)}]}}
        ins(%a : {type_(operand)}) outs(%e : {type_(result)}) {{
      ^bb0(%x: f32, %o: f32):
        linalg.yield %x : f32
      }} -> {type_(result)}
      func.return %0 : {type_(result)}
    }}""")


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize(
    ("source", "operand", "result", "expected"),
    [
        ("d0 floordiv 4, d0 mod 4", (3, 4), (12,), lambda a: a.reshape(12)),
        ("d0 * 4 + d1", (12,), (3, 4), lambda a: a.reshape(3, 4)),
        ("d1, d0", (3, 4), (4, 3), lambda a: a.T),
        ("d1 * 2 + 1, d0", (7, 4), (4, 3), lambda a: a[1:7:2].T),
        ("d0 * -1 + 4", (5,), (5,), lambda a: a[::-1]),
        ("0, d1", (1, 3), (2, 3), lambda a: np.broadcast_to(a, (2, 3))),
        ("d0 mod 6, d1", (6, 2), (4, 2), lambda a: a[:4]),
        ("(d0 + 1) mod 5", (5,), (5,), lambda a: np.roll(a, -1)),
        ("", (), (2, 3), lambda a: np.broadcast_to(a, (2, 3))),
        ("d0, d0", (3, 3), (3,), np.diagonal),
    ],
)
def test_views(source, operand, result, expected):
    module = view(source, operand, result)
    a = normal(*operand)
    np.testing.assert_array_equal(run(module, "main", [a])[0], expected(a))


def reduction(combine, identity, element="f32", body="", value="%x"):
    return parse(f"""
    func.func @main(%a: tensor<3x5x4x{element}>) -> tensor<5x{element}> {{
      %c = arith.constant {identity} : {element}
      %e = tensor.empty() : tensor<5x{element}>
      %f = linalg.fill ins(%c : {element}) outs(%e : tensor<5x{element}>) -> tensor<5x{element}>
      %0 = linalg.generic {{
        indexing_maps = [affine_map<(d0, d1, d2) -> (d1, d0, d2)>,
                         affine_map<(d0, d1, d2) -> (d0)>],
        iterator_types = ["parallel", "reduction", "reduction"]}}
        ins(%a : tensor<3x5x4x{element}>) outs(%f : tensor<5x{element}>) {{
      ^bb0(%x: {element}, %acc: {element}):
        {body}
        %s = {combine} %acc, {value} : {element}
        linalg.yield %s : {element}
      }} -> tensor<5x{element}>
      func.return %0 : tensor<5x{element}>
    }}""")


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize(
    ("combine", "identity", "expected"),
    [
        ("arith.addf", "0.0", np.sum),
        ("arith.mulf", "1.0", np.prod),
        ("arith.maximumf", "0xff800000", np.max),
        ("arith.minimumf", "0x7f800000", np.min),
        # An accumulation that is not associative runs in order.
        ("arith.subf", "0.0", lambda a, axis: -np.sum(a, axis)),
    ],
)
def test_float_reductions(combine, identity, expected):
    a = normal(3, 5, 4)
    (result,) = run(reduction(combine, identity), "main", [a])
    np.testing.assert_allclose(result, expected(a.astype(np.float64), axis=(0, 2)), rtol=1e-5)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize(
    ("combine", "identity", "expected"),
    [
        ("arith.addi", 0, lambda a: a.sum((0, 2), dtype=np.int32)),
        ("arith.maxsi", -(2**31), lambda a: a.max((0, 2))),
        ("arith.maxui", 0, lambda a: a.view(np.uint32).max((0, 2)).view(np.int32)),
        ("arith.minui", -1, lambda a: a.view(np.uint32).min((0, 2)).view(np.int32)),
        ("arith.ori", 0, lambda a: np.bitwise_or.reduce(a, (0, 2))),
    ],
)
def test_integer_reductions(combine, identity, expected):
    a = RNG.integers(-(2**31), 2**31, (3, 5, 4), dtype=np.int32)
    (result,) = run(reduction(combine, identity, "i32"), "main", [a])
    np.testing.assert_array_equal(result, expected(a))


def test_a_reduction_of_what_varies_along_no_reduced_axis_counts_its_points():
    module = reduction("arith.addf", "0.0", body="%one = arith.constant 1.0 : f32", value="%one")
    assert run(module, "main", [normal(3, 5, 4)])[0].tolist() == [12.0] * 5


def test_long_sums_are_pairwise():
    module = parse("""
    func.func @main(%a: tensor<1000000x2xf32>) -> tensor<2xf32> {
      %c = arith.constant 0.0 : f32
      %e = tensor.empty() : tensor<2xf32>
      %f = linalg.fill ins(%c : f32) outs(%e : tensor<2xf32>) -> tensor<2xf32>
      %0 = linalg.generic {
        indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d0)>],
        iterator_types = ["parallel", "reduction"]}
        ins(%a : tensor<1000000x2xf32>) outs(%f : tensor<2xf32>) {
      ^bb0(%x: f32, %acc: f32):
        %s = arith.addf %acc, %x : f32
        linalg.yield %s : f32
      } -> tensor<2xf32>
      func.return %0 : tensor<2xf32>
    }""")
    a = RNG.random((1_000_000, 2)).astype(np.float32)
    (result,) = run(module, "main", [a])
    np.testing.assert_allclose(result, a.astype(np.float64).sum(0), rtol=1e-6)


@pytest.mark.parametrize("element", ["f32", "f16"])
def test_batched_contraction_with_transposed_operand(element):
    widen = (
        ("%xe = arith.extf %x : f16 to f32", "%ye = arith.extf %y : f16 to f32", "%xe, %ye")
        if element == "f16"
        else ("", "", "%x, %y")
    )
    module = parse(f"""
    func.func @main(%a: tensor<2x3x5x{element}>, %b: tensor<4x2x5x{element}>)
        -> tensor<2x3x4xf32> {{
      %c = arith.constant 1.0 : f32
      %e = tensor.empty() : tensor<2x3x4xf32>
      %f = linalg.fill ins(%c : f32) outs(%e : tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
      %0 = linalg.generic {{
        indexing_maps = [affine_map<(b, m, n, k) -> (b, m, k)>,
                         affine_map<(b, m, n, k) -> (n, b, k)>,
                         affine_map<(b, m, n, k) -> (b, m, n)>],
        iterator_types = ["parallel", "parallel", "parallel", "reduction"]}}
        ins(%a, %b : tensor<2x3x5x{element}>, tensor<4x2x5x{element}>)
        outs(%f : tensor<2x3x4xf32>) {{
      ^bb0(%x: {element}, %y: {element}, %acc: f32):
        {widen[0]}
        {widen[1]}
        %p = arith.mulf {widen[2]} : f32
        %s = arith.addf %acc, %p : f32
        linalg.yield %s : f32
      }} -> tensor<2x3x4xf32>
      func.return %0 : tensor<2x3x4xf32>
    }}""")
    dtype = np.float16 if element == "f16" else np.float32
    a, b = normal(2, 3, 5).astype(dtype), normal(4, 2, 5).astype(dtype)
    expected = 1 + np.einsum("bmk,nbk->bmn", a.astype(np.float64), b.astype(np.float64))
    np.testing.assert_allclose(run(module, "main", [a, b])[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("blocks")
def test_convolution_goes_block_by_block():
    module = parse("""
    func.func @main(%a: tensor<8xf32>, %w: tensor<3xf32>) -> tensor<6xf32> {
      %c = arith.constant 0.0 : f32
      %e = tensor.empty() : tensor<6xf32>
      %f = linalg.fill ins(%c : f32) outs(%e : tensor<6xf32>) -> tensor<6xf32>
      %0 = linalg.generic {
        indexing_maps = [affine_map<(d0, d1) -> (d0 + d1)>, affine_map<(d0, d1) -> (d1)>,
                         affine_map<(d0, d1) -> (d0)>],
        iterator_types = ["parallel", "reduction"]}
        ins(%a, %w : tensor<8xf32>, tensor<3xf32>) outs(%f : tensor<6xf32>) {
      ^bb0(%x: f32, %y: f32, %acc: f32):
        %p = arith.mulf %x, %y : f32
        %s = arith.addf %p, %acc : f32
        linalg.yield %s : f32
      } -> tensor<6xf32>
      func.return %0 : tensor<6xf32>
    }""")
    a, w = normal(8), normal(3)
    expected = np.correlate(a.astype(np.float64), w)
    np.testing.assert_allclose(run(module, "main", [a, w])[0], expected, rtol=1e-5, atol=1e-6)


GATHER = """
func.func @main(%a: tensor<5x3xf32>, %i: tensor<4xi32>) -> tensor<4x3xf32> {
  %e = tensor.empty() : tensor<4x3xf32>
  %0 = linalg.generic {
    indexing_maps = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>],
    iterator_types = ["parallel", "parallel"]}
    ins(%i : tensor<4xi32>) outs(%e : tensor<4x3xf32>) {
  ^bb0(%x: i32, %o: f32):
    %r = arith.index_cast %x : i32 to index
    %c = linalg.index 1 : index
    %v = tensor.extract %a[%r, %c] : tensor<5x3xf32>
    linalg.yield %v : f32
  } -> tensor<4x3xf32>
  func.return %0 : tensor<4x3xf32>
}
"""


@pytest.mark.usefixtures("blocks")
def test_gather():
    a, i = normal(5, 3), np.array([4, 0, 0, 2], np.int32)
    np.testing.assert_array_equal(run(parse(GATHER), "main", [a, i])[0], a[i])


@pytest.mark.parametrize("wrong", [5, -1])
def test_gather_out_of_bounds_is_an_error(wrong):
    with pytest.raises(ExecutionError, match=rf"extract: out of bounds.* index {wrong} of 5"):
        run(parse(GATHER), "main", [normal(5, 3), np.array([0, wrong, 1, 1], np.int32)])


def test_a_tensor_that_nobody_wrote_is_nan():
    module = parse("""
    func.func @main() -> tensor<3xf32> {
      %e = tensor.empty() : tensor<3xf32>
      func.return %e : tensor<3xf32>
    }""")
    assert np.isnan(run(module)[0]).all()


def test_unsigned_dtype_at_the_boundary():
    module = parse("""
    func.func @main(%a: tensor<2xi32> {stepwell.dtype = "u32"})
        -> (tensor<2xi32> {stepwell.dtype = "u32"}) {
      %c = arith.constant dense<[3, 5]> : tensor<2xi32>
      %0 = arith.divui %a, %c : tensor<2xi32>
      func.return %0 : tensor<2xi32>
    }""")
    (result,) = run(module, "main", [np.array([0xFFFFFFFF, 0x80000000], np.uint32)])
    assert result.dtype == np.uint32
    assert result.tolist() == [0xFFFFFFFF // 3, 0x80000000 // 5]


LOW = -(2**31)


@pytest.mark.parametrize(
    ("op", "lhs", "rhs", "expected"),
    [
        (
            "arith.divsi",
            [7, -7, 7, LOW, LOW, 5],
            [2, 2, -2, -1, 2, 0],
            [3, -3, -3, LOW, -(2**30), 5],
        ),
        ("arith.remsi", [7, -7, 7, LOW, -9, 5], [2, 2, -2, -1, 5, 0], [1, -1, 1, 0, -4, 0]),
        ("arith.divui", [-1, 7, 9], [2, 0, 2], [2**31 - 1, 7, 4]),
        ("arith.remui", [-1, 7, 9], [10, 0, 2], [5, 0, 1]),
        ("arith.shli", [1, 1, 3], [31, 32, 33], [LOW, 1, 6]),
        ("arith.shrsi", [-8, -8], [1, 33], [-4, -4]),
        ("arith.shrui", [-8, -1], [1, 32], [2**31 - 4, -1]),
        ("arith.addi", [2**31 - 1], [1], [LOW]),
        ("arith.muli", [2**30, 3], [4, -5], [0, -15]),
        ("arith.maxui", [-1, 2], [1, 3], [-1, 3]),
        ("arith.minui", [-1, 2], [1, 3], [1, 2]),
        ("arith.floordivsi", [-7, 7], [2, 2], [-4, 3]),
        ("arith.ceildivsi", [-7, 7], [2, 2], [-3, 4]),
        ("arith.ceildivui", [7, 8], [4, 4], [2, 2]),
    ],
)
def test_integers_follow_wgsl(op, lhs, rhs, expected):
    n = len(lhs)
    module = parse(f"""
    func.func @main(%a: tensor<{n}xi32>, %b: tensor<{n}xi32>) -> tensor<{n}xi32> {{
      %0 = {op} %a, %b : tensor<{n}xi32>
      func.return %0 : tensor<{n}xi32>
    }}""")
    (result,) = run(module, "main", [np.array(lhs, np.int32), np.array(rhs, np.int32)])
    assert result.tolist() == expected


@pytest.mark.parametrize(
    ("op", "source", "target", "values", "expected"),
    [
        ("fptosi", "f32", "i32", [1.9, -1.9, 3e9, -np.inf, np.nan], [1, -1, 2**31 - 1, LOW, 0]),
        (
            "fptoui",
            "f32",
            "i32",
            [1.9, -1.9, 3e9, np.inf, np.nan],
            [1, 0, 3 * 10**9 - 2**32, -1, 0],
        ),
        ("sitofp", "i32", "f32", [-1, 5], [-1.0, 5.0]),
        ("uitofp", "i32", "f32", [-1, 5], [2.0**32, 5.0]),
        ("uitofp", "i1", "f32", [True, False], [1.0, 0.0]),
        ("extui", "i1", "i32", [True, False], [1, 0]),
        ("extsi", "i1", "i32", [True, False], [-1, 0]),
        ("trunci", "i32", "i1", [2, 3], [False, True]),
        ("truncf", "f32", "f16", [1.0, 1e6], [1.0, np.inf]),
        ("bitcast", "f32", "i32", [1.0], [0x3F800000]),
    ],
)
def test_conversions(op, source, target, values, expected):
    module = parse(f"""
    func.func @main(%a: tensor<{source}>) -> tensor<{target}> {{
      %e = tensor.empty() : tensor<{target}>
      %0 = linalg.generic {{
        indexing_maps = [affine_map<() -> ()>, affine_map<() -> ()>], iterator_types = []}}
        ins(%a : tensor<{source}>) outs(%e : tensor<{target}>) {{
      ^bb0(%x: {source}, %o: {target}):
        %y = arith.{op} %x : {source} to {target}
        linalg.yield %y : {target}
      }} -> tensor<{target}>
      func.return %0 : tensor<{target}>
    }}""")
    dtype = {"f32": np.float32, "i32": np.int32, "i1": np.bool_}[source]
    results = [run(module, "main", [dtype(value)])[0].item() for value in values]
    assert results == expected


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ("olt", [True, False, False, False]),
        ("une", [True, False, True, True]),
        ("ule", [True, True, False, True]),
        ("one", [True, False, True, False]),
        ("ord", [True, True, True, False]),
        ("uno", [False, False, False, True]),
    ],
)
def test_float_comparisons_and_nan(predicate, expected):
    module = parse(f"""
    func.func @main(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xi1> {{
      %e = tensor.empty() : tensor<4xi1>
      %0 = linalg.generic {{
        indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>,
                         affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}}
        ins(%a, %b : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xi1>) {{
      ^bb0(%x: f32, %y: f32, %o: i1):
        %c = arith.cmpf {predicate}, %x, %y : f32
        linalg.yield %c : i1
      }} -> tensor<4xi1>
      func.return %0 : tensor<4xi1>
    }}""")
    a = np.array([1, 1, 2, np.nan], np.float32)
    b = np.array([2, 1, 1, 1], np.float32)
    assert run(module, "main", [a, b])[0].tolist() == expected
