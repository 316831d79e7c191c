"""`load`: an ONNX model as a function of named arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto
from onnx.checker import ValidationError

from stepwell.backends.errors import ArgumentError
from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend import float64
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.dtypes import DTypeLike, as_dtype
from stepwell.frontend.executable import Executable, Spec
from stepwell.frontend.float64 import Float64
from stepwell.frontend.onnx.dtypes import (
    argument,
    computed,
    doubles,
    exact,
    numpy_dtype,
    specified,
    word,
)
from stepwell.frontend.onnx.importer import Graph, declared_shape, element_of, weight
from stepwell.frontend.onnx.noise import seeded, seeds
from stepwell.frontend.onnx.registry import Bounded, NotKnownError, Traced, Value
from stepwell.frontend.transformations import jit


class Model:
    """A compiled ONNX model. It is compiled for each set of shapes that it is called with, and for
    each value of the inputs that decide about shapes (`specialized`).
    """

    def __init__(
        self,
        model: ModelProto,
        device: str | None = None,
        float64: DTypeLike | None = None,
        seed: int | None = None,
    ):
        self._graph = Graph(model)
        self._device = device
        self._doubles = None if float64 is None else as_dtype(float64)
        self._seeds = None if seed is None else seeds(seed)
        self.inputs = {i.name: _Declared(i) for i in self._graph.inputs}
        self.outputs = {o.name: _Declared(o) for o in self._graph.outputs}
        self.specialized: set[str] = set()
        """Inputs that were found to decide about shapes."""
        with doubles(self._doubles):
            self._weights = {name: weight(w, name) for name, w in self._graph.weights.items()}
        self._compiled: dict[Any, _Compiled] = {}

    def __call__(self, inputs: Mapping[str, ArrayLike]) -> dict[str, np.ndarray[Any, Any]]:
        """The outputs by name, in the dtypes that the model declares.

        Raises: ArgumentError for missing or unknown names and for wrong dtypes, UnsupportedError
        naming every node that has no meaning here.
        """
        if not hasattr(inputs, "keys"):
            raise ArgumentError("the inputs are a mapping of names to arrays")
        given = {name: self._checked(name, inputs[name]) for name in sorted(inputs)}
        missing = [name for name in self.inputs if name not in given]
        if missing:
            raise ArgumentError(f"inputs {', '.join(missing)} are missing")
        _check_symbols(self.inputs, {name: value.shape for name, value in given.items()})
        with doubles(self._doubles), seeded(self._seeds):
            results = self._specialize(given, lambda compiled: compiled.lower(given))(given)
        return {name: declared.typed(results[name]) for name, declared in self.outputs.items()}

    def lower(
        self,
        shapes: Mapping[str, Sequence[int]] | None = None,
        values: Mapping[str, ArrayLike] | None = None,
        target: str | None = None,
    ) -> Executable:
        """The executable for inputs of these shapes (the declared ones by default), with its IR
        and program, without running it. `values` has the inputs that decide about shapes.

        Raises: ArgumentError for shapes that are not known, UnsupportedError as a call does.
        """
        for name in (*(shapes or {}), *(values or {})):
            if name not in self.inputs:
                raise ArgumentError(
                    f"there is no input {name!r}: they are {', '.join(self.inputs)}"
                )
        given: dict[str, Any] = {}
        with doubles(self._doubles), seeded(self._seeds):
            for name, declared in sorted(self.inputs.items()):
                if values is not None and name in values:
                    value = np.asarray(values[name], numpy_dtype(declared.element))
                    given[name] = self._checked(name, value)
                else:
                    wanted = (shapes or {}).get(name, declared.shape)
                    given[name] = Spec(declared.known(name, wanted), word(declared.element))
            _check_symbols(self.inputs, {name: value.shape for name, value in given.items()})
            return self._specialize(given, lambda compiled: compiled.lower(given, target)).last

    def _specialize(
        self, given: Mapping[str, Any], lower: Callable[[_Compiled], object]
    ) -> _Compiled:
        """What is compiled for these inputs, when it is known which ones decide about shapes."""
        while True:
            unknown = [n for n in sorted(self.specialized) if isinstance(given[n], Spec)]
            if unknown:
                raise ArgumentError(f"inputs {', '.join(unknown)} decide about shapes: give values")
            static = {name: given[name] for name in sorted(self.specialized)}
            shapes = tuple((name, value.shape) for name, value in given.items())
            key = (shapes, tuple((name, value.tobytes()) for name, value in static.items()))
            compiled = self._compiled.get(key)
            if compiled is None:
                elements = {n: self.inputs[n].element for n in given if n not in static}
                weights = self._weights
                compiled = _Compiled(self._graph, weights, static, elements, self._device)
            try:
                lower(compiled)
            except NotKnownError as error:
                if not error.inputs - self.specialized:
                    raise
                self.specialized |= error.inputs
                continue
            self._compiled[key] = compiled
            return compiled

    def _checked(self, name: str, value: ArrayLike) -> np.ndarray[Any, Any]:
        declared = self.inputs.get(name)
        if declared is None:
            raise ArgumentError(f"there is no input {name!r}: they are {', '.join(self.inputs)}")
        array = np.asarray(value)
        if array.dtype != numpy_dtype(declared.element):
            raise ArgumentError(
                f"input {name!r} is {array.dtype}, not {numpy_dtype(declared.element)}"
            )
        declared.check(name, array.shape)
        return array


class _Compiled:
    """The function for one set of shapes and of known inputs."""

    def __init__(
        self,
        graph: Graph,
        weights: Mapping[str, Value],
        static: Mapping[str, Value],
        elements: Mapping[str, int],
        device: str | None,
    ):
        self._elements = elements
        self.last: Executable
        """What was compiled last."""
        names = [output.name for output in graph.outputs]
        self._constants: dict[str, np.ndarray[Any, Any]] = {}
        self._axes: dict[str, int] = {}
        """Those along which outputs are cut."""

        def run(given: dict[str, Traced]) -> dict[str, Traced | dict[str, Array]]:
            values = dict(zip(names, graph.run({**given, **static}, weights), strict=True))
            for output in graph.outputs:
                _check_type(output.name, element_of(output), values[output.name])
            # What is known needs no program, and keeps the dtypes that WebGPU has not.
            self._constants = {n: v for n, v in values.items() if isinstance(v, np.ndarray)}
            bounded = {n: v for n, v in values.items() if isinstance(v, Bounded)}
            self._axes = {n: v.axis for n, v in bounded.items()}
            return {
                **{n: v for n, v in values.items() if isinstance(v, Array | Float64)},
                **{n: {"count": v.count, "values": v.values} for n, v in bounded.items()},
            }

        self._jit = jit(run, device=device)

    def lower(self, given: Mapping[str, Any], target: str | None = None) -> None:
        """Traces the model for inputs like these."""
        specs = {n: specified(given[n].shape, element) for n, element in self._elements.items()}
        self.last = self._jit.lower(specs, target=target)

    def __call__(self, given: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
        arguments = {name: argument(given[name]) for name in self._elements}
        results = {n: self._whole(n, v) for n, v in self._jit(arguments).items()}
        return {**self._constants, **results}

    def _whole(self, name: str, result: Any) -> np.ndarray[Any, Any]:
        """An output, without what stands behind its end."""
        if isinstance(result, Float64):
            return float64.to_numpy(result)
        if name not in self._axes:
            return np.asarray(result)
        kept = [slice(None)] * self._axes[name] + [slice(int(result["count"]))]
        return np.asarray(result["values"])[tuple(kept)]


def _check_type(name: str, element: int, value: Value) -> None:
    """Raises: ArgumentError unless an output has the type that the model declares."""
    if element == TensorProto.UNDEFINED:
        return
    found = value.values if isinstance(value, Bounded) else value
    dtype = np.dtype(np.float64) if isinstance(found, Float64) else found.dtype
    known = not isinstance(found, Array) or exact(element)
    if dtype != (numpy_dtype(element) if known else computed(element)):
        declared = TensorProto.DataType.Name(element)
        raise ArgumentError(f"output {name!r} is declared as {declared}, but is {dtype}")


class _Declared:
    """What the model says of an input or output."""

    def __init__(self, proto: Any):
        if proto.type.WhichOneof("value") not in ("tensor_type", None):
            raise UnsupportedError(f"{proto.name!r} is no tensor, but a sequence, map or optional")
        self.element = element_of(proto)
        self.shape = declared_shape(proto) if proto.type.tensor_type.HasField("shape") else None

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Raises: ArgumentError unless the declared shape allows this one."""
        if self.shape is None:
            return
        fits = len(shape) == len(self.shape) and all(
            not isinstance(wanted, int) or wanted == size
            for wanted, size in zip(self.shape, shape, strict=True)
        )
        if not fits:
            raise ArgumentError(f"input {name!r} has shape {list(shape)}, not {self.shape}")

    def typed(self, value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """An output in the dtype that the model declares."""
        if self.element == TensorProto.UNDEFINED:
            return value
        return value.astype(numpy_dtype(self.element), copy=False)

    def known(self, name: str, shape: Sequence[int | str | None] | None) -> tuple[int, ...]:
        """The shape, if all its sizes are numbers that fit. Raises: ArgumentError."""
        if shape is None or any(not isinstance(size, int) or size < 0 for size in shape):
            raise ArgumentError(f"input {name!r} has the shape {shape}: say which it is to be")
        numbers = tuple(size for size in shape if isinstance(size, int))
        self.check(name, numbers)
        return numbers


def _check_symbols(
    declared: Mapping[str, _Declared], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Raises: ArgumentError unless sizes with the same name are the same in all inputs."""
    found: dict[str, tuple[int, str]] = {}
    for name, shape in shapes.items():
        for symbol, size in zip(declared[name].shape or (), shape, strict=False):
            if not isinstance(symbol, str):
                continue
            first, where = found.setdefault(symbol, (size, name))
            if first != size:
                raise ArgumentError(
                    f"{symbol!r} is {first} in the shape of input {where!r}, and {size} in that "
                    f"of {name!r}"
                )


def load(
    model: str | PathLike[str] | ModelProto,
    device: str | None = None,
    *,
    float64: DTypeLike | None = None,
    seed: int | None = None,
) -> Model:
    """An ONNX model, from its file or message, as a function of named arrays.

    WebGPU has no 64-bit floats. Sums, differences, products, quotients, comparisons, conversions
    and what moves elements are computed with integers, bit for bit as NumPy does; other nodes that
    need them are refused, unless `float64` says in which dtype to compute all of them: "float32".

    Random numbers are Stepwell's own, not another system's: they are refused without a `seed`.
    Every call draws others; models that are loaded with the same seed give the same, call by call.

    Outputs whose sizes depend on values (NonZero, Unique, Compress, NonMaxSuppression...) are
    computed with the largest size there may be, and returned with their own.

    Data outside the file lies in its folder.

    Raises: ArgumentError for what is no valid ONNX model, naming all that is wrong. Whether its
    operators have a meaning here is looked at when it is compiled.
    """
    if not isinstance(model, ModelProto):
        path = fspath(model)
        try:
            model = onnx.load(path, format="protobuf")
        except (DecodeError, ValidationError, ValueError) as error:
            raise ArgumentError(f"{path} is no ONNX model: {error}") from None
    if not model.HasField("graph"):
        raise ArgumentError("the model has no graph")
    return Model(model, device, float64, seed)
