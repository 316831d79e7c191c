"""Stepwell: a multi-level tensor compiler for WebGPU.

Everything public is here. Names are imported when they are first used: loading and running a saved
program (`sw.load`) imports no compiler.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from stepwell.frontend import nn as nn
    from stepwell.frontend import onnx as onnx
    from stepwell.frontend import optim as optim
    from stepwell.frontend import random as random
    from stepwell.frontend.array import Array as Array
    from stepwell.frontend.array import asarray as asarray
    from stepwell.frontend.dtypes import DType as DType
    from stepwell.frontend.dtypes import bool_ as bool_
    from stepwell.frontend.dtypes import float16 as float16
    from stepwell.frontend.dtypes import float32 as float32
    from stepwell.frontend.dtypes import int32 as int32
    from stepwell.frontend.dtypes import uint32 as uint32
    from stepwell.frontend.executable import Executable as Executable
    from stepwell.frontend.executable import Spec as Spec
    from stepwell.frontend.executable import load as load
    from stepwell.frontend.executable import save as save
    from stepwell.frontend.executable import spec as spec
    from stepwell.frontend.operations import abs as abs
    from stepwell.frontend.operations import acos as acos
    from stepwell.frontend.operations import acosh as acosh
    from stepwell.frontend.operations import adaptive_avg_pool as adaptive_avg_pool
    from stepwell.frontend.operations import adaptive_max_pool as adaptive_max_pool
    from stepwell.frontend.operations import add as add
    from stepwell.frontend.operations import all as all
    from stepwell.frontend.operations import any as any
    from stepwell.frontend.operations import arange as arange
    from stepwell.frontend.operations import argmax as argmax
    from stepwell.frontend.operations import argmin as argmin
    from stepwell.frontend.operations import argsort as argsort
    from stepwell.frontend.operations import asin as asin
    from stepwell.frontend.operations import asinh as asinh
    from stepwell.frontend.operations import astype as astype
    from stepwell.frontend.operations import atan as atan
    from stepwell.frontend.operations import atan2 as atan2
    from stepwell.frontend.operations import atanh as atanh
    from stepwell.frontend.operations import avg_pool as avg_pool
    from stepwell.frontend.operations import batch_norm as batch_norm
    from stepwell.frontend.operations import binary_cross_entropy as binary_cross_entropy
    from stepwell.frontend.operations import (
        binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
    )
    from stepwell.frontend.operations import bitcast as bitcast
    from stepwell.frontend.operations import bitwise_and as bitwise_and
    from stepwell.frontend.operations import bitwise_invert as bitwise_invert
    from stepwell.frontend.operations import bitwise_left_shift as bitwise_left_shift
    from stepwell.frontend.operations import bitwise_or as bitwise_or
    from stepwell.frontend.operations import bitwise_right_shift as bitwise_right_shift
    from stepwell.frontend.operations import bitwise_xor as bitwise_xor
    from stepwell.frontend.operations import broadcast_arrays as broadcast_arrays
    from stepwell.frontend.operations import broadcast_to as broadcast_to
    from stepwell.frontend.operations import ceil as ceil
    from stepwell.frontend.operations import celu as celu
    from stepwell.frontend.operations import cholesky as cholesky
    from stepwell.frontend.operations import clip as clip
    from stepwell.frontend.operations import compress as compress
    from stepwell.frontend.operations import concat as concat
    from stepwell.frontend.operations import conv1d as conv1d
    from stepwell.frontend.operations import conv2d as conv2d
    from stepwell.frontend.operations import conv3d as conv3d
    from stepwell.frontend.operations import copy as copy
    from stepwell.frontend.operations import copysign as copysign
    from stepwell.frontend.operations import cos as cos
    from stepwell.frontend.operations import cosh as cosh
    from stepwell.frontend.operations import cosine_embedding_loss as cosine_embedding_loss
    from stepwell.frontend.operations import cosine_similarity as cosine_similarity
    from stepwell.frontend.operations import cross_entropy as cross_entropy
    from stepwell.frontend.operations import cumulative_logsumexp as cumulative_logsumexp
    from stepwell.frontend.operations import cumulative_max as cumulative_max
    from stepwell.frontend.operations import cumulative_min as cumulative_min
    from stepwell.frontend.operations import cumulative_prod as cumulative_prod
    from stepwell.frontend.operations import cumulative_sum as cumulative_sum
    from stepwell.frontend.operations import degrees as degrees
    from stepwell.frontend.operations import depth_to_space as depth_to_space
    from stepwell.frontend.operations import diagonal as diagonal
    from stepwell.frontend.operations import divide as divide
    from stepwell.frontend.operations import dropout as dropout
    from stepwell.frontend.operations import dynamic_slice as dynamic_slice
    from stepwell.frontend.operations import dynamic_update_slice as dynamic_update_slice
    from stepwell.frontend.operations import einsum as einsum
    from stepwell.frontend.operations import elu as elu
    from stepwell.frontend.operations import embedding as embedding
    from stepwell.frontend.operations import equal as equal
    from stepwell.frontend.operations import erf as erf
    from stepwell.frontend.operations import erfc as erfc
    from stepwell.frontend.operations import exp as exp
    from stepwell.frontend.operations import exp2 as exp2
    from stepwell.frontend.operations import expand_dims as expand_dims
    from stepwell.frontend.operations import expm1 as expm1
    from stepwell.frontend.operations import eye as eye
    from stepwell.frontend.operations import flatten as flatten
    from stepwell.frontend.operations import flip as flip
    from stepwell.frontend.operations import floor as floor
    from stepwell.frontend.operations import floor_divide as floor_divide
    from stepwell.frontend.operations import fmax as fmax
    from stepwell.frontend.operations import fmin as fmin
    from stepwell.frontend.operations import fmod as fmod
    from stepwell.frontend.operations import fold as fold
    from stepwell.frontend.operations import full as full
    from stepwell.frontend.operations import full_like as full_like
    from stepwell.frontend.operations import gather_nd as gather_nd
    from stepwell.frontend.operations import gaussian_nll_loss as gaussian_nll_loss
    from stepwell.frontend.operations import gelu as gelu
    from stepwell.frontend.operations import get_item as get_item
    from stepwell.frontend.operations import glu as glu
    from stepwell.frontend.operations import greater as greater
    from stepwell.frontend.operations import greater_equal as greater_equal
    from stepwell.frontend.operations import group_norm as group_norm
    from stepwell.frontend.operations import hard_sigmoid as hard_sigmoid
    from stepwell.frontend.operations import hard_swish as hard_swish
    from stepwell.frontend.operations import hard_tanh as hard_tanh
    from stepwell.frontend.operations import hardshrink as hardshrink
    from stepwell.frontend.operations import hinge_embedding_loss as hinge_embedding_loss
    from stepwell.frontend.operations import huber_loss as huber_loss
    from stepwell.frontend.operations import hypot as hypot
    from stepwell.frontend.operations import instance_norm as instance_norm
    from stepwell.frontend.operations import isfinite as isfinite
    from stepwell.frontend.operations import isinf as isinf
    from stepwell.frontend.operations import isnan as isnan
    from stepwell.frontend.operations import kl_div as kl_div
    from stepwell.frontend.operations import l1_loss as l1_loss
    from stepwell.frontend.operations import layer_norm as layer_norm
    from stepwell.frontend.operations import leaky_relu as leaky_relu
    from stepwell.frontend.operations import less as less
    from stepwell.frontend.operations import less_equal as less_equal
    from stepwell.frontend.operations import linspace as linspace
    from stepwell.frontend.operations import local_response_norm as local_response_norm
    from stepwell.frontend.operations import log as log
    from stepwell.frontend.operations import log10 as log10
    from stepwell.frontend.operations import log1p as log1p
    from stepwell.frontend.operations import log2 as log2
    from stepwell.frontend.operations import log_sigmoid as log_sigmoid
    from stepwell.frontend.operations import log_softmax as log_softmax
    from stepwell.frontend.operations import logaddexp as logaddexp
    from stepwell.frontend.operations import logical_and as logical_and
    from stepwell.frontend.operations import logical_not as logical_not
    from stepwell.frontend.operations import logical_or as logical_or
    from stepwell.frontend.operations import logical_xor as logical_xor
    from stepwell.frontend.operations import logit as logit
    from stepwell.frontend.operations import logsumexp as logsumexp
    from stepwell.frontend.operations import lp_pool as lp_pool
    from stepwell.frontend.operations import margin_ranking_loss as margin_ranking_loss
    from stepwell.frontend.operations import matmul as matmul
    from stepwell.frontend.operations import matrix_norm as matrix_norm
    from stepwell.frontend.operations import matrix_transpose as matrix_transpose
    from stepwell.frontend.operations import max as max
    from stepwell.frontend.operations import max_pool as max_pool
    from stepwell.frontend.operations import max_pool_with_indices as max_pool_with_indices
    from stepwell.frontend.operations import maximum as maximum
    from stepwell.frontend.operations import mean as mean
    from stepwell.frontend.operations import mean_variance_norm as mean_variance_norm
    from stepwell.frontend.operations import median as median
    from stepwell.frontend.operations import meshgrid as meshgrid
    from stepwell.frontend.operations import min as min
    from stepwell.frontend.operations import minimum as minimum
    from stepwell.frontend.operations import mish as mish
    from stepwell.frontend.operations import moveaxis as moveaxis
    from stepwell.frontend.operations import mse_loss as mse_loss
    from stepwell.frontend.operations import multiply as multiply
    from stepwell.frontend.operations import nan_to_num as nan_to_num
    from stepwell.frontend.operations import negative as negative
    from stepwell.frontend.operations import nll_loss as nll_loss
    from stepwell.frontend.operations import nonzero as nonzero
    from stepwell.frontend.operations import normalize as normalize
    from stepwell.frontend.operations import not_equal as not_equal
    from stepwell.frontend.operations import one_hot as one_hot
    from stepwell.frontend.operations import ones as ones
    from stepwell.frontend.operations import ones_like as ones_like
    from stepwell.frontend.operations import outer as outer
    from stepwell.frontend.operations import pad as pad
    from stepwell.frontend.operations import pairwise_distance as pairwise_distance
    from stepwell.frontend.operations import permute_dims as permute_dims
    from stepwell.frontend.operations import pixel_shuffle as pixel_shuffle
    from stepwell.frontend.operations import poisson_nll_loss as poisson_nll_loss
    from stepwell.frontend.operations import positive as positive
    from stepwell.frontend.operations import pow as pow
    from stepwell.frontend.operations import prelu as prelu
    from stepwell.frontend.operations import prod as prod
    from stepwell.frontend.operations import quantile as quantile
    from stepwell.frontend.operations import radians as radians
    from stepwell.frontend.operations import reciprocal as reciprocal
    from stepwell.frontend.operations import relu as relu
    from stepwell.frontend.operations import relu6 as relu6
    from stepwell.frontend.operations import remainder as remainder
    from stepwell.frontend.operations import repeat as repeat
    from stepwell.frontend.operations import reshape as reshape
    from stepwell.frontend.operations import rms_norm as rms_norm
    from stepwell.frontend.operations import roll as roll
    from stepwell.frontend.operations import round as round
    from stepwell.frontend.operations import rsqrt as rsqrt
    from stepwell.frontend.operations import (
        scaled_dot_product_attention as scaled_dot_product_attention,
    )
    from stepwell.frontend.operations import scatter_add as scatter_add
    from stepwell.frontend.operations import scatter_elements as scatter_elements
    from stepwell.frontend.operations import scatter_nd as scatter_nd
    from stepwell.frontend.operations import searchsorted as searchsorted
    from stepwell.frontend.operations import selu as selu
    from stepwell.frontend.operations import sigmoid as sigmoid
    from stepwell.frontend.operations import sign as sign
    from stepwell.frontend.operations import signbit as signbit
    from stepwell.frontend.operations import silu as silu
    from stepwell.frontend.operations import sin as sin
    from stepwell.frontend.operations import sinh as sinh
    from stepwell.frontend.operations import smooth_l1_loss as smooth_l1_loss
    from stepwell.frontend.operations import softmax as softmax
    from stepwell.frontend.operations import softplus as softplus
    from stepwell.frontend.operations import softshrink as softshrink
    from stepwell.frontend.operations import softsign as softsign
    from stepwell.frontend.operations import solve_triangular as solve_triangular
    from stepwell.frontend.operations import sort as sort
    from stepwell.frontend.operations import space_to_depth as space_to_depth
    from stepwell.frontend.operations import split as split
    from stepwell.frontend.operations import sqrt as sqrt
    from stepwell.frontend.operations import square as square
    from stepwell.frontend.operations import squeeze as squeeze
    from stepwell.frontend.operations import stack as stack
    from stepwell.frontend.operations import std as std
    from stepwell.frontend.operations import stop_gradient as stop_gradient
    from stepwell.frontend.operations import subtract as subtract
    from stepwell.frontend.operations import sum as sum
    from stepwell.frontend.operations import swapaxes as swapaxes
    from stepwell.frontend.operations import swiglu as swiglu
    from stepwell.frontend.operations import take as take
    from stepwell.frontend.operations import take_along_axis as take_along_axis
    from stepwell.frontend.operations import tan as tan
    from stepwell.frontend.operations import tanh as tanh
    from stepwell.frontend.operations import tanhshrink as tanhshrink
    from stepwell.frontend.operations import tensordot as tensordot
    from stepwell.frontend.operations import thresholded_relu as thresholded_relu
    from stepwell.frontend.operations import tile as tile
    from stepwell.frontend.operations import top_k as top_k
    from stepwell.frontend.operations import trace as trace
    from stepwell.frontend.operations import transpose as transpose
    from stepwell.frontend.operations import tril as tril
    from stepwell.frontend.operations import triplet_margin_loss as triplet_margin_loss
    from stepwell.frontend.operations import triu as triu
    from stepwell.frontend.operations import trunc as trunc
    from stepwell.frontend.operations import unfold as unfold
    from stepwell.frontend.operations import unstack as unstack
    from stepwell.frontend.operations import var as var
    from stepwell.frontend.operations import vecdot as vecdot
    from stepwell.frontend.operations import vector_norm as vector_norm
    from stepwell.frontend.operations import where as where
    from stepwell.frontend.operations import zeros as zeros
    from stepwell.frontend.operations import zeros_like as zeros_like
    from stepwell.frontend.random_state import manual_seed as manual_seed
    from stepwell.frontend.training import TrainStep as TrainStep
    from stepwell.frontend.training import train_step as train_step
    from stepwell.frontend.transformations import checkpoint as checkpoint
    from stepwell.frontend.transformations import compile as compile
    from stepwell.frontend.transformations import grad as grad
    from stepwell.frontend.transformations import jit as jit
    from stepwell.frontend.transformations import value_and_grad as value_and_grad
    from stepwell.frontend.tree import tree_map as tree_map

_MODULES = ("nn", "onnx", "optim", "random")
_HOMES = {
    "array": "Array asarray",
    "dtypes": "DType bool_ float16 float32 int32 uint32",
    "executable": "Executable Spec load save spec",
    "random_state": "manual_seed",
    "training": "TrainStep train_step",
    "transformations": "checkpoint compile grad jit value_and_grad",
    "tree": "tree_map",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"stepwell.frontend.{name}")
    if name.startswith("_"):
        raise AttributeError(f"module 'stepwell' has no attribute {name!r}")
    home = import_module(f"stepwell.frontend.{_HOME.get(name, 'operations')}")
    if name not in _HOME and name not in home.__all__:
        import difflib

        close = difflib.get_close_matches(name, __dir__(), 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"module 'stepwell' has no attribute {name!r}{hint}")
    globals()[name] = value = getattr(home, name)
    return value


def __dir__() -> list[str]:
    from stepwell.frontend.operations import __all__ as operations

    return sorted({*_MODULES, *_HOME, *operations, "__version__"})
