"""`einsum`: every pair of operands becomes one contraction."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters

from stepwell.dialects.array.contraction import DotGeneralOp
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_number, cast_to, emit, lift
from stepwell.frontend.building import type_and_weakness as kind
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import result_type
from stepwell.frontend.errors import check_kind
from stepwell.frontend.linalg import diagonal
from stepwell.frontend.reductions import sum
from stepwell.frontend.shaping import permute_dims
from stepwell.frontend.tracing import Tracer

__all__ = ["einsum"]


@operation
def einsum(subscripts: str, /, *operands: ArrayLike) -> Array:
    """The sum of products that NumPy's subscripts describe: "ij,jk->ik", "b...,b", "ii".

    Operands are contracted from left to right, each pair in one kernel.
    """
    check_kind("einsum", subscripts, str)
    inputs, output = _parse(subscripts, [lift(x).shape for x in operands])
    dtype = result_type([kind(x) for x in operands])
    terms = [
        _plain(as_number(cast_to(lift(x), dtype)), names)
        for x, names in zip(operands, inputs, strict=True)
    ]
    sizes: dict[str, int] = {}
    for tracer, names in terms:
        for name, size in zip(names, tracer.shape, strict=True):
            if sizes.setdefault(name, size) != size:
                raise ShapeError(
                    f"einsum: {subscripts!r} gives {name!r} the sizes {sizes[name]} and {size}"
                )
    value, names = terms[0]
    for position, (other, other_names) in enumerate(terms[1:], 1):
        later = {name for _, rest in terms[position + 1 :] for name in rest} | set(output)
        value, names = _contract(value, names, other, other_names, later)
    value, names = _summed(value, names, set(output))
    return permute_dims(value, [names.index(name) for name in output])


def _parse(subscripts: str, shapes: Sequence[tuple[int, ...]]) -> tuple[list[str], str]:
    """The axes' names of each operand and of the result, without ellipses."""
    text = subscripts.replace(" ", "")
    given, arrow, output = text.partition("->")
    inputs = given.split(",")
    if len(inputs) != len(shapes):
        raise ShapeError(
            f"einsum: {subscripts!r} speaks of {len(inputs)} operands, there are {len(shapes)}"
        )
    free = [letter for letter in ascii_letters if letter not in text]
    named: list[str] = []
    widest = 0
    for names, shape in zip(inputs, shapes, strict=True):
        rank = len(shape) - len(names.replace("...", ""))
        if rank < 0 or ("..." not in names and rank):
            raise ShapeError(f"einsum: {names!r} does not fit the shape {list(shape)}")
        # Ellipses are aligned at their ends, as in broadcasting.
        named.append(names.replace("...", "".join(free[:rank][::-1])))
        widest = max(widest, rank)
    dots = "".join(free[:widest][::-1])
    if not arrow:
        once = [name for name in sorted(set(text) - set(".,")) if text.count(name) == 1]
        output = ("..." if "..." in text else "") + "".join(once)
    result = output.replace("...", dots)
    known = set("".join(named))
    wrong = [name for name in (*"".join(named), *result) if name not in ascii_letters]
    if wrong or len(set(result)) != len(result) or not set(result) <= known:
        raise ShapeError(f"einsum: {subscripts!r} is not understood")
    return named, result


def _plain(x: Tracer, names: str) -> tuple[Tracer, str]:
    """The operand with each name once: repeated ones name a diagonal."""
    for name in dict.fromkeys(names):
        while names.count(name) > 1:
            first = names.index(name)
            second = names.index(name, first + 1)
            x = lift(diagonal(x, axis1=first, axis2=second))
            rest = names[:first] + names[first + 1 : second] + names[second + 1 :]
            names = rest + name
    return x, names


def _summed(x: Tracer, names: str, needed: set[str]) -> tuple[Tracer, str]:
    """The operand summed over the axes that nothing needs."""
    axes = tuple(axis for axis, name in enumerate(names) if name not in needed)
    if not axes:
        return x, names
    return lift(sum(x, axis=axes)), "".join(name for name in names if name in needed)


def _contract(
    x: Tracer, x_names: str, y: Tracer, y_names: str, later: set[str]
) -> tuple[Tracer, str]:
    x, x_names = _summed(x, x_names, later | set(y_names))
    y, y_names = _summed(y, y_names, later | set(x_names))
    shared = [name for name in x_names if name in y_names]
    batch = [name for name in shared if name in later]
    inner = [name for name in shared if name not in later]
    product = emit(
        DotGeneralOp(
            x.value,
            y.value,
            lhs_batch=[x_names.index(name) for name in batch],
            rhs_batch=[y_names.index(name) for name in batch],
            lhs_contracting=[x_names.index(name) for name in inner],
            rhs_contracting=[y_names.index(name) for name in inner],
        )
    )
    rest = [name for name in (*x_names, *y_names) if name not in shared]
    return product, "".join((*batch, *rest))
