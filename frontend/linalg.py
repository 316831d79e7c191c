"""Linear algebra on the last two axes, beyond products: diagonals, norms, factorisations.

Factorisations work in blocks that halve, so that nearly all of the work is in matrix products; the
blocks of size 1 are done one after another, which suits matrices of up to some hundred rows.
"""

from __future__ import annotations

from math import inf, nan

from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike, Axes
from stepwell.frontend.building import as_float, axis_of, broadcast_shapes, lift
from stepwell.frontend.creation import arange, eye
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import bool_, int32
from stepwell.frontend.elementwise import abs as absolute
from stepwell.frontend.elementwise import (
    astype,
    equal,
    log,
    logical_and,
    logical_not,
    multiply,
    not_equal,
    sqrt,
    square,
    where,
)
from stepwell.frontend.elementwise import sign as signs
from stepwell.frontend.reductions import any as any_
from stepwell.frontend.reductions import argmax, prod, sum
from stepwell.frontend.reductions import max as largest
from stepwell.frontend.reductions import min as smallest
from stepwell.frontend.shaping import (
    concat,
    expand_dims,
    matmul,
    matrix_transpose,
    pad,
    permute_dims,
    slice_axis,
    stack,
)
from stepwell.frontend.tracing import Tracer

__all__ = [
    "cholesky",
    "det",
    "diagonal",
    "inv",
    "matrix_norm",
    "outer",
    "slogdet",
    "solve",
    "solve_triangular",
    "trace",
    "vector_norm",
]


@operation
def outer(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x[i] * y[j] of two vectors."""
    a, b = lift(x), lift(y)
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError(f"outer: shapes {list(a.shape)} and {list(b.shape)} are no two vectors")
    return multiply(expand_dims(a, axis=1), b)


@operation
def diagonal(x: ArrayLike, /, *, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Array:
    """x[..., i, i + offset]: the diagonal of two axes, as a new last axis."""
    value = lift(x)
    first, second = (axis_of("diagonal", axis, value.ndim) for axis in (axis1, axis2))
    if first == second:
        raise ShapeError(f"diagonal: axes {axis1} and {axis2} are one")
    others = [axis for axis in range(value.ndim) if axis not in (first, second)]
    matrix = lift(permute_dims(value, [*others, first, second]))
    rows, columns = matrix.shape[-2:]
    count = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    flat = lift(matrix.reshape((*matrix.shape[:-2], rows * columns)))
    if count == 0:
        return slice_axis(flat, flat.ndim - 1, 0, 0)
    start = offset if offset >= 0 else -offset * columns
    return slice_axis(
        flat, flat.ndim - 1, start, start + (count - 1) * (columns + 1) + 1, columns + 1
    )


@operation
def trace(x: ArrayLike, /, *, offset: int = 0) -> Array:
    """The sum of the diagonal of the last two axes."""
    return sum(diagonal(x, offset=offset), axis=-1)


@operation
def vector_norm(
    x: ArrayLike, /, *, axis: Axes = None, ord: float = 2, keepdims: bool = False
) -> Array:
    """(sum(abs(x) ** ord)) ** (1 / ord); the extremes for +-inf, the count of non-zeros for 0."""
    size = absolute(as_float(x))
    if ord == inf:
        return largest(size, axis=axis, keepdims=keepdims)
    if ord == -inf:
        return smallest(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return sum(astype(not_equal(size, 0.0), "f32"), axis=axis, keepdims=keepdims)
    if ord == 1:
        return sum(size, axis=axis, keepdims=keepdims)
    if ord == 2:
        return sqrt(sum(square(size), axis=axis, keepdims=keepdims))
    return sum(size**ord, axis=axis, keepdims=keepdims) ** (1 / ord)


@operation
def matrix_norm(x: ArrayLike, /, *, ord: float | str = "fro", keepdims: bool = False) -> Array:
    """Of the last two axes: Frobenius ("fro"), the largest column sum (1) or row sum (inf), the
    smallest ones for -1 and -inf.
    """
    value = as_float(x)
    if ord == "fro":
        return vector_norm(value, axis=(-2, -1), keepdims=keepdims)
    if ord not in (1, -1, inf, -inf):
        raise ValueError(f"matrix_norm: ord {ord!r} is none of 'fro', 1, -1, inf and -inf")
    along = -2 if ord in (1, -1) else -1
    sums = sum(absolute(value), axis=along, keepdims=True)
    extreme = largest if ord in (1, inf) else smallest
    return extreme(sums, axis=(-2, -1), keepdims=keepdims)


def _square(name: str, x: ArrayLike) -> Tracer:
    value = as_float(x)
    if value.ndim < 2 or value.shape[-1] != value.shape[-2]:
        raise ShapeError(f"{name}: shape {list(value.shape)} holds no square matrices")
    return value


def _block(x: Array, rows: slice, columns: slice) -> Array:
    return x[..., rows, columns]


def _triangular_inverse(lower: Array) -> Array:
    """The inverse of lower triangular matrices."""
    n = lower.shape[-1]
    if n == 1:
        return 1.0 / lower
    head, tail = slice(0, n // 2), slice(n // 2, n)
    first = _triangular_inverse(_block(lower, head, head))
    last = _triangular_inverse(_block(lower, tail, tail))
    corner = -matmul(last, matmul(_block(lower, tail, head), first))
    rank = lower.ndim
    above = pad(first, [(0, 0)] * (rank - 1) + [(0, n - n // 2)])
    return concat([above, concat([corner, last], axis=-1)], axis=-2)


@operation
def solve_triangular(
    a: ArrayLike, b: ArrayLike, /, *, lower: bool = True, unit_diagonal: bool = False
) -> Array:
    """The solution x of a x = b, for triangular a [..., n, n] and b [..., n, k]."""
    matrix = _square("solve_triangular", a)
    if not lower:
        flipped = solve_triangular(
            matrix[..., ::-1, ::-1], lift(b)[..., ::-1, :], unit_diagonal=unit_diagonal
        )
        return flipped[..., ::-1, :]
    n = matrix.shape[-1]
    if unit_diagonal:
        one = eye(n)
        return matmul(_triangular_inverse(matrix * (1 - one) + one), b)
    return matmul(_triangular_inverse(matrix), b)


def _cholesky(a: Array) -> Array:
    n = a.shape[-1]
    if n == 1:
        return sqrt(a)
    head, tail = slice(0, n // 2), slice(n // 2, n)
    first = _cholesky(_block(a, head, head))
    side = matmul(_block(a, tail, head), matrix_transpose(_triangular_inverse(first)))
    last = _cholesky(_block(a, tail, tail) - matmul(side, matrix_transpose(side)))
    above = pad(first, [(0, 0)] * (a.ndim - 1) + [(0, n - n // 2)])
    return concat([above, concat([side, last], axis=-1)], axis=-2)


@operation
def cholesky(x: ArrayLike, /, *, upper: bool = False) -> Array:
    """The lower triangular L with x = L L^T, of symmetric positive definite matrices (its lower
    triangle is read); NaN where they are none. `upper` gives L^T.
    """
    factor = _cholesky(_square("cholesky", x))
    return matrix_transpose(factor) if upper else factor


def _eliminate(a: Tracer, b: Array | None) -> tuple[Array, Array, Array | None]:
    """Gauss-Jordan elimination of square a with right sides b [..., n, k].

    Every column takes its largest element among the rows that are left as its pivot. Returns the
    pivots [..., n], the sign of the rows' permutation [...] and, given b, the solution.
    """
    n = a.shape[-1]
    rows: Array = a if b is None else concat([a, b], axis=-1)
    number = lift(arange(n))
    left: Array = lift(True, bool_, a.shape[:-1])
    swaps: Array = lift(0, int32, a.shape[:-2])
    pivots: list[Array] = []
    chosen: list[Array] = []
    for k in range(n):
        column = rows[..., :, k]
        size = where(left, absolute(column), -1.0)
        at = argmax(size, axis=-1, keepdims=True)
        own = equal(number, at)
        left = logical_and(left, logical_not(own))
        # The rows that are left before the pivot's change places with it, one after another.
        swaps = swaps + sum(astype(logical_and(left, number < at), int32), axis=-1)
        pivot = sum(where(own, column, 0.0), axis=-1, keepdims=True)
        top = sum(where(own[..., None], rows, 0.0), axis=-2) / where(equal(pivot, 0.0), 1.0, pivot)
        factor = where(own, 0.0, column)[..., None]
        rows = where(own[..., None], top[..., None, :], rows - factor * top[..., None, :])
        pivots.append(pivot)
        chosen.append(own)
    found = concat(pivots, axis=-1)
    sign = 1.0 - 2.0 * astype(swaps % 2, a.dtype)
    if b is None:
        return found, sign, None
    order = stack(chosen, axis=-2)
    return found, sign, matmul(astype(order, a.dtype), rows[..., n:])


def _filled(name: str, x: ArrayLike) -> Tracer:
    value = _square(name, x)
    if not value.shape[-1]:
        raise ShapeError(f"{name}: matrices of no rows")
    return value


@operation
def det(x: ArrayLike, /) -> Array:
    """The determinants of square matrices."""
    pivots, sign, _ = _eliminate(_filled("det", x), None)
    return sign * prod(pivots, axis=-1)


@operation
def slogdet(x: ArrayLike, /) -> tuple[Array, Array]:
    """The signs of the determinants of square matrices, and the logarithms of their sizes."""
    pivots, sign, _ = _eliminate(_filled("slogdet", x), None)
    return sign * prod(signs(pivots), axis=-1), sum(log(absolute(pivots)), axis=-1)


@operation
def solve(a: ArrayLike, b: ArrayLike, /) -> Array:
    """The solution x of a x = b, for square a [..., n, n] and b [..., n, k] or a vector b [n];
    NaN where a is singular.
    """
    matrix = _filled("solve", a)
    sides = lift(b, matrix.dtype)
    n = matrix.shape[-1]
    if sides.ndim == 1:
        return solve(matrix, sides.reshape((-1, 1)))[..., 0]
    if sides.shape[-2] != n:
        raise ShapeError(f"solve: b {list(sides.shape)} has no {n} rows, as a {list(matrix.shape)}")
    batch = broadcast_shapes("solve", [matrix.shape[:-2], sides.shape[:-2]])
    matrix = lift(matrix, None, (*batch, n, n))
    pivots, _, x = _eliminate(matrix, lift(sides, None, (*batch, *sides.shape[-2:])))
    assert x is not None
    singular = any_(equal(pivots, 0.0), axis=-1)
    return where(singular[..., None, None], nan, x)


@operation
def inv(x: ArrayLike, /) -> Array:
    """The inverses of square matrices; NaN where they have none."""
    matrix = _filled("inv", x)
    return solve(matrix, eye(matrix.shape[-1], dtype=matrix.dtype))
