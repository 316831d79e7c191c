"""The domain of a kernel: the one iteration space that all its operations share.

A kernel is a set of `linalg` operations evaluated point by point. Its domain has parallel
variables and, when something in it reduces, reduced variables; every value is read at indices that
are expressions of them. Operations are added consumers first. `add` refuses what cannot share the
domain, so fusion asks it what may be fused, and a schedule replays it to know where things are.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TypeAlias

from xdsl.dialects.linalg.ops import FillOp, GenericOp
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr

from stepwell.dialects.errors import UnsupportedError, where
from stepwell.dialects.linalg_ext import AttendingOp, InsertSliceOp
from stepwell.passes import structured
from stepwell.passes.boundary import Boundary
from stepwell.passes.index import (
    ZERO,
    Index,
    Var,
    apply_map,
    delinearize,
    invert,
    is_bijection,
    linearize,
    split_digits,
    var,
)
from stepwell.passes.structured import Kind, kind_of, shape_of

Place: TypeAlias = tuple[Index, ...]
"""The index, in domain variables, at which a value is read or written."""


@dataclass
class Fold:
    """A reduction or contraction of the kernel."""

    op: GenericOp
    place: Place
    """Where its result is in the domain."""
    loops: list[Index]
    """Each of its loops in domain variables."""


@dataclass
class Domain:
    """The iteration space of a kernel under construction."""

    max_row: int = 65536
    """The longest row that one workgroup both reduces and writes back."""
    kind: Kind = Kind.MAP
    parallel: list[Index] = field(default_factory=list[Index])
    reduced: list[Index] = field(default_factory=list[Index])
    members: list[Operation] = field(default_factory=list[Operation])
    """Operations, consumers first."""
    places: dict[SSAValue, list[Place]] = field(default_factory=dict[SSAValue, list[Place]])
    """Every distinct index at which each value is read."""
    outputs: dict[SSAValue, Place] = field(default_factory=dict[SSAValue, Place])
    """The values that the kernel stores, and where in the domain each element is computed; of an
    insertion, each element of the update."""
    destination: SSAValue | None = None
    """The value of which the kernel overwrites a window, and which it does not read."""
    folds: list[Fold] = field(default_factory=list[Fold])
    crossings: list[Fold] = field(default_factory=list[Fold])
    """Reductions across the rows that `folds` go along: each of `team` rows in order, stored."""
    team: int = 1

    @staticmethod
    def of(ops: Iterable[Operation], stored: Container[SSAValue]) -> Domain:
        """The domain of a kernel's body that stores the values in `stored`.

        Raises: UnsupportedError for an operation that cannot share it.
        """
        domain = Domain()
        structures = FillOp | GenericOp | AttendingOp | InsertSliceOp
        for op in reversed([op for op in ops if isinstance(op, structures)]):
            kept = any(result in stored for result in op.results)
            read = kept or any(result in domain.places for result in op.results)
            if read and (refusal := domain.add(op, stored=kept)):
                raise UnsupportedError(
                    f"{where(op.location)}{op.name} does not share the domain of its kernel: "
                    f"{refusal.value}"
                )
        return domain

    def spans_rows(self, place: Place) -> bool:
        """Whether a place differs along a row: along the reduced variables."""
        reduced = {atom for variable in self.reduced for atom in variable.terms}
        return any(component.variables() & reduced for component in place)

    def inputs(self) -> list[SSAValue]:
        """Values read that no member computes."""
        own = {result for op in self.members for result in op.results}
        return [value for value in self.places if value not in own]

    def arguments(self) -> list[SSAValue]:
        """What the kernel takes: the values read, and the one that it overwrites."""
        return [*self.inputs(), *([] if self.destination is None else [self.destination])]

    def overwrites(self, op: Operation) -> bool:
        """Whether the kernel overwrites what an operation reads."""
        return self.destination is not None and self.destination in structured.tensors_read(op)

    def add(self, op: Operation, *, stored: bool) -> Boundary | None:
        """Adds an operation whose consumers in the kernel are all there, or says why it cannot be.

        `stored` asks for its result as an output of the kernel.
        """
        if not self.members:
            self._root(op)
            return None
        if isinstance(op, InsertSliceOp):
            return Boundary.WINDOW
        if self.overwrites(op):
            return Boundary.OVERWRITTEN
        kind = kind_of(op)
        if kind in (Kind.VIEW, Kind.MAP):
            return self._add_map(op, stored)
        assert isinstance(op, GenericOp)
        places = self.places.get(op.results[0], [])
        if stored and not places and kind is Kind.REDUCTION:
            return None if self._add_sibling(op) else self._add_crossing(op)
        if len(places) != 1:
            return Boundary.PLACES
        refusal = (
            self._add_reduction(op, places[0])
            if kind is Kind.REDUCTION
            else self._add_contraction(op, places[0])
        )
        if stored and refusal is None:
            self.outputs[op.results[0]] = self.folds[-1].place
        return refusal

    def _root(self, op: Operation) -> None:
        kind = kind_of(op)
        if kind is Kind.ATTENTION:
            self._attention(op)
            return
        if isinstance(op, InsertSliceOp):
            self._insertion(op)
            return
        (result,) = op.results
        self.parallel = [var(size) for size in shape_of(result)]
        place = tuple(self.parallel)
        self.outputs[result] = place
        self.places[result] = [place]
        if kind in (Kind.VIEW, Kind.MAP):
            self.members.append(op)
            self._read_operands(op, place)
            return
        assert isinstance(op, GenericOp)
        self.kind = kind
        self.reduced = [var(size) for size in _reduced_sizes(op)]
        self._fold(op, place, self.reduced)

    def _attention(self, op: Operation) -> None:
        """Operands are read all over, many times: nothing but what they are computed from joins."""
        self.kind = Kind.ATTENTION
        self.members.append(op)
        for result in op.results:
            if result.first_use is not None:
                self.outputs[result] = tuple(var(size) for size in shape_of(result))
        for operand in op.operands:
            self._note(operand, tuple(var(size) for size in shape_of(operand)))

    def _insertion(self, op: InsertSliceOp) -> None:
        """Runs over the update; each element has a place of its own in the destination."""
        self.parallel = [var(size) for size in shape_of(op.update)]
        place = tuple(self.parallel)
        self.outputs[op.result] = place
        self.destination = op.destination
        self.members.append(op)
        self._note(op.update, place)
        for start in op.starts:
            self._note(start, ())

    def _add_map(self, op: Operation, stored: bool) -> Boundary | None:
        (result,) = op.results
        places = self.places.get(result, [])
        if stored:
            if not places and (beside := self._spanning(shape_of(result))):
                self._note(result, beside)
                places = self.places[result]
            place = next((p for p in places if self._covers(p, result)), None)
            if place is None:
                place = next((p for p in places if self._split_rows(p, result)), None)
            if place is None:
                return Boundary.SCATTERED
            self.outputs[result] = place
        self.members.append(op)
        for place in places:
            self._read_operands(op, place)
        return None

    def spans(self, value: SSAValue) -> bool:
        """Whether the value is read at every point of the domain, each element at one."""
        return any(
            is_bijection(place, shape_of(value), self.parallel) for place in self.places[value]
        )

    def _split_rows(self, place: Place, value: SSAValue) -> bool:
        """Makes rows of an elementwise domain in which `value` is the same along a row."""
        if self.kind is not Kind.MAP:
            return False
        parallel, reduced = self._rows_of(place)
        if not reduced or not is_bijection(place, shape_of(value), parallel):
            return False
        if prod(v.hi + 1 for v in reduced) > self.max_row:
            return False
        self.kind, self.parallel, self.reduced = Kind.REDUCTION, parallel, reduced
        return True

    def _rows_of(self, place: Place) -> tuple[list[Index], list[Index]]:
        """The variables that a place depends on, and the others."""
        used = {variable for component in place for variable in component.variables()}
        return (
            [v for v in self.parallel if used & v.terms.keys()],
            [v for v in self.parallel if v.terms and not used & v.terms.keys()],
        )

    def _covers(self, place: Place, value: SSAValue) -> bool:
        """Whether the domain computes every element of `value` exactly once at `place`."""
        shape = shape_of(value)
        if is_bijection(place, shape, self.parallel):
            return True
        rows = self.kind is Kind.REDUCTION
        return rows and is_bijection(place, shape, [*self.parallel, *self.reduced])

    def _add_reduction(self, op: GenericOp, place: Place) -> Boundary | None:
        sizes = _reduced_sizes(op)
        shape = shape_of(op.results[0])
        if self.kind is Kind.CONTRACTION:
            return Boundary.LOOPS
        parallel, reduced = self.parallel, self.reduced
        if self.kind is Kind.MAP:
            parallel, reduced = self._rows_of(place)
            if prod(v.hi + 1 for v in reduced) > self.max_row:
                return Boundary.LONG
            if not reduced:
                reduced = [var(size) for size in sizes]
        if not is_bijection(place, shape, parallel):
            return Boundary.SCATTERED
        extents = [v.hi + 1 for v in reduced]
        if prod(extents) != prod(sizes):
            return Boundary.LENGTH
        self.kind, self.parallel, self.reduced = Kind.REDUCTION, parallel, reduced
        loops = reduced
        if extents != sizes:
            loops = delinearize(linearize(reduced, extents), sizes)
        self._fold(op, place, loops)
        return None

    def _spanning(self, shape: tuple[int, ...]) -> Place | None:
        """Where values of that shape are read or stored, each element in the kernel's own loops."""
        if self.kind not in (Kind.MAP, Kind.REDUCTION):
            return None
        whole = [*self.parallel, *self.reduced]
        places = (p for v, ps in self.places.items() if shape_of(v) == shape for p in ps)
        return next((p for p in places if is_bijection(p, shape, whole)), None)

    def _add_sibling(self, op: GenericOp) -> bool:
        """Adds a reduction over the loops of another one that reads something as that one does."""
        for fold in self.folds:
            maps = {
                map for map in structured.input_maps(fold.op) if map.num_dims == len(map.results)
            }
            if (
                structured.loop_sizes(op) == structured.loop_sizes(fold.op)
                and structured.reduction_flags(op) == structured.reduction_flags(fold.op)
                and structured.output_map(op) == structured.output_map(fold.op)
                and not maps.isdisjoint(structured.input_maps(op))
            ):
                flags = structured.reduction_flags(op)
                reduced = [at for at, flag in zip(fold.loops, flags, strict=True) if flag]
                self.outputs[op.results[0]] = fold.place
                self._fold(op, fold.place, reduced)
                return True
        return False

    def _add_crossing(self, op: GenericOp) -> Boundary | None:
        """A reduction of as many neighbouring rows at a time as it has reduced iterations.

        Its first loops number these teams of rows, its others run along a row.
        """
        if self.kind is not Kind.REDUCTION:
            return Boundary.LOOPS
        rows, lengths = [v.hi + 1 for v in self.parallel], [v.hi + 1 for v in self.reduced]
        sizes, shape = _reduced_sizes(op), shape_of(op.results[0])
        team = prod(sizes)
        teams = next((n for n in range(len(shape)) if prod(shape[:n]) * team == prod(rows)), None)
        if teams is None or prod(shape[teams:]) != prod(lengths) or self.team not in (1, team):
            return Boundary.LENGTH
        row, position = linearize(self.parallel, rows), linearize(self.reduced, lengths)
        place = (*delinearize(row // team, shape[:teams]), *delinearize(position, shape[teams:]))
        self.team = team
        self.outputs[op.results[0]] = place
        self._fold(op, place, delinearize(row % team, sizes), self.crossings)
        return None

    def _add_contraction(self, op: GenericOp, place: Place) -> Boundary | None:
        shape = shape_of(op.results[0])
        if self.kind is not Kind.MAP:
            return Boundary.LOOPS
        if not is_bijection(place, shape, self.parallel):
            place = self._split_variables(place, shape)
            if not place:
                return Boundary.SCATTERED
        fresh = [var(size) for size in shape]
        self._substitute(invert(place, shape, fresh))
        self.kind, self.parallel = Kind.CONTRACTION, fresh
        self.reduced = [var(size) for size in _reduced_sizes(op)]
        self._fold(op, tuple(fresh), self.reduced)
        return None

    def _split_variables(self, place: Place, shape: Sequence[int]) -> Place:
        """The place in digits of the parallel variables, if these make it a bijection; else ()."""
        digits = split_digits(place)
        replace = {variable: sum(parts, ZERO) for variable, parts in digits.items()}
        parallel = [
            part
            for variable in self.parallel
            for part in next((digits[v] for v in variable.variables() & digits.keys()), [variable])
        ]
        moved = tuple(component.substitute(replace) for component in place)
        if not is_bijection(moved, shape, parallel):
            return ()
        self._substitute(replace)
        return moved

    def _substitute(self, replace: dict[Var, Index]) -> None:
        def moved(place: Place) -> Place:
            return tuple(component.substitute(replace) for component in place)

        self.places = {value: [moved(p) for p in ps] for value, ps in self.places.items()}
        self.outputs = {value: moved(p) for value, p in self.outputs.items()}

    def _fold(
        self,
        op: GenericOp,
        place: Place,
        reduced: Sequence[Index],
        folds: list[Fold] | None = None,
    ) -> None:
        flags = structured.reduction_flags(op)
        loops: list[Index] = [place[0] if place else var(1)] * len(flags)
        for expr, component in zip(structured.output_map(op).results, place, strict=True):
            assert isinstance(expr, AffineDimExpr)
            loops[expr.position] = component
        remaining = iter(reduced)
        for loop, is_reduced in enumerate(flags):
            if is_reduced:
                loops[loop] = next(remaining)
        self.members.append(op)
        (self.folds if folds is None else folds).append(Fold(op, place, loops))
        self._read(op, loops)

    def _read_operands(self, op: Operation, place: Place) -> None:
        if isinstance(op, GenericOp):
            # A map's output map is the identity, so its loops are its result's index.
            self._read(op, place)

    def _read(self, op: GenericOp, loops: list[Index] | Place) -> None:
        for operand, map in zip(structured.inputs(op), structured.input_maps(op), strict=True):
            self._note(operand, apply_map(map, loops))
        for operand in structured.extracted(op):
            self._note(operand, tuple(var(size) for size in shape_of(operand)))

    def _note(self, value: SSAValue, place: Place) -> None:
        places = self.places.setdefault(value, [])
        if place not in places:
            places.append(place)


def _reduced_sizes(op: GenericOp) -> list[int]:
    sizes = structured.loop_sizes(op)
    return [s for s, r in zip(sizes, structured.reduction_flags(op), strict=True) if r]
