"""ONNX's backend interface (`onnx.backend.base`): `prepare`, `run_model`, `run_node`.

Devices are ONNX's names or Stepwell's; "CPU" and "CUDA" mean the best one there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, checker, helper
from onnx.backend.base import Backend, BackendRep, namedtupledict

from stepwell.dialects.errors import StepwellError
from stepwell.frontend.onnx.importer import Graph
from stepwell.frontend.onnx.model import Model

_BEST = ("", "CPU", "CUDA")


class Prepared(BackendRep):
    """A loaded model."""

    def __init__(self, model: Model):
        self.model = model

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The outputs in order, for inputs by name or in order."""
        names = list(self.model.inputs)
        if not isinstance(inputs, Mapping):
            given = inputs if isinstance(inputs, Sequence) else [inputs]
            inputs = dict(zip(names, given, strict=True))
        results = self.model(inputs)
        return namedtupledict("Outputs", list(results))(*results.values())


class StepwellBackend(Backend):
    """Runs models on WebGPU."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device in _BEST

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether the model can be loaded. Nodes are looked at when it is run."""
        try:
            Graph(model)
        except StepwellError:
            return False
        return True

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> Prepared:
        checker.check_model(model)
        return Prepared(Model(model, None if device in _BEST else device))

    @classmethod
    def run_model(
        cls, model: ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any
    ) -> tuple[Any, ...]:
        return cls.prepare(model, device).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[Any, tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """The outputs of a single node. Their dtypes are those of `outputs_info`, else of the
        first input.
        """
        arrays = [np.asarray(value) for value in inputs]
        names = [name for name in node.input if name]
        dtypes = [np.dtype(dtype) for dtype, _ in outputs_info or ()]
        graph = helper.make_graph(
            [node],
            "node",
            [_info(n, a.dtype, a.shape) for n, a in zip(names, arrays, strict=True)],
            [
                _info(name, dtypes[i] if dtypes else arrays[0].dtype, None)
                for i, name in enumerate(name for name in node.output if name)
            ],
        )
        version = kwargs.get("opset_version")
        opsets = None if version is None else [helper.make_opsetid(node.domain, version)]
        model = helper.make_model(graph, opset_imports=opsets)
        return Prepared(Model(model, None if device in _BEST else device)).run(arrays)


def _info(name: str, dtype: Any, shape: Sequence[int] | None) -> Any:
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, element, shape)


is_compatible = StepwellBackend.is_compatible
prepare = StepwellBackend.prepare
run = StepwellBackend.run_model
run_model = StepwellBackend.run_model
run_node = StepwellBackend.run_node
supports_device = StepwellBackend.supports_device
