"""Slices, reshapes, paddings and concatenations of other compilers' `tensor`, at each stage."""

from __future__ import annotations

import numpy as np
import pytest
from lowering import at_stage

from stepwell.backends.compiler import parse

MOVES = """
func.func @main(%x: tensor<5x8xf32>, %y: tensor<3xf32>, %none: tensor<0xf32>)
    -> (tensor<2xf32>, tensor<4x10xf32>, tensor<8x9xf32>, tensor<6xf32>, tensor<5x8xf32>,
        tensor<3xf32>, tensor<4xf32>, tensor<0xf32>) {
  %two = arith.constant 2.0 : f32
  %strided = tensor.extract_slice %x[1, 3] [2, 1] [2, 1] : tensor<5x8xf32> to tensor<2xf32>
  %flat = tensor.collapse_shape %x [[0, 1]] : tensor<5x8xf32> into tensor<40xf32>
  %tall = tensor.expand_shape %flat [[0, 1]] output_shape [4, 10]
      : tensor<40xf32> into tensor<4x10xf32>
  %padded = tensor.pad %x low[1, 0] high[2, 1] {
  ^bb0(%i: index, %j: index):
    tensor.yield %two : f32
  } : tensor<5x8xf32> to tensor<8x9xf32>
  %joined = tensor.concat dim(0) %y, %none, %y
      : (tensor<3xf32>, tensor<0xf32>, tensor<3xf32>) -> tensor<6xf32>
  %row = tensor.insert_slice %y into %x[4, 5] [1, 3] [1, 1] : tensor<3xf32> into tensor<5x8xf32>
  %same = tensor.insert_slice %none into %y[1] [0] [1] : tensor<0xf32> into tensor<3xf32>
  %filled = tensor.pad %none low[1] high[3] {
  ^bb0(%i: index):
    %three = arith.constant 3.0 : f32
    tensor.yield %three : f32
  } : tensor<0xf32> to tensor<4xf32>
  %nothing = tensor.extract_slice %y[2] [0] [1] : tensor<3xf32> to tensor<0xf32>
  func.return %strided, %tall, %padded, %joined, %row, %same, %filled, %nothing
      : tensor<2xf32>, tensor<4x10xf32>, tensor<8x9xf32>, tensor<6xf32>, tensor<5x8xf32>,
        tensor<3xf32>, tensor<4xf32>, tensor<0xf32>
}
"""


@pytest.mark.parametrize("target", ["software", "desktop-subgroup32"])
@pytest.mark.parametrize("stage", ["linalg", "fused", "buffers", "tiled"])
def test_elements_are_moved_as_mlir_says(stage: str, target: str) -> None:
    rng = np.random.default_rng(0)
    x, y, none = (rng.normal(size=shape).astype(np.float32) for shape in ((5, 8), (3,), (0,)))
    row = x.copy()
    row[4, 5:] = y
    padded = np.pad(x, [(1, 2), (0, 1)], constant_values=2)
    expected = [
        *(x[1:5:2, 3], x.reshape(4, 10), padded, np.concatenate([y, y]), row, y),
        *(np.full(4, 3), none),
    ]
    found = at_stage(parse(MOVES), target, stage, [x, y, none])
    for result, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(result, right)
