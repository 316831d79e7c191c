"""Index expressions in a normal form: integer linear combinations of variables, quotients and
remainders, simplified by the ranges of the variables.

Every address that a kernel computes is one of these until it is emitted, so that views (reshape,
transpose, slice, ...) fold away, equal addresses are equal objects, and a vector load is known to
be contiguous and aligned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd, prod
from random import Random
from typing import TypeAlias

from xdsl.ir import SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)


@dataclass(frozen=True, eq=False, slots=True)
class Var:
    """A variable in [0, extent); two variables are equal only when they are the same object.

    `value` is the SSA value it stands for once there is one.
    """

    extent: int
    value: SSAValue | None = None

    @property
    def hi(self) -> int:
        return self.extent - 1


class _Quotient:
    """A base and a divisor; the hash is kept, because every sum looks atoms up."""

    __slots__ = ("_hash", "base", "depth", "divisor", "hi")

    def __init__(self, base: Index, divisor: int, hi: int):
        self.base, self.divisor, self.hi = base, divisor, hi
        self.depth = base.depth + 1
        self._hash = hash((type(self), base, divisor))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, _Quotient)
            and type(other) is type(self)
            and self._hash == other._hash
            and self.divisor == other.divisor
            and self.base == other.base
        )


class Div(_Quotient):
    """base floordiv divisor, of a non-negative base."""

    __match_args__ = ("base", "divisor")
    __slots__ = ()

    def __init__(self, base: Index, divisor: int):
        super().__init__(base, divisor, base.hi // divisor)

    def __repr__(self) -> str:
        return f"({self.base!r} floordiv {self.divisor})"


class Mod(_Quotient):
    """base mod divisor, of a non-negative base."""

    __match_args__ = ("base", "divisor")
    __slots__ = ("_partner",)

    def __init__(self, base: Index, divisor: int):
        super().__init__(base, divisor, min(divisor - 1, base.hi))
        self._partner: Index | None = None

    @property
    def partner(self) -> Index:
        """base floordiv divisor."""
        if self._partner is None:
            self._partner = _quotient(self.base, self.divisor)
        return self._partner

    def __repr__(self) -> str:
        return f"({self.base!r} mod {self.divisor})"


Atom: TypeAlias = Var | Div | Mod


class Index:
    """const + sum of coefficient * atom. Immutable; equality is equality of normal forms."""

    __slots__ = ("_hash", "const", "terms")

    def __init__(self, terms: Mapping[Atom, int], const: int):
        self.terms = terms
        self.const = const
        self._hash: int | None = None

    @property
    def hi(self) -> int:
        """An upper bound of the value."""
        bound = self.const
        for atom, coefficient in self.terms.items():
            if coefficient > 0:
                bound += coefficient * atom.hi
        return bound

    @property
    def lo(self) -> int:
        """A lower bound of the value."""
        bound = self.const
        for atom, coefficient in self.terms.items():
            if coefficient < 0:
                bound += coefficient * atom.hi
        return bound

    @property
    def depth(self) -> int:
        """How many quotients and remainders are within each other: looking at all takes 2^depth."""
        return max((a.depth for a in self.terms if isinstance(a, _Quotient)), default=0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and self.const == other.const and self.terms == other.terms

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((self.const, frozenset(self.terms.items())))
        return self._hash

    def __repr__(self) -> str:
        return " + ".join(
            [f"{c}*{atom}" if c != 1 else f"{atom}" for atom, c in self.terms.items()]
            + ([str(self.const)] if self.const or not self.terms else [])
        )

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.terms, self.const + other) if other else self
        if not self.terms:
            return other + self.const
        if not other.terms:
            return self + other.const
        terms = dict(self.terms)
        for atom, coefficient in other.terms.items():
            total = terms.get(atom, 0) + coefficient
            if total:
                terms[atom] = total
            else:
                del terms[atom]
        return _recombine(terms, self.const + other.const)

    def __sub__(self, other: Index | int) -> Index:
        return self + (-other if isinstance(other, int) else other * -1)

    def __mul__(self, factor: int) -> Index:
        if factor == 0:
            return ZERO
        if factor == 1:
            return self
        return Index({a: c * factor for a, c in self.terms.items()}, self.const * factor)

    def __floordiv__(self, divisor: int) -> Index:
        if divisor == 1:
            return self
        whole, rest = self._split(divisor)
        if rest.lo >= 0 and rest.hi < divisor:
            return whole
        common = gcd(divisor, *rest.terms.values())
        if common > 1:
            reduced = Index({a: c // common for a, c in rest.terms.items()}, rest.const // common)
            return whole + reduced // (divisor // common)
        if (parts := rest._digits(divisor)) is not None:
            coarse, _, base = parts
            return whole + coarse // (divisor // base)
        return whole + _quotient(rest, divisor)

    def __mod__(self, divisor: int) -> Index:
        if divisor == 1:
            return ZERO
        _, rest = self._split(divisor)
        if rest.lo >= 0 and rest.hi < divisor:
            return rest
        common = gcd(divisor, *rest.terms.values())
        if common > 1:
            low = rest.const % common
            reduced = Index({a: c // common for a, c in rest.terms.items()}, rest.const // common)
            return (reduced % (divisor // common)) * common + low
        if (parts := rest._digits(divisor)) is not None:
            coarse, fine, base = parts
            return (coarse % (divisor // base)) * base + fine
        return _remainder(rest, divisor)

    def _digits(self, divisor: int) -> tuple[Index, Index, int] | None:
        """coarse, fine, base with self = coarse * base + fine, fine < base and base | divisor."""
        bases = {gcd(divisor, coefficient) for coefficient in self.terms.values()}
        for base in sorted(bases - {1}, reverse=True):
            coarse = {a: c // base for a, c in self.terms.items() if c % base == 0}
            fine = Index({a: c for a, c in self.terms.items() if c % base}, self.const % base)
            if fine.lo >= 0 and fine.hi < base:
                return Index(coarse, self.const // base), fine, base
        return None

    def _split(self, divisor: int) -> tuple[Index, Index]:
        """whole, rest with self = whole * divisor + rest, and rest as small as its terms allow."""
        whole: dict[Atom, int] = {}
        rest: dict[Atom, int] = {}
        for atom, coefficient in self.terms.items():
            quotient, remainder = divmod(coefficient, divisor)
            if remainder and quotient and coefficient < 0:
                quotient, remainder = 0, coefficient
            if quotient:
                whole[atom] = quotient
            if remainder:
                rest[atom] = remainder
        quotient, remainder = divmod(self.const, divisor)
        if any(coefficient < 0 for coefficient in rest.values()):
            quotient, remainder = 0, self.const
        return Index(whole, quotient), Index(rest, remainder)

    def substitute(self, replace: Mapping[Var, Index]) -> Index:
        """This expression with variables replaced."""
        result = Index({}, self.const)
        for atom, coefficient in self.terms.items():
            if isinstance(atom, Var):
                new = replace.get(atom)
                new = Index({atom: 1}, 0) if new is None else new
            else:
                base = atom.base.substitute(replace)
                new = base // atom.divisor if isinstance(atom, Div) else base % atom.divisor
            result = result + new * coefficient
        return result

    def at(self, values: Mapping[Var, int]) -> int:
        """The value where variables have these values."""
        total = self.const
        for atom, coefficient in self.terms.items():
            if isinstance(atom, Var):
                total += coefficient * values[atom]
            else:
                base = atom.base.at(values)
                found = base // atom.divisor if isinstance(atom, Div) else base % atom.divisor
                total += coefficient * found
        return total

    def variables(self) -> set[Var]:
        """Every variable the value depends on."""
        found: set[Var] = set()
        for atom in self.terms:
            if isinstance(atom, Var):
                found.add(atom)
            else:
                found |= atom.base.variables()
        return found

    def divisible_by(self, divisor: int) -> bool:
        """Whether every value is provably a multiple of `divisor`."""
        return self.const % divisor == 0 and all(c % divisor == 0 for c in self.terms.values())


ZERO = Index({}, 0)
_TRIALS = 16
"""How often two places are compared. Those of two results of one schedule differ everywhere."""
_LARGEST = (1 << 32) - 1
"""The largest value of an `index` on a device."""


def constant(value: int) -> Index:
    return Index({}, value)


def var(extent: int, value: SSAValue | None = None) -> Index:
    """A fresh variable in [0, extent); an extent of one is the constant zero."""
    return Index({Var(extent, value): 1}, 0) if extent > 1 else ZERO


def _atom(atom: Atom) -> Index:
    return Index({atom: 1}, 0)


def _quotient(base: Index, divisor: int) -> Index:
    """base floordiv divisor where no term simplifies; quotients of quotients are one."""
    if len(base.terms) == 1 and base.const == 0:
        ((atom, coefficient),) = base.terms.items()
        if coefficient == 1 and isinstance(atom, Div):
            return atom.base // (atom.divisor * divisor)
        if coefficient == 1 and isinstance(atom, Mod) and atom.divisor % divisor == 0:
            return (atom.base // divisor) % (atom.divisor // divisor)
    quotients = [a for a, c in base.terms.items() if c == 1 and isinstance(a, Div)]
    if len(quotients) == 1:
        # (a + b floordiv c) floordiv d == (a * c + b) floordiv (c * d)
        (inner,) = quotients
        rest = Index({a: c for a, c in base.terms.items() if a is not inner}, base.const)
        joined = rest * inner.divisor + inner.base
        if joined.hi <= _LARGEST:
            return joined // (inner.divisor * divisor)
    return _atom(Div(base, divisor))


def _remainder(base: Index, divisor: int) -> Index:
    """base mod divisor where no term simplifies; remainders of remainders are one."""
    if len(base.terms) == 1 and base.const == 0:
        ((atom, coefficient),) = base.terms.items()
        if coefficient == 1 and isinstance(atom, Mod) and atom.divisor % divisor == 0:
            return atom.base % divisor
    return _atom(Mod(base, divisor))


def _recombine(terms: dict[Atom, int], const: int) -> Index:
    """Applies k*(e mod c) + k*c*(e floordiv c) == k*e until it no longer matches."""
    for atom, coefficient in terms.items():
        if isinstance(atom, Mod):
            partner = atom.partner
            if len(partner.terms) == 1 and not partner.const:
                ((quotient, _),) = partner.terms.items()
                if terms.get(quotient) == coefficient * atom.divisor:
                    rest = {a: c for a, c in terms.items() if a is not atom and a != quotient}
                    return Index(rest, const) + atom.base * coefficient
    return Index(terms, const)


def linearize(index: Sequence[Index], shape: Sequence[int]) -> Index:
    """The row-major position of `index` in a tensor of that shape."""
    position = ZERO
    for coordinate, size in zip(index, shape, strict=True):
        position = position * size + coordinate
    return position


def delinearize(position: Index, shape: Sequence[int]) -> tuple[Index, ...]:
    """The inverse of `linearize` for a position in range."""
    strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return tuple(
        ZERO if size == 1 else (position // stride) % size
        for size, stride in zip(shape, strides, strict=True)
    )


def apply_map(map: AffineMap, dims: Sequence[Index]) -> tuple[Index, ...]:
    """The results of an affine map at the given dimensions."""
    return tuple(_from_affine(result, dims) for result in map.results)


_BINARY: dict[AffineBinaryOpKind, Callable[[Index, AffineExpr], Index]] = {
    AffineBinaryOpKind.Mul: lambda lhs, rhs: lhs * _integer(rhs),
    AffineBinaryOpKind.FloorDiv: lambda lhs, rhs: lhs // _integer(rhs),
    AffineBinaryOpKind.Mod: lambda lhs, rhs: lhs % _integer(rhs),
    AffineBinaryOpKind.CeilDiv: lambda lhs, rhs: (lhs + (_integer(rhs) - 1)) // _integer(rhs),
}


def _from_affine(expr: AffineExpr, dims: Sequence[Index]) -> Index:
    match expr:
        case AffineDimExpr():
            return dims[expr.position]
        case AffineConstantExpr():
            return constant(expr.value)
        case AffineBinaryOpExpr():
            lhs = _from_affine(expr.lhs, dims)
            if expr.kind is AffineBinaryOpKind.Add:
                return lhs + _from_affine(expr.rhs, dims)
            return _BINARY[expr.kind](lhs, expr.rhs)
        case _:
            raise ValueError(f"affine symbol in {expr}")


def _integer(expr: AffineExpr) -> int:
    assert isinstance(expr, AffineConstantExpr), f"{expr} is no constant"
    return expr.value


def is_bijection(index: Sequence[Index], shape: Sequence[int], variables: Sequence[Index]) -> bool:
    """Whether `index`, as `variables` run over their extents, meets every element once.

    True when the row-major position is a mixed-radix number whose digits are the variables.
    """
    position = linearize(index, shape)
    if position.const:
        return False
    digits = {next(iter(v.terms)) for v in variables if v.terms}
    if digits != set(position.terms):
        return False
    stride = 1
    for atom, coefficient in sorted(position.terms.items(), key=lambda term: term[1]):
        if coefficient != stride:
            return False
        stride *= atom.hi + 1
    return stride == prod(shape)


def invert(index: Sequence[Index], shape: Sequence[int], new: Sequence[Index]) -> dict[Var, Index]:
    """For a bijective `index` of old variables, each old variable in terms of `new` coordinates."""
    position = linearize(index, shape)
    flat = linearize(new, shape)
    return {
        atom: (flat // coefficient) % atom.extent
        for atom, coefficient in position.terms.items()
        if isinstance(atom, Var)
    }


def agree(a: Sequence[Index], b: Sequence[Index]) -> bool:
    """Whether two places are the same, tried with some values of their variables.

    Normal forms tell what is divided and multiplied again and again apart in more ways than it is
    different in.
    """
    variables = sorted({v for i in (*a, *b) for v in i.variables()}, key=lambda v: v.extent)
    random = Random(0)
    for _ in range(_TRIALS):
        values = {v: random.randrange(v.extent) for v in variables}
        if [i.at(values) for i in a] != [i.at(values) for i in b]:
            return False
    return True


def split_digits(index: Sequence[Index]) -> dict[Var, list[Index]]:
    """The digits, from the lowest, of every variable that `index` has quotients or remainders of.

    Each digit is a new variable times what it counts; their sum is the old one.
    """
    cuts: dict[Var, set[int]] = {}
    for component in index:
        for atom in component.terms:
            if isinstance(atom, Var):
                continue
            inner, low = _only_atom(atom.base), 1
            if isinstance(inner, Div):
                inner, low = _only_atom(inner.base), inner.divisor
            if isinstance(inner, Var):
                cuts.setdefault(inner, set()).update((low, low * atom.divisor))
    digits: dict[Var, list[Index]] = {}
    for variable, found in cuts.items():
        bounds = sorted({1, *found, variable.extent})
        if all(high % low == 0 for low, high in pairwise(bounds)):
            digits[variable] = [var(high // low) * low for low, high in pairwise(bounds)]
    return digits


def _only_atom(index: Index) -> Atom | None:
    if len(index.terms) != 1 or index.const:
        return None
    ((atom, coefficient),) = index.terms.items()
    return atom if coefficient == 1 else None
