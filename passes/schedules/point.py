"""Evaluating the tensors of a kernel point by point.

A schedule lays out loops and asks for the value of a tensor at an index (`passes/index.py`). The
index may run over the lanes of a vector, and then the value is a vector. What was computed once in
an enclosing scope is used again; results of reductions are registered by the schedule.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from xdsl.dialects import arith, memref, tensor, vector
from xdsl.dialects.builtin import DenseArrayBase, IndexType, MemRefType, VectorType, i64
from xdsl.dialects.linalg.ops import FillOp, GenericOp, IndexOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue

from stepwell.dialects.build import clone, create
from stepwell.dialects.emit import Emitter, vector_type
from stepwell.dialects.kernel import VECTOR_FORMS, FromElementsOp
from stepwell.dialects.linalg_ext import InsertSliceOp
from stepwell.passes import structured
from stepwell.passes.domain import Place
from stepwell.passes.index import (
    Div,
    Index,
    Mod,
    Var,
    agree,
    apply_map,
    constant,
    linearize,
    var,
)
from stepwell.passes.structured import shape_of

INDEX = IndexType()


def quick(op: type[Operation], operands: Sequence[SSAValue], *results: Attribute) -> Operation:
    """An operation without properties."""
    return create(op, operands, results)


@cache
def _position(lane: int) -> dict[str, Attribute]:
    return {"static_position": DenseArrayBase.from_list(i64, [lane])}


@dataclass(frozen=True)
class Lanes:
    """The variable that runs over the lanes of a vector."""

    var: Var

    @property
    def width(self) -> int:
        return self.var.extent


class PointEmitter:
    """Emits values of tensors at indices into a current block."""

    def __init__(self, block: Block, buffers: dict[SSAValue, SSAValue], lanes: Lanes | None):
        self.emit = Emitter(block)
        self.buffers = buffers
        """The memref of each tensor that lives in memory."""
        self.lanes = lanes
        self.scopes: list[dict[object, SSAValue]] = [{}]
        self.positions: dict[tuple[Place, tuple[int, ...]], Index] = {}
        self.by_lane: dict[tuple[Lanes, Index], list[Index] | None] = {}
        """The position in each lane, of positions met before."""
        self.starts: list[SSAValue] = []
        """What reductions start from."""
        self.expressions: dict[SSAValue, Index] = {}
        """What values of type `index` in bodies stand for, where they are loops."""

    @contextmanager
    def inside(self, block: Block) -> Generator[None]:
        """Emits into `block`; what is computed there is forgotten at its end."""
        outer = self.emit.block
        self.emit.block = block
        self.scopes.append({})
        yield
        self.scopes.pop()
        self.emit.block = outer

    @contextmanager
    def over(self, lanes: Lanes | None) -> Generator[None]:
        """Evaluates over other lanes."""
        outer, self.lanes = self.lanes, lanes
        yield
        self.lanes = outer

    def register(self, tensor: SSAValue, place: Place, value: SSAValue) -> None:
        """Says what `tensor` is at `place` from here on."""
        self.scopes[-1][(tensor, place)] = value

    def _known(self, key: object) -> SSAValue | None:
        for scope in reversed(self.scopes):
            if (value := scope.get(key)) is not None:
                return value
        return None

    def value(self, tensor: SSAValue, place: Place) -> SSAValue:
        """The element of `tensor` at `place`: a scalar, or a vector if it differs by lane."""
        key = (tensor, place)
        if (known := self._known(key)) is not None:
            return known
        if tensor in self.buffers:
            value = self.load(self.buffers[tensor], self.position(place, shape_of(tensor)))
        else:
            owner = tensor.owner
            assert isinstance(owner, FillOp | GenericOp), f"no schedule computed {tensor}"
            if isinstance(owner, FillOp):
                value = self._fill(owner)
            elif structured.kind_of(owner) in (structured.Kind.MAP, structured.Kind.VIEW):
                value = self._body(owner, place)
            else:
                value = self._registered(tensor, place)
        self.scopes[-1][key] = value
        return value

    def _registered(self, tensor: SSAValue, place: Place) -> SSAValue:
        """What the schedule computed there, if it wrote the place in another way."""
        for scope in reversed(self.scopes):
            for key, value in scope.items():
                match key:
                    case (found, (*at,)) if found is tensor and agree(at, place):
                        return value
                    case _:
                        pass
        raise AssertionError(f"{tensor} is read where no schedule computed it")

    def _fill(self, op: FillOp) -> SSAValue:
        owner = op.inputs[0].owner
        assert isinstance(owner, arith.ConstantOp)
        return self._constant(owner)

    def _constant(self, op: arith.ConstantOp) -> SSAValue:
        key = (op.value, op.result.type)
        if (known := self._known(key)) is None:
            known = self.scopes[-1][key] = self.emit(clone(op, {}))
        return known

    def _body(self, op: GenericOp, place: Place) -> SSAValue:
        (result,) = structured.terminator(op).operands
        return self.terms(op, place)[result]

    def terms(self, op: GenericOp, loops: Sequence[Index]) -> dict[SSAValue, SSAValue]:
        """Every value of the body of `op` at `loops`, but for what needs the accumulator."""
        block = op.body.block
        maps = structured.input_maps(op)
        values: dict[SSAValue, SSAValue] = {}
        for argument in block.args:
            if argument.index < len(maps) and argument.first_use is not None:
                place = apply_map(maps[argument.index], loops)
                values[argument] = self.value(op.operands[argument.index], place)
        self.emit.location = op.location
        for inner in block.ops:
            if inner is block.last_op or any(
                isinstance(operand, BlockArgument) and operand not in values
                for operand in inner.operands
                if operand.owner is block
            ):
                continue
            values[inner.results[0]] = self._inner(inner, values, loops)
        return values

    def _inner(
        self, op: Operation, values: dict[SSAValue, SSAValue], loops: Sequence[Index]
    ) -> SSAValue:
        match op:
            case arith.ConstantOp():
                return self._constant(op)
            case IndexOp():
                loop = loops[op.dim.value.data]
                value = self.index(loop)
                self.expressions[value] = loop
                return value
            case tensor.ExtractOp():
                return self._extract(op.tensor, [values[index] for index in op.indices])
            case _:
                operands = [values[operand] for operand in op.operands]
                return self.apply(op, operands)

    def apply(self, op: Operation, operands: Sequence[SSAValue]) -> SSAValue:
        """The scalar operation `op` on other operands, lane by lane if any is a vector."""
        key = (type(op), *operands, *op.properties.values(), op.results[0].type)
        if (known := self._known(key)) is not None:
            return known
        result = op.results[0].type
        form = type(op)
        if any(isinstance(operand.type, VectorType) for operand in operands):
            operands = [self.broadcast(operand) for operand in operands]
            result = self._vector_type(result)
            form = VECTOR_FORMS.get(form, form)
        value = self.emit(create(form, operands, [result], op.properties, op.attributes))
        self.scopes[-1][key] = value
        return value

    def start(self, op: GenericOp) -> SSAValue:
        """What a reduction starts from, in every lane."""
        self.starts.append(self.emit(arith.ConstantOp(structured.start(op))))
        if self.lanes is not None:
            self.starts.append(self.broadcast(self.starts[-1]))
        return self.starts[-1]

    def combine(self, op: GenericOp, so_far: SSAValue, value: SSAValue) -> SSAValue:
        """What a reduction makes of both: the value itself where nothing came before it."""
        combine = structured.combiner(op)
        if _scalar_constant(so_far) == structured.neutral(combine):
            return self.broadcast(value) if isinstance(so_far.type, VectorType) else value
        return self.apply(combine, [so_far, value])

    def drop_unused_starts(self) -> None:
        """Erases the starts of reductions whose first value is known."""
        for value in reversed(self.starts):
            if value.first_use is None:
                assert isinstance(value.owner, Operation)
                value.owner.detach()
                value.owner.erase()

    def _vector_type(self, element: Attribute) -> VectorType:
        assert self.lanes is not None
        return vector_type(element, self.lanes.width)

    def broadcast(self, value: SSAValue) -> SSAValue:
        """`value` in every lane, if it is not a vector already."""
        if isinstance(value.type, VectorType):
            return value
        key = ("broadcast", value)
        if (known := self._known(key)) is None:
            known = self.emit(quick(vector.BroadcastOp, [value], self._vector_type(value.type)))
            self.scopes[-1][key] = known
        return known

    def lane(self, value: SSAValue, lane: int) -> SSAValue:
        """One lane of a vector; a scalar is the same in every lane."""
        if not isinstance(value.type, VectorType):
            return value
        key = ("lane", value, lane)
        if (known := self._known(key)) is None:
            known = self.emit(
                create(vector.ExtractOp, [value], [value.type.element_type], _position(lane))
            )
            self.scopes[-1][key] = known
        return known

    def _by_lane(self, values: Sequence[SSAValue]) -> SSAValue:
        return self.emit(create(FromElementsOp, values, [vector_type(values[0].type, len(values))]))

    def _extract(self, source: SSAValue, indices: Sequence[SSAValue]) -> SSAValue:
        """`source` at computed positions."""
        computed = [index for index in indices if index not in self.expressions]
        if any(isinstance(index.type, VectorType) for index in computed):
            assert self.lanes is not None
            return self._by_lane(
                [
                    self.value(source, self._place(source, indices, constant(lane)))
                    for lane in range(self.lanes.width)
                ]
            )
        return self.value(source, self._place(source, indices, None))

    def _place(self, source: SSAValue, indices: Sequence[SSAValue], lane: Index | None) -> Place:
        """Where `source` is read, in one lane if the positions differ by lane."""
        place: list[Index] = []
        for size, index in zip(shape_of(source), indices, strict=True):
            if (expression := self.expressions.get(index)) is None:
                value = index if lane is None else self.lane(index, lane.const)
                expression = var(size, value)
            elif lane is not None:
                assert self.lanes is not None
                expression = expression.substitute({self.lanes.var: lane})
            place.append(expression)
        return tuple(place)

    def _over_lanes(self, position: Index) -> list[Index] | None:
        """The position in each lane, if it differs by lane."""
        if self.lanes is None:
            return None
        key = (self.lanes, position)
        if key not in self.by_lane:
            self.by_lane[key] = self._split_lanes(position, self.lanes)
        return self.by_lane[key]

    def _split_lanes(self, position: Index, lanes: Lanes) -> list[Index] | None:
        if lanes.var not in position.variables():
            return None
        factor = position.terms.get(lanes.var)
        if factor is not None:
            rest = Index(
                {a: c for a, c in position.terms.items() if a is not lanes.var}, position.const
            )
            if lanes.var not in rest.variables():
                return [rest + factor * lane for lane in range(lanes.width)]
        found = [position.substitute({lanes.var: constant(lane)}) for lane in range(lanes.width)]
        return None if all(lane == found[0] for lane in found) else found

    def _is_vector(self, lanes: list[Index]) -> bool:
        """Whether the positions are one aligned vector of memory."""
        first = lanes[0]
        return first.divisible_by(len(lanes)) and all(
            lane == first + i or lane - first == constant(i) for i, lane in enumerate(lanes)
        )

    def position(self, place: Place, shape: tuple[int, ...]) -> Index:
        """The row-major position of a place; tensors of one shape often share it."""
        key = (place, shape)
        if key not in self.positions:
            self.positions[key] = linearize(place, shape)
        return self.positions[key]

    def stored(self, tensor: SSAValue, place: Place) -> tuple[SSAValue, Index]:
        """What the kernel stores for `tensor` at a place of its domain, and at which position."""
        op = tensor.owner
        if not isinstance(op, InsertSliceOp):
            return self.value(tensor, place), self.position(place, shape_of(tensor))
        window = [
            index + (constant(begin) if start is None else self._start(start, begin))
            for index, (begin, start) in zip(place, op.begins(), strict=True)
        ]
        position = linearize(window, shape_of(op.destination))
        return self.value(op.update, place), position

    def _start(self, start: SSAValue, last: int) -> Index:
        """Where a window begins, clamped to 0..last."""
        if not last:
            return constant(0)
        key = ("start", start, last)
        if (known := self._known(key)) is None:
            value = self.value(start, ())
            zero, limit = (self.emit.constant(bound, value.type) for bound in (0, last))
            value = self.emit(quick(arith.MaxSIOp, [value, zero], value.type))
            value = self.emit(quick(arith.MinSIOp, [value, limit], value.type))
            known = self.scopes[-1][key] = self.emit(quick(arith.IndexCastOp, [value], INDEX))
            self.expressions[known] = var(last + 1, known)
        return self.expressions[known]

    def load(self, source: SSAValue, position: Index) -> SSAValue:
        """Memory at a linear position."""
        lanes = self._over_lanes(position)
        if lanes is None:
            return self._load_one(source, self._first(position))
        if self._is_vector(lanes):
            assert isinstance(source.type, MemRefType)
            result = self._vector_type(source.type.element_type)
            return self.emit(quick(vector.LoadOp, [source, self.index(lanes[0])], result))
        return self._by_lane([self._load_one(source, lane) for lane in lanes])

    def _load_one(self, source: SSAValue, position: Index) -> SSAValue:
        assert isinstance(source.type, MemRefType)
        element = source.type.element_type
        return self.emit(quick(memref.LoadOp, [source, self.index(position)], element))

    def store(self, value: SSAValue, destination: SSAValue, position: Index) -> None:
        """Writes memory at a linear position."""
        lanes = self._over_lanes(position)
        if lanes is None:
            at = self.index(self._first(position))
            self.emit.insert(quick(memref.StoreOp, [value, destination, at]))
        elif self._is_vector(lanes):
            value = self.broadcast(value)
            at = self.index(lanes[0])
            self.emit.insert(quick(vector.StoreOp, [value, destination, at]))
        else:
            for number, lane in enumerate(lanes):
                element = self.lane(value, number)
                at = self.index(lane)
                self.emit.insert(quick(memref.StoreOp, [element, destination, at]))

    def _first(self, position: Index) -> Index:
        """A position that is the same in every lane, without the lane variable."""
        if self.lanes is None:
            return position
        return position.substitute({self.lanes.var: constant(0)})

    def index(self, position: Index) -> SSAValue:
        """An index expression as a value of type `index` (or a vector of it)."""
        if (known := self._known(position)) is not None:
            return known
        lanes = self._over_lanes(position)
        if lanes is None:
            return self._scalar(self._first(position))
        value = self._by_lane([self._scalar(lane) for lane in lanes])
        self.scopes[-1][position] = value
        return value

    def _scalar(self, position: Index) -> SSAValue:
        """An index expression that is the same in every lane."""
        if (known := self._known(position)) is None:
            known = self.scopes[-1][position] = self._sum(position)
        return known

    def _sum(self, position: Index) -> SSAValue:
        """The last term on top of the rest, which is shared by sums that begin alike.

        Subtraction comes last: an index is unsigned.
        """
        terms, const = position.terms, position.const
        if not terms:
            return self.emit.constant(const, INDEX)
        subtracted = [atom for atom, factor in terms.items() if factor < 0]
        if const < 0 or (const and not subtracted):
            rest, term = Index(terms, 0), constant(abs(const))
            operation = arith.AddiOp if const > 0 else arith.SubiOp
        else:
            last = (subtracted or [*terms])[-1]
            factor = abs(terms[last])
            if len(terms) == 1 and not subtracted:
                return self._scaled(self._atom(last), factor)
            rest = Index({a: c for a, c in terms.items() if a is not last}, const)
            term = Index({last: factor}, 0)
            operation = arith.SubiOp if subtracted else arith.AddiOp
        return self.emit(quick(operation, [self._scalar(rest), self._scalar(term)], INDEX))

    def _scaled(self, value: SSAValue, factor: int) -> SSAValue:
        if factor == 1:
            return value
        return self.emit(quick(arith.MuliOp, [value, self._scalar(constant(factor))], INDEX))

    def _atom(self, atom: Var | Div | Mod) -> SSAValue:
        if isinstance(atom, Var):
            assert atom.value is not None, "an index variable has no value yet"
            return atom.value
        key = ("atom", atom)
        if (known := self._known(key)) is None:
            operation = arith.DivUIOp if isinstance(atom, Div) else arith.RemUIOp
            divisor = self.index(constant(atom.divisor))
            known = self.emit(quick(operation, [self.index(atom.base), divisor], INDEX))
            self.scopes[-1][key] = known
        return known


def _scalar_constant(value: SSAValue) -> Attribute | None:
    """The constant that a value, or each of its lanes, is."""
    owner = value.owner
    if isinstance(owner, vector.BroadcastOp):
        owner = owner.source.owner
    return owner.value if isinstance(owner, arith.ConstantOp) else None
