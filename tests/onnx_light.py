"""The nine light models of the package `onnx`: whole image networks whose weights are left out.

`python tests/onnx_light.py [NAME...]` runs them with seeded weights and compares them with
onnxruntime. The largest (vgg19) has 0.6 GB of weights.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test as backend_tests
import onnxruntime
from onnx import ModelProto, numpy_helper, shape_inference

import stepwell as sw

_FOLDER = Path(backend_tests.__file__).parent / "data" / "light"
NAMES = sorted(path.stem.removeprefix("light_") for path in _FOLDER.glob("*.onnx"))


def model(name: str) -> ModelProto:
    """The model with weights in place of the constants, and with its logits as an output."""
    proto = onnx.load(_FOLDER / f"light_{name}.onnx")
    graph = proto.graph
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    rng = np.random.default_rng(NAMES.index(name))
    kept: list[Any] = []
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            shape = known.pop(node.input[0])
            if len(shape) > 1:
                value = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
            else:
                value = rng.uniform(0.5, 1.5, shape)
            known[node.output[0]] = value.astype(np.float32)
        else:
            kept.append(node)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    read = {name for node in kept for name in node.input}
    graph.initializer.extend(
        numpy_helper.from_array(value, key) for key, value in known.items() if key in read
    )
    inputs = [value for value in graph.input if value.name not in known and "data_0" in value.name]
    del graph.input[:]
    graph.input.extend(inputs)
    softmax = next((node for node in kept if node.op_type == "Softmax"), None)
    if softmax is not None:
        shapes = shape_inference.infer_shapes(proto).graph.value_info
        graph.output.extend(value for value in shapes if value.name == softmax.input[0])
    return proto


def difference(name: str) -> tuple[float, float]:
    """The largest difference from onnxruntime over the largest output, and seconds until it."""
    proto = model(name)
    (declared,) = proto.graph.input
    shape = [dim.dim_value for dim in declared.type.tensor_type.shape.dim]
    x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    start = time.perf_counter()
    ours = sw.onnx.load(proto)({declared.name: x})
    seconds = time.perf_counter() - start
    theirs = session.run(list(ours), {declared.name: x})
    worst = 0.0
    for mine, other in zip(ours.values(), theirs, strict=True):
        assert mine.shape == other.shape and np.ptp(other) > 0
        worst = max(worst, float(np.abs(mine - other).max() / np.abs(other).max()))
    return worst, seconds


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], default=NAMES)
    worst = 0.0
    for name in parser.parse_args(argv).names:
        off, seconds = difference(name)
        print(f"{name}: {off:.1e} of the largest output off, {seconds:.1f} s", flush=True)
        worst = max(worst, off)
    return 0 if worst < 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
