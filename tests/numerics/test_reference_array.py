"""The reference backend on the `array` dialect, and what it says to callers who are wrong."""

import numpy as np
import pytest
from reference_ir import parse

from stepwell.backends.reference import ExecutionError, run
from stepwell.dialects.errors import DTypeError, ShapeError

TWO_FUNCTIONS = """
func.func @main(%a: tensor<2x3xf32>, %b: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xi1>) {
  %0 = array.add %a, %b : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %1 = func.call @exp(%0) : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %2 = array.less %a, %b : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xi1>
  func.return %1, %2 : tensor<2x3xf32>, tensor<2x3xi1>
}
func.func @exp(%a: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %0 = array.exp %a : (tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %0 : tensor<2x3xf32>
}
"""


def test_calls_and_results():
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((2, 3)).astype(np.float32) for _ in range(2))
    total, less = run(parse(TWO_FUNCTIONS), "main", [a, b])
    np.testing.assert_array_equal(total, np.exp(a + b))
    np.testing.assert_array_equal(less, a < b)
    assert less.dtype == np.bool_
    np.testing.assert_array_equal(run(parse(TWO_FUNCTIONS), "exp", [a])[0], np.exp(a))


def test_unsigned_integers_stay_unsigned():
    module = parse("""
    func.func @main(%a: tensor<2xui32>) -> tensor<2xui32> {
      %0 = array.add %a, %a : (tensor<2xui32>, tensor<2xui32>) -> tensor<2xui32>
      func.return %0 : tensor<2xui32>
    }""")
    (total,) = run(module, "main", [np.array([0x7FFFFFFF, 0x80000001], np.uint32)])
    assert total.dtype == np.uint32
    assert total.tolist() == [0xFFFFFFFE, 2]


def test_results_belong_to_the_caller():
    module = parse("""
    func.func @main(%a: tensor<2xf32>) -> tensor<2xf32> {
      func.return %a : tensor<2xf32>
    }""")
    a = np.zeros(2, np.float32)
    (result,) = run(module, "main", [a])
    result[0] = 1
    assert a[0] == 0


@pytest.mark.parametrize(
    ("entry", "arguments", "error", "message"),
    [
        ("mian", [], ExecutionError, "did you mean @main"),
        ("main", [np.zeros((2, 3), np.float32)], ExecutionError, "takes 2 arguments, not 1"),
        ("exp", [np.zeros((2, 3))], DTypeError, "argument 0 of @exp is float64"),
        ("exp", [np.zeros((3, 2), np.float32)], ShapeError, r"shape \[3, 2\], not \[2, 3\]"),
    ],
)
def test_wrong_calls_teach(entry, arguments, error, message):
    with pytest.raises(error, match=message):
        run(parse(TWO_FUNCTIONS), entry, arguments)


def test_an_operation_without_meaning_is_named():
    module = parse("""
    func.func @main(%a: tensor<2xf32>) -> tensor<2xf32> {
      %0 = "test.op"(%a) : (tensor<2xf32>) -> tensor<2xf32>
      func.return %0 : tensor<2xf32>
    }""")
    with pytest.raises(ExecutionError, match=r"test\.op: .*no meaning"):
        run(module, "main", [np.zeros(2, np.float32)])


def test_a_gradient_request_asks_for_differentiate():
    module = parse("""
    func.func @main(%x: tensor<f32>) -> tensor<f32> {
      %loss, %grad = "array.value_and_grad"(%x) <{argnums = array<i64: 0>}> ({
      ^bb0(%y: tensor<f32>):
        %z = array.multiply %y, %y : (tensor<f32>, tensor<f32>) -> tensor<f32>
        array.yield %z : tensor<f32>
      }) : (tensor<f32>) -> (tensor<f32>, tensor<f32>)
      func.return %grad : tensor<f32>
    }""")
    with pytest.raises(ExecutionError, match="run differentiate first"):
        run(module, "main", [np.float32(3)])
