"""Contractions (matmul and its kin), which go to NumPy's matmul instead of a block of products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.linalg.abstract_ops import LinalgStructuredOperation
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from stepwell.backends.reference.memory import Array


@dataclass(frozen=True)
class Contraction:
    """out[o] = init[o] + sum over k of lhs[l] * rhs[r]; `maps` are the dimensions l, r, o."""

    maps: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    def compute(self, inputs: Sequence[Array], init: Array) -> Array:
        lhs_dims, rhs_dims, out_dims = self.maps
        lhs, rhs = (array.astype(init.dtype, copy=False) for array in inputs)
        sizes = dict(zip((*lhs_dims, *rhs_dims), (*lhs.shape, *rhs.shape), strict=True))
        batch = [d for d in lhs_dims if d in rhs_dims and d in out_dims]
        rows = [d for d in lhs_dims if d not in rhs_dims]
        columns = [d for d in rhs_dims if d not in lhs_dims]
        inner = [d for d in lhs_dims if d not in out_dims]

        def matrices(array: Array, dims: Sequence[int], *groups: Sequence[int]) -> Array:
            order = [dims.index(d) for group in groups for d in group]
            shape = [math.prod(sizes[d] for d in group) for group in groups]
            return array.transpose(order).reshape(shape)

        product = np.matmul(
            matrices(lhs, lhs_dims, batch, rows, inner),
            matrices(rhs, rhs_dims, batch, inner, columns),
        )
        order = [*batch, *rows, *columns]
        product = product.reshape([sizes[d] for d in order])
        return init + product.transpose([order.index(d) for d in out_dims])


def match(
    op: LinalgStructuredOperation, maps: Sequence[AffineMap], reduction: Sequence[int]
) -> Contraction | None:
    """The contraction that `op` is, if its body is acc + a * b (a and b perhaps extended)."""
    block = op.body.block
    if len(block.args) != 3 or len(op.inputs) != 2:
        return None
    lhs, rhs, accumulator = block.args
    assert block.last_op is not None
    add = block.last_op.operands[0].owner
    if not isinstance(add, arith.AddfOp | arith.AddiOp):
        return None
    products = [operand for operand in add.operands if operand is not accumulator]
    if len(products) != 1:
        return None
    multiply = products[0].owner
    if not isinstance(multiply, arith.MulfOp | arith.MuliOp):
        return None
    factors = [_extended(factor) for factor in multiply.operands]
    if {id(factor) for factor in factors} != {id(lhs), id(rhs)}:
        return None
    dims = [_dimensions(map) for map in maps]
    if any(d is None for d in dims):
        return None
    left, right, out = (d or () for d in dims)
    shared = set(left) & set(right)
    if not set(reduction) <= shared or set(out) != (set(left) | set(right)) - set(reduction):
        return None
    return Contraction((left, right, out))


def _extended(value: SSAValue) -> SSAValue:
    """The value that `arith.extf` widened, or the value itself."""
    owner = value.owner
    return owner.input if isinstance(owner, arith.ExtFOp) else value


def _dimensions(map: AffineMap) -> tuple[int, ...] | None:
    """The dimensions of a projected permutation, or None."""
    dims = tuple(expr.position for expr in map.results if isinstance(expr, AffineDimExpr))
    return dims if len(dims) == len(map.results) == len(set(dims)) else None
