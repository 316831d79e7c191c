"""Random ONNX models by nnsmith, which must give what onnxruntime gives.

`python tests/onnx_fuzz.py --count 2000` makes models until so many were compared, prints those that
differ and fails if there are any. It needs nnsmith, and PyTorch to write what nnsmith makes:

    pip install --no-deps nnsmith==0.1.0 z3-solver multipledispatch appdirs omegaconf==2.3.0 \\
        antlr4-python3-runtime==4.9.3 pyyaml

`--write models.zip` keeps the models instead, and `--read models.zip` compares what was kept, which
needs neither: making a model takes longer than comparing it, and need not be where the device is.
The tests read the first 200 that are small:

    python tests/onnx_fuzz.py --count 200 --bytes 8192 --write tests/onnx_random.zip

A model is compared on inputs for which every number in it is finite and onnxruntime's own result
does not hang on roundings: it stays with optimisation on, with inputs and all that operators round
some ulps away, and no comparison, rounding or argmax in it is closer than that to turning. Models
without such inputs, or of types other than f32, i32 and bool (i64 and f64 inside), are left out.
All this is decided before Stepwell sees the model.
"""

from __future__ import annotations

import argparse
import random
import sys
import warnings
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, TensorProto, helper, numpy_helper, shape_inference

import stepwell as sw

KEPT = Path(__file__).parent / "onnx_random.zip"
_TYPES = {"FLOAT", "INT32", "BOOL", "INT64", "DOUBLE"}
_RANGES = [(-1, 1), (0, 1), (-0.3, 0.9), (1, 2), (1, 9), (-6, 6)]
_ATTEMPTS = 12
_RTOL, _ATOL = 1e-3, 1e-4
_ULPS = 1e-6
_EXACT = {
    "Abs", "Cast", "Ceil", "Clip", "Concat", "Constant", "Expand", "Flatten", "Floor", "Gather",
    "Identity", "Max", "MaxPool", "Min", "Neg", "Pad", "ReduceMax", "ReduceMin", "Relu", "Reshape",
    "Round", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where",
}  # fmt: skip
"""Operators that round nothing, or on purpose."""
_ALWAYS, _UNLESS_WHOLE = ":rounded", ":rounded unless whole"
_WHOLE = {"Add", "Conv", "Gemm", "MatMul", "Mul", "ReduceSum", "Sub"}
"""Operators that give whole numbers of whole numbers without rounding."""

Values = dict[str, np.ndarray[Any, Any]]
Result = TypeVar("Result")


def generated(seed: int) -> ModelProto | None:
    """A model of 5 to 30 operations; None where its types do not exist in ONNX."""
    import torch
    from nnsmith.abstract.dtype import DType
    from nnsmith.graph_gen import model_gen
    from nnsmith.materialize.onnx import ONNXModelCPU

    random.seed(seed)
    np.random.seed(seed)
    operators = sorted(ONNXModelCPU.operators(), key=lambda operator: operator.__name__)
    made = model_gen(
        opset=operators, method="concolic", seed=seed, max_nodes=5 + seed % 26,
        max_elem_per_tensor=4096, dtype_choices=[DType.float32, DType.int32, DType.bool],
    )  # fmt: skip
    torch.manual_seed(seed)
    export = torch.onnx.export
    torch.onnx.export = partial(export, dynamo=False)
    try:
        return ONNXModelCPU.from_gir(made.make_concrete()).get_onnx_from_torch()
    except (NotImplementedError, RuntimeError, shape_inference.InferenceError):
        return None
    finally:
        torch.onnx.export = export


def kept(*paths: Path) -> dict[int, ModelProto]:
    """The models of archives by their seeds."""
    models: dict[int, ModelProto] = {}
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                models[int(name)] = onnx.load_model_from_string(archive.read(name))
    return models


def comparable(model: ModelProto, seed: int) -> tuple[Values, Values] | None:
    """Inputs and onnxruntime's outputs for them, on which a comparison has a meaning."""
    if not _types(model) <= _TYPES:
        return None
    outputs = [output.name for output in model.graph.output]
    try:
        whole, optimised = _session(_with_all_values(model)), _session(model, optimised=True)
    except Exception as error:  # an operator of a type that onnxruntime has not
        if "NOT_IMPLEMENTED" in str(error):
            return None
        raise
    names = [output.name for output in whole.get_outputs()]
    rounded: Any = None
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for attempt in range(seed * _ATTEMPTS, (seed + 1) * _ATTEMPTS):
        inputs = _inputs(model, attempt)
        values = dict(zip(names, whole.run(None, inputs), strict=True))
        if not all(map(_ordinary, values.values())) or _on_edge(
            model, {**weights, **inputs, **values}
        ):
            continue
        expected = {name: values[name] for name in outputs}
        rounded = rounded or _session(_with_roundings(model, values))
        wanted = [i.name for i in rounded.get_inputs()]
        near = (optimised.run(None, inputs), *(
            rounded.run(None, _moved(wanted, inputs, values, attempt + i)) for i in range(3)
        ))  # fmt: skip
        if all(
            not difference(theirs, value, _RTOL / 5, _ATOL / 5)
            for run in near
            for theirs, value in zip(run, expected.values(), strict=True)
        ):
            return inputs, expected
    return None


def difference(
    ours: np.ndarray[Any, Any],
    theirs: np.ndarray[Any, Any],
    rtol: float = _RTOL,
    atol: float = _ATOL,
) -> str:
    """What differs; nothing where they are equal."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return f"{ours.dtype}{list(ours.shape)} instead of {theirs.dtype}{list(theirs.shape)}"
    floats = theirs.dtype.kind == "f"
    bad = ~np.isclose(ours, theirs, rtol, atol) if floats else ours != theirs
    if not bad.any():
        return ""
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{bad.sum()} of {bad.size}, at {list(at)} {ours[at]} instead of {theirs[at]}"


def problems(model: ModelProto, inputs: Values, expected: Values) -> list[str]:
    """Where Stepwell's outputs differ."""
    outputs = sw.onnx.load(model, float64="float32")(inputs)
    found = {name: difference(outputs[name], value) for name, value in expected.items()}
    return [f"{name}: {text}" for name, text in found.items() if text]


def _types(model: ModelProto) -> set[str]:
    graph = shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.output, *graph.value_info)
    elements = {value.type.tensor_type.elem_type for value in values}
    elements |= {tensor.data_type for tensor in graph.initializer}
    return {TensorProto.DataType.Name(element) for element in elements}


def _session(model: ModelProto, optimised: bool = False) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    )
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)


def _with_all_values(model: ModelProto) -> ModelProto:
    """The model with every value in it as an output."""
    whole = ModelProto()
    whole.CopyFrom(model)
    outputs = {output.name for output in model.graph.output}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in outputs:
                whole.graph.output.append(helper.make_empty_tensor_value_info(name))
    return whole


def _inputs(model: ModelProto, seed: int) -> Values:
    rng = np.random.default_rng(seed)
    low, high = _RANGES[seed % len(_RANGES)]
    weights = {tensor.name for tensor in model.graph.initializer}
    values: Values = {}
    for declared in model.graph.input:
        if declared.name in weights:
            continue
        tensor = declared.type.tensor_type
        shape = [dim.dim_value for dim in tensor.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if dtype.kind == "f":
            value = rng.uniform(low, high, shape)
        else:
            value = rng.integers(0, 2, shape) if dtype.kind == "b" else rng.integers(-3, 10, shape)
        values[declared.name] = np.asarray(value, dtype)
    return values


def _with_roundings(model: ModelProto, values: Values) -> ModelProto:
    """The model with factors, which are inputs, on all floats that its operators round.

    Those that end in `_UNLESS_WHOLE` are for what is not rounded where it is a whole number.
    """
    rounded = ModelProto()
    rounded.CopyFrom(model)
    rounded.graph.ClearField("node")
    for node in model.graph.node:
        own = rounded.graph.node.add()
        own.CopyFrom(node)
        for at, name in enumerate(node.output):
            if node.op_type in _EXACT or name not in values or values[name].dtype.kind != "f":
                continue
            own.output[at] = f"{name}:exact"
            element = helper.np_dtype_to_tensor_dtype(values[name].dtype)
            kind = _UNLESS_WHOLE if node.op_type in _WHOLE else _ALWAYS
            factor = helper.make_tensor_value_info(name + kind, element, values[name].shape)
            rounded.graph.input.append(factor)
            rounded.graph.node.append(
                helper.make_node("Mul", [own.output[at], factor.name], [name])
            )
    return rounded


def _moved(wanted: Sequence[str], inputs: Values, values: Values, seed: int) -> Values:
    """What the model with roundings takes: inputs with floats some ulps away, and factors."""
    rng = np.random.default_rng(seed)
    moved: Values = {}
    for name in wanted:
        of, _, kind = name.rpartition(":")
        value = inputs[name] if name in inputs else values[of]
        near = 1 + rng.uniform(-_ULPS, _ULPS, value.shape)
        if name in inputs:
            near = value * near if value.dtype.kind == "f" else value
        elif f":{kind}" == _UNLESS_WHOLE:
            near = np.where(value % 1 == 0, 1, near)
        moved[name] = np.asarray(near, value.dtype)
    return moved


def _ordinary(value: np.ndarray[Any, Any]) -> bool:
    """Whether all numbers are finite, and no integer needs more than 32 bits."""
    limit = 2.0**31 if value.dtype.kind == "i" else 1e30
    return bool((np.abs(value.astype(np.float64)) < limit).all())


def _on_edge(model: ModelProto, values: Values) -> bool:
    """Whether a discontinuous operator reads a number next to where it turns."""

    def close(a: Any, b: Any, least: float = 0) -> bool:
        size = np.maximum(np.maximum(np.abs(a), np.abs(b)), least)
        return bool(((a != b) & (np.abs(a - b) <= 1e-5 * size)).any())

    for node in model.graph.node:
        read = [values[name] for name in node.input if name in values]
        if not read or read[0].dtype.kind != "f" or not read[0].size:
            continue
        x = read[0].astype(np.float64)
        if node.op_type in ("Greater", "Less", "Equal", "GreaterOrEqual", "LessOrEqual"):
            edge = close(x, read[1])
        elif node.op_type in ("Floor", "Ceil", "Cast"):
            edge = close(x, np.round(x), 1)
        elif node.op_type == "Round":
            edge = close(x, np.floor(x) + 0.5)
        elif node.op_type in ("ArgMax", "ArgMin"):
            axis = helper.get_node_attr_value(node, "axis")
            ordered = np.sort(x, axis)
            edge = close(ordered.take(range(1, x.shape[axis]), axis),
                         ordered.take(range(x.shape[axis] - 1), axis))  # fmt: skip
        else:
            continue
        if edge:
            return True
    return False


Compared = tuple[ModelProto, Values, Values]


def _ready(seed: int, model: ModelProto | None = None) -> Compared | None:
    """A model, made if it is not given, with inputs and outputs; None where it has no such."""
    model = model or generated(seed)
    found = None if model is None else comparable(model, seed)
    return None if model is None or found is None else (model, *found)


def _made(seed: int) -> bytes | None:
    found = _ready(seed)
    return None if found is None else found[0].SerializeToString()


def _compared(seed: int, model: ModelProto | None = None) -> list[str] | None:
    """Where Stepwell differs; None where there is nothing to compare."""
    found = _ready(seed, model)
    if found is None:
        return None
    try:
        return problems(*found)
    except Exception as error:  # whatever it is, it is to be reported
        return [f"{type(error).__name__}: {error}"]


def _each(
    function: Callable[..., Result], items: Iterable[tuple[Any, ...]], jobs: int
) -> Iterator[tuple[int, Result]]:
    """The seed, which is an item's first, and function(*item) for each, over processes."""
    waiting: deque[tuple[int, Future[Result]]] = deque()
    with ProcessPoolExecutor(
        jobs, get_context("spawn"), warnings.simplefilter, ("ignore",)
    ) as pool:
        for item in items:
            waiting.append((item[0], pool.submit(function, *item)))
            if len(waiting) > 2 * jobs:
                seed, future = waiting.popleft()
                yield seed, future.result()
        for seed, future in waiting:
            yield seed, future.result()


def _write(path: Path, seeds: Iterable[tuple[int]], most: int, most_bytes: int, jobs: int) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for seed, text in _each(_made, seeds, jobs):
            if text is not None and len(text) <= most_bytes:
                archive.writestr(zipfile.ZipInfo(str(seed)), text, zipfile.ZIP_DEFLATED)
                if len(archive.namelist()) == most:
                    break


def _compare(items: Iterable[tuple[Any, ...]], most: int, jobs: int) -> bool:
    """Whether all are equal. Prints what differs, and how many were compared."""
    compared = different = 0
    for seed, found in _each(_compared, items, jobs):
        for problem in found or ():
            print(f"seed {seed}: {problem}", flush=True)
        compared += found is not None
        different += bool(found)
        if compared == most:
            break
    print(f"{compared} models, {different} differ")
    return not different


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="how many to compare or write")
    parser.add_argument("--seed", type=int, default=0, help="of the first model that is made")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the work")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--write", type=Path, metavar="ARCHIVE", help="keep what is made in a file")
    where.add_argument("--read", type=Path, metavar="ARCHIVE", nargs="+", help="compare such files")
    parser.add_argument("--bytes", type=int, default=1 << 31, help="of a model in a file, at most")
    options = parser.parse_args(argv)
    seeds = ((seed,) for seed in count(options.seed))
    if options.write:
        _write(options.write, seeds, options.count, options.bytes, options.jobs)
        return 0
    items = kept(*options.read).items() if options.read else seeds
    return 0 if _compare(items, options.count, options.jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
