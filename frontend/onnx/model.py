"""`load`: an ONNX model as a function of named arrays."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto

from stepwell.backends.errors import ArgumentError
from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend.array import Array, ArrayLike, asarray
from stepwell.frontend.onnx.dtypes import computed, numpy_dtype
from stepwell.frontend.onnx.importer import Graph, NotKnownError, declared_shape, element_of
from stepwell.frontend.onnx.registry import Value
from stepwell.frontend.transformations import jit

_KNOWN_ELEMENTS = 1024
_UPLOADED = ("f4", "f2", "i8", "i4", "i2", "i1", "u4", "u2", "u1", "?")


class Model:
    """A compiled ONNX model. It is compiled for each set of shapes that it is called with, and for
    each value of the inputs that decide about shapes (`specialized`).
    """

    def __init__(self, model: ModelProto, device: str | None = None):
        self._graph = Graph(model)
        self._device = device
        self.inputs = {i.name: _Declared(i) for i in self._graph.inputs}
        self.outputs = {o.name: _Declared(o) for o in self._graph.outputs}
        self.specialized: set[str] = set()
        """Inputs that were found to decide about shapes."""
        self._weights = {name: _weight(w) for name, w in self._graph.weights.items()}
        self._compiled: dict[Any, _Compiled] = {}

    def __call__(self, inputs: Mapping[str, ArrayLike]) -> dict[str, np.ndarray[Any, Any]]:
        """The outputs by name, in the dtypes that the model declares.

        Raises: ArgumentError for missing or unknown names and for wrong dtypes, UnsupportedError
        naming every node that has no meaning here.
        """
        given = {name: self._checked(name, inputs[name]) for name in sorted(inputs)}
        missing = [name for name in self.inputs if name not in given]
        if missing:
            raise ArgumentError(f"inputs {', '.join(missing)} are missing")
        while True:
            try:
                results = self._run(given)
                break
            except NotKnownError as error:
                if not error.inputs - self.specialized:
                    raise
                self.specialized |= error.inputs
        return {n: results[n].astype(numpy_dtype(o.element)) for n, o in self.outputs.items()}

    def _run(self, given: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        static = {name: given[name] for name in sorted(self.specialized)}
        traced = {
            name: asarray(value, computed(self.inputs[name].element))
            for name, value in given.items()
            if name not in static
        }
        shapes = tuple((name, value.shape) for name, value in given.items())
        key = (shapes, tuple((name, value.tobytes()) for name, value in static.items()))
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = _Compiled(self._graph, self._weights, static, self._device)
        results = compiled(traced)
        self._compiled[key] = compiled
        return results

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
        device: str | None,
    ):
        names = [output.name for output in graph.outputs]
        self._constants: dict[str, np.ndarray[Any, Any]] = {}

        def run(given: dict[str, Array]) -> dict[str, Array]:
            values = dict(zip(names, graph.run({**given, **static}, weights), strict=True))
            # What is known needs no program, and keeps the dtypes that WebGPU has not.
            self._constants = {n: v for n, v in values.items() if isinstance(v, np.ndarray)}
            return {n: v for n, v in values.items() if isinstance(v, Array)}

        self._jit = jit(run, device=device)

    def __call__(self, given: dict[str, Array]) -> dict[str, np.ndarray[Any, Any]]:
        results = self._jit(given)
        return {**self._constants, **{n: np.asarray(v) for n, v in results.items()}}


def _weight(value: np.ndarray[Any, Any]) -> Value:
    """Small weights stay known: they may be shapes. The others are uploaded once."""
    if value.size <= _KNOWN_ELEMENTS or value.dtype not in _UPLOADED:
        return value
    return asarray(value)


class _Declared:
    """What the model says of an input or output."""

    def __init__(self, proto: Any):
        if proto.type.WhichOneof("value") != "tensor_type":
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


def load(model: str | PathLike[str] | ModelProto, device: str | None = None) -> Model:
    """An ONNX model, from its file or message, as a function of named arrays.

    Raises: UnsupportedError that names each node which has no meaning here, with its opset.
    """
    if not isinstance(model, ModelProto):
        model = onnx.load(fspath(model))
    return Model(model, device)
