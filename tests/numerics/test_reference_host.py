"""The reference backend on kernels over tensors and on host programs over buffers."""

import numpy as np
import pytest
from reference_ir import parse

from stepwell.backends.reference import ExecutionError, run

DOUBLE = """
^bb0(%x: f32, %o: f32):
  %s = arith.addf %x, %x : f32
  linalg.yield %s : f32
"""

MAP = """{indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>],
          iterator_types = ["parallel"]}"""

FUSED = f"""
kernel.func @double(%a: tensor<4xf32>) -> tensor<4xf32> {{
  %e = tensor.empty() : tensor<4xf32>
  %0 = linalg.generic {MAP} ins(%a : tensor<4xf32>) outs(%e : tensor<4xf32>) {{
    {DOUBLE}
  }} -> tensor<4xf32>
  kernel.return %0 : tensor<4xf32>
}}
func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> {{
  %0 = kernel.launch @double(%a) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = kernel.launch @double(%0) : (tensor<4xf32>) -> tensor<4xf32>
  func.return %1 : tensor<4xf32>
}}
"""

KERNEL_ON_BUFFERS = f"""
kernel.func @double(%a: memref<4xf32>, %y: memref<4xf32>) {{
  %t = bufferization.to_tensor %a : memref<4xf32> to tensor<4xf32>
  %e = tensor.empty() : tensor<4xf32>
  %0 = linalg.generic {MAP} ins(%t : tensor<4xf32>) outs(%e : tensor<4xf32>) {{
    {DOUBLE}
  }} -> tensor<4xf32>
  bufferization.materialize_in_destination %0 in writable %y
    : (tensor<4xf32>, memref<4xf32>) -> ()
  kernel.return
}}
"""

BUFFERS = (
    KERNEL_ON_BUFFERS
    + """
"memref.global"() <{sym_name = "ones", sym_visibility = "private",
  type = memref<4xf32>, initial_value = dense<1.0> : tensor<4xf32>, constant}> : () -> ()
func.func @main(%a: memref<4xf32>) -> (memref<4xf32>, memref<4xf32>) {
  %pool = memref.alloc() : memref<32xi8>
  %zero = arith.constant 0 : index
  %half = arith.constant 16 : index
  %x = memref.view %pool[%zero][] : memref<32xi8> to memref<4xf32>
  %y = memref.view %pool[%half][] : memref<32xi8> to memref<4xf32>
  kernel.launch @double(%a, %x) : (memref<4xf32>, memref<4xf32>) -> ()
  kernel.launch @double(%x, %y) : (memref<4xf32>, memref<4xf32>) -> ()
  %ones = memref.get_global @ones : memref<4xf32>
  "memref.copy"(%ones, %x) : (memref<4xf32>, memref<4xf32>) -> ()
  func.return %x, %y : memref<4xf32>, memref<4xf32>
}
"""
)

A = np.arange(4, dtype=np.float32)


def test_kernels_on_tensors():
    np.testing.assert_array_equal(run(parse(FUSED), "main", [A])[0], 4 * A)


def test_views_of_a_pool_hold_their_values():
    ones, quadruple = run(parse(BUFFERS), "main", [A])
    np.testing.assert_array_equal(ones, np.ones(4, np.float32))
    np.testing.assert_array_equal(quadruple, 4 * A)


def test_memory_that_nobody_wrote_is_nan():
    module = parse("""
    func.func @main() -> memref<4xf32> {
      %0 = memref.alloc() : memref<4xf32>
      func.return %0 : memref<4xf32>
    }""")
    assert np.isnan(run(module)[0]).all()


def test_bools_that_nobody_wrote_are_an_error():
    module = parse("""
    kernel.func @negate(%a: memref<4xi1>) {
      %t = bufferization.to_tensor %a : memref<4xi1> to tensor<4xi1>
      kernel.return
    }
    func.func @main() {
      %0 = memref.alloc() : memref<4xi1>
      kernel.launch @negate(%0) : (memref<4xi1>) -> ()
      func.return
    }""")
    with pytest.raises(ExecutionError, match=r"to_tensor: read 0x7fc07fc0 as a bool"):
        run(module)


def test_bools_take_four_bytes():
    module = parse("""
    func.func @main(%a: memref<2xi1>) -> (memref<2xi32>, memref<2xi1>) {
      %0 = memref.alloc() : memref<8xi8>
      %zero = arith.constant 0 : index
      %1 = memref.view %0[%zero][] : memref<8xi8> to memref<2xi1>
      %2 = memref.view %0[%zero][] : memref<8xi8> to memref<2xi32>
      "memref.copy"(%a, %1) : (memref<2xi1>, memref<2xi1>) -> ()
      func.return %2, %1 : memref<2xi32>, memref<2xi1>
    }""")
    words, bools = run(module, "main", [np.array([True, False])])
    assert words.tolist() == [1, 0]
    assert bools.tolist() == [True, False]


def test_a_view_beyond_its_pool_is_an_error():
    module = parse("""
    func.func @main() -> memref<4xf32> {
      %0 = memref.alloc() : memref<16xi8>
      %four = arith.constant 4 : index
      %1 = memref.view %0[%four][] : memref<16xi8> to memref<4xf32>
      func.return %1 : memref<4xf32>
    }""")
    with pytest.raises(ExecutionError, match="bytes 4 to 20 of a buffer of 16 bytes"):
        run(module)


def test_writing_a_constant_is_an_error():
    module = parse(
        KERNEL_ON_BUFFERS
        + """
    "memref.global"() <{sym_name = "ones", sym_visibility = "private",
  type = memref<4xf32>, initial_value = dense<1.0> : tensor<4xf32>, constant}> : () -> ()
    func.func @main(%a: memref<4xf32>) {
      %ones = memref.get_global @ones : memref<4xf32>
      kernel.launch @double(%a, %ones) : (memref<4xf32>, memref<4xf32>) -> ()
      func.return
    }"""
    )
    with pytest.raises(ExecutionError, match=r"materialize_in_destination: .*read-only"):
        run(module, "main", [A])


def test_arguments_are_never_modified():
    module = parse(
        KERNEL_ON_BUFFERS
        + """
    func.func @main(%a: memref<4xf32>) -> memref<4xf32> {
      kernel.launch @double(%a, %a) : (memref<4xf32>, memref<4xf32>) -> ()
      func.return %a : memref<4xf32>
    }"""
    )
    a = A.copy()
    np.testing.assert_array_equal(run(module, "main", [a])[0], 2 * A)
    np.testing.assert_array_equal(a, A)


def test_missing_memref_arguments_are_outputs():
    module = parse(
        KERNEL_ON_BUFFERS
        + """
    func.func @main(%a: memref<4xf32>, %y: memref<4xf32>) {
      kernel.launch @double(%a, %y) : (memref<4xf32>, memref<4xf32>) -> ()
      func.return
    }"""
    )
    np.testing.assert_array_equal(run(module, "main", [A])[0], 2 * A)
