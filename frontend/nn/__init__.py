"""Neural network modules by PyTorch's names. See `module.py` for what a module is."""

from stepwell.frontend.nn import functional, init
from stepwell.frontend.nn.layers import (
    GELU,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    Identity,
    LayerNorm,
    Linear,
    LogSoftmax,
    ModuleList,
    ReLU,
    RMSNorm,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from stepwell.frontend.nn.module import Buffer, Module, Parameter, functional_call
from stepwell.frontend.nn.quantization import QuantizedLinear, quantize

__all__ = [
    "GELU",
    "Buffer",
    "Conv2d",
    "Dropout",
    "Embedding",
    "Flatten",
    "Identity",
    "LayerNorm",
    "Linear",
    "LogSoftmax",
    "Module",
    "ModuleList",
    "Parameter",
    "QuantizedLinear",
    "RMSNorm",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "functional",
    "functional_call",
    "init",
    "quantize",
]
