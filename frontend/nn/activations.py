"""Activations as modules, with PyTorch's names and parameters."""

from __future__ import annotations

import numpy as np

from stepwell.frontend.array import Array
from stepwell.frontend.nn import functional as f
from stepwell.frontend.nn.module import Module, Parameter


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Array) -> Array:
        return f.relu(x)


class GELU(Module):
    """x times the normal distribution function of x."""

    def __init__(self, approximate: str = "none"):
        super().__init__()
        self.approximate = approximate

    def forward(self, x: Array) -> Array:
        return f.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x * sigmoid(x)."""

    def forward(self, x: Array) -> Array:
        return f.silu(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Array) -> Array:
        return f.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x: Array) -> Array:
        return f.tanh(x)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along `dim`."""

    def __init__(self, dim: int = -1):
        super().__init__()
        self.dim = dim

    def forward(self, x: Array) -> Array:
        return f.softmax(x, self.dim)


class LogSoftmax(Module):
    """x - logsumexp(x) along `dim`."""

    def __init__(self, dim: int = -1):
        super().__init__()
        self.dim = dim

    def forward(self, x: Array) -> Array:
        return f.log_softmax(x, self.dim)


class Softmin(Module):
    """The softmax of -x along `dim`."""

    def __init__(self, dim: int = -1):
        super().__init__()
        self.dim = dim

    def forward(self, x: Array) -> Array:
        return f.softmax(-x, self.dim)


class ReLU6(Module):
    """x within 0 and 6."""

    def forward(self, x: Array) -> Array:
        return f.relu6(x)


class LeakyReLU(Module):
    """x above 0, negative_slope * x elsewhere."""

    def __init__(self, negative_slope: float = 0.01):
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Array) -> Array:
        return f.leaky_relu(x, self.negative_slope)


class PReLU(Module):
    """x above 0, weight * x elsewhere; one weight, or one for each channel (axis 1)."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25):
        super().__init__()
        self.weight = Parameter(np.full(num_parameters, init, np.float32))

    def forward(self, x: Array) -> Array:
        rank = max(x.ndim - 2, 0)
        return f.prelu(x, self.weight.reshape((self.weight.size, *[1] * rank)))


class ELU(Module):
    """x above 0, alpha * (exp(x) - 1) elsewhere."""

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Array) -> Array:
        return f.elu(x, self.alpha)


class CELU(Module):
    """x above 0, alpha * (exp(x / alpha) - 1) elsewhere."""

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Array) -> Array:
        return f.celu(x, self.alpha)


class SELU(Module):
    """A scaled ELU that keeps means of 0 and variances of 1."""

    def forward(self, x: Array) -> Array:
        return f.selu(x)


class Mish(Module):
    """x * tanh(softplus(x))."""

    def forward(self, x: Array) -> Array:
        return f.mish(x)


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta."""

    def __init__(self, beta: float = 1.0):
        super().__init__()
        self.beta = beta

    def forward(self, x: Array) -> Array:
        return f.softplus(x * self.beta) / self.beta


class Softsign(Module):
    """x / (1 + abs(x))."""

    def forward(self, x: Array) -> Array:
        return f.softsign(x)


class Hardtanh(Module):
    """x within min_val and max_val."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0):
        super().__init__()
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Array) -> Array:
        return f.hardtanh(x, self.min_val, self.max_val)


class Hardsigmoid(Module):
    """x / 6 + 1 / 2 within 0 and 1."""

    def forward(self, x: Array) -> Array:
        return f.hardsigmoid(x)


class Hardswish(Module):
    """x * hardsigmoid(x)."""

    def forward(self, x: Array) -> Array:
        return f.hardswish(x)


class LogSigmoid(Module):
    """log(sigmoid(x))."""

    def forward(self, x: Array) -> Array:
        return f.logsigmoid(x)


class Tanhshrink(Module):
    """x - tanh(x)."""

    def forward(self, x: Array) -> Array:
        return f.tanhshrink(x)


class Softshrink(Module):
    """x moved by lambd towards 0."""

    def __init__(self, lambd: float = 0.5):
        super().__init__()
        self.lambd = lambd

    def forward(self, x: Array) -> Array:
        return f.softshrink(x, self.lambd)


class Hardshrink(Module):
    """x where it is farther than lambd from 0, else 0."""

    def __init__(self, lambd: float = 0.5):
        super().__init__()
        self.lambd = lambd

    def forward(self, x: Array) -> Array:
        return f.hardshrink(x, self.lambd)


class Threshold(Module):
    """x above the threshold, `value` elsewhere."""

    def __init__(self, threshold: float, value: float):
        super().__init__()
        self.threshold, self.value = threshold, value

    def forward(self, x: Array) -> Array:
        return f.threshold(x, self.threshold, self.value)


class GLU(Module):
    """a * sigmoid(b), of the halves a and b of x along `dim`."""

    def __init__(self, dim: int = -1):
        super().__init__()
        self.dim = dim

    def forward(self, x: Array) -> Array:
        return f.glu(x, self.dim)
