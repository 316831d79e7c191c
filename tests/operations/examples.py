"""A call of every public function of arrays: what it is tried with at every dtype.

Functions of arrays of one shape need no row: they get arrays of shape [2, 3].
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np

import stepwell as sw
from stepwell.tools.tried import DTYPE, Example, Varied

SCALAR = Varied(())
VECTOR = Varied((3,))
MATRIX = Varied((2, 3))
SQUARE = Varied((3, 3))
REGULAR = Varied((3, 3), -0.3, 0.3, diagonal=1.0)
"""A matrix that has an inverse."""
IMAGES = Varied((1, 2, 4, 4))
HEADS = Varied((1, 2, 4, 4), -1.0, 1.0)
ABOVE_ONE = Varied((2, 3), 1.2, 3.0)
BOXES = Varied((3, 4))
INDICES = np.array([2, 0, 1, 2], np.int32)
POSITIVE_DEFINITE = Varied((3, 3), diagonal=2.0)
KEY = np.array([1, 2], np.uint32)
CLASSES = np.array([2, 0], np.int32)
SIGNS = np.array([1, -1], np.int32)
ONE, ZERO = np.int32(1), np.int32(0)


def of(*arguments: Any, **options: Any) -> Example:
    """A call with these arguments and options."""
    return Example(arguments, options)


EXAMPLES: dict[str, Example] = {
    "acosh": of(ABOVE_ONE),
    "adaptive_avg_pool": of(IMAGES, 2),
    "adaptive_max_pool": of(IMAGES, 2),
    "affine_grid": of(Varied((1, 2, 3)), (1, 2, 2, 2)),
    "alibi_bias": of(2, 3, 3),
    "arange": of(3, dtype=DTYPE),
    "astype": of(MATRIX, DTYPE),
    "attention_mask": of(3, 4, is_causal=True),
    "avg_pool": of(IMAGES, 2),
    "batch_norm": of(IMAGES, Varied((2,)), Varied((2,)), Varied((2,)), Varied((2,))),
    "bitcast": of(MATRIX, "i32"),
    "box_iou": of(BOXES, BOXES),
    "broadcast_to": of(MATRIX, (4, 2, 3)),
    "cholesky": of(POSITIVE_DEFINITE),
    "compress": of(np.array([True, False, True]), SQUARE, size=2),
    "concat": of([MATRIX, MATRIX]),
    "clip": of(MATRIX, 0, 1),
    "cond": of(np.bool_(True), lambda x: x, lambda x: sw.flip(x), MATRIX),
    "conv1d": of(Varied((1, 2, 4)), Varied((2, 2, 2)), Varied((2,))),
    "conv2d": of(IMAGES, Varied((2, 2, 2, 2)), Varied((2,))),
    "conv3d": of(Varied((1, 2, 3, 3, 3)), Varied((2, 2, 2, 2, 2)), Varied((2,))),
    "conv_integer": of(IMAGES, Varied((2, 2, 2, 2)), SCALAR, SCALAR),
    "conv_transpose1d": of(Varied((1, 2, 4)), Varied((2, 2, 2)), Varied((2,))),
    "conv_transpose2d": of(IMAGES, Varied((2, 2, 2, 2)), Varied((2,))),
    "conv_transpose3d": of(Varied((1, 2, 3, 3, 3)), Varied((2, 2, 2, 2, 2)), Varied((2,))),
    "cross_entropy": of(MATRIX, CLASSES),
    "cosine_embedding_loss": of(MATRIX, MATRIX, SIGNS),
    "ctc_loss": of(
        Varied((4, 1, 3)), np.array([[1, 2]], np.int32), np.array([4], np.int32),
        np.array([2], np.int32),
    ),
    "deform_conv2d": of(IMAGES, Varied((1, 4, 4, 3)), Varied((2, 2, 1, 2))),
    "depth_to_space": of(Varied((1, 4, 2, 2)), 2),
    "dequantize_linear": of(MATRIX, np.float32(0.5), SCALAR, axis=0),
    "det": of(REGULAR),
    "diagonal": of(SQUARE),
    "dropout": of(MATRIX, KEY, rate=0.5),
    "dynamic_slice": of(MATRIX, ONE, axis=1, length=2),
    "dynamic_update_slice": of(MATRIX, Varied((2, 2)), ONE, axis=1),
    "einsum": of("ij,jk->ik", MATRIX, SQUARE),
    "embedding": of(SQUARE, INDICES),
    "eye": of(3, dtype=DTYPE),
    "fold": of(Varied((1, 8, 4)), (3, 3), 2),
    "fori_loop": of(0, 3, lambda _, x: sw.flip(x), MATRIX),
    "full": of((2, 3), 1, dtype=DTYPE),
    "full_like": of(MATRIX, 1),
    "gather_nd": of(SQUARE, np.array([[0, 1], [2, 2]], np.int32)),
    "get_item": of(SQUARE, (slice(None, None, 2), 1)),
    "glu": of(Varied((2, 4))),
    "grid_sample": of(IMAGES, Varied((1, 2, 2, 2))),
    "group_norm": of(IMAGES, 2, Varied((2,)), Varied((2,))),
    "gumbel_softmax": of(MATRIX, KEY),
    "instance_norm": of(IMAGES, Varied((2,)), Varied((2,))),
    "inv": of(REGULAR),
    "layer_norm": of(MATRIX, 3, VECTOR, VECTOR),
    "linspace": of(0, 1, 3, dtype=DTYPE),
    "local_response_norm": of(IMAGES, 3),
    "lp_pool": of(IMAGES, 2, 2),
    "margin_ranking_loss": of(Varied((2,)), Varied((2,)), SIGNS),
    "matmul": of(MATRIX, SQUARE),
    "matmul_integer": of(MATRIX, SQUARE, SCALAR, SCALAR),
    "max_pool": of(IMAGES, 2),
    "max_pool_with_indices": of(IMAGES, 2),
    "max_unpool": of(Varied((1, 1, 2, 2)), np.array([[[[0, 3], [8, 11]]]], np.int32), (4, 4)),
    "mean_variance_norm": of(IMAGES),
    "meshgrid": of(VECTOR, VECTOR),
    "moveaxis": of(MATRIX, 0, 1),
    "nll_loss": of(MATRIX, CLASSES),
    "non_max_suppression": of(BOXES, VECTOR, size=2),
    "nonzero": of(MATRIX, size=2),
    "one_hot": of(VECTOR, 4),
    "ones": of((2, 3), dtype=DTYPE),
    "outer": of(VECTOR, VECTOR),
    "pad": of(MATRIX, 1),
    "permute_dims": of(MATRIX, (1, 0)),
    "pixel_shuffle": of(Varied((1, 4, 2, 2)), 2),
    "qlinear_conv": of(
        IMAGES, np.float32(0.1), SCALAR, Varied((2, 2, 2, 2)), np.float32(0.1), SCALAR,
        np.float32(0.2), SCALAR,
    ),
    "qlinear_matmul": of(
        MATRIX, np.float32(0.1), SCALAR, SQUARE, np.float32(0.1), SCALAR, np.float32(0.2), SCALAR
    ),
    "quantile": of(MATRIX, 0.4),
    "quantize_linear": of(MATRIX, np.float32(0.5)),
    "random.bernoulli": of(KEY, MATRIX),
    "random.bits": of(KEY, (3,)),
    "random.categorical": of(KEY, MATRIX),
    "random.exponential": of(KEY, (3,)),
    "random.fold_in": of(KEY, SCALAR),
    "random.gumbel": of(KEY, (3,)),
    "random.key": of(SCALAR),
    "random.multinomial": of(KEY, MATRIX, 3, replacement=True),
    "random.next_key": of(),
    "random.normal": of(KEY, (3,)),
    "random.permutation": of(KEY, MATRIX),
    "random.randint": of(KEY, (3,), 0, 9),
    "random.split": of(KEY),
    "random.truncated_normal": of(KEY, (3,)),
    "random.uniform": of(KEY, (3,)),
    "repeat": of(MATRIX, 2, axis=0),
    "reshape": of(MATRIX, (3, 2)),
    "resize": of(IMAGES, (8, 6)),
    "roi_align": of(IMAGES, Varied((2, 4)), np.array([0, 0], np.int32), 2, sampling_ratio=2),
    "roll": of(MATRIX, 1, axis=1),
    "rotary_embedding": of(Varied((3, 4)), Varied((3, 2)), Varied((3, 2))),
    "rotary_tables": of(VECTOR, 4),
    "scaled_dot_product_attention": of(HEADS, HEADS, HEADS, is_causal=True),
    "scan": of(lambda carry, x: (x, carry), VECTOR, MATRIX),
    "scatter_add": of(SQUARE, INDICES, Varied((4, 3))),
    "scatter_elements": of(SQUARE, np.array([[2, 0, 1]], np.int32), Varied((1, 3))),
    "scatter_nd": of(SQUARE, np.array([[2], [0]], np.int32), MATRIX),
    "searchsorted": of(VECTOR, MATRIX),
    "slogdet": of(REGULAR),
    "solve": of(REGULAR, SQUARE),
    "solve_triangular": of(REGULAR, SQUARE),
    "space_to_depth": of(IMAGES, 2),
    "split": of(MATRIX, 3, axis=1),
    "stack": of([MATRIX, MATRIX]),
    "swapaxes": of(MATRIX, 0, 1),
    "swiglu": of(Varied((2, 4))),
    "take": of(SQUARE, INDICES),
    "take_along_axis": of(SQUARE, np.array([[2], [0], [1]], np.int32)),
    "tensordot": of(MATRIX, SQUARE, axes=1),
    "tile": of(MATRIX, 2),
    "top_k": of(MATRIX, 2),
    "trace": of(SQUARE),
    "unfold": of(IMAGES, 2),
    "unique": of(MATRIX, size=4),
    "unique_all": of(MATRIX, size=4),
    "where": of(np.array([True, False, True]), MATRIX, MATRIX),
    "while_loop": of(lambda s: s[1] < 3, lambda s: (sw.flip(s[0]), s[1] + 1), (MATRIX, ZERO)),
    "zeros": of((2, 3), dtype=DTYPE),
}  # fmt: skip


def example(name: str, function: Callable[..., Any]) -> Example:
    """How a function is tried: by its row, else with an array for each argument that it needs."""
    needed = [p for p in signature(function).parameters.values() if p.default is p.empty]
    return EXAMPLES.get(name.removeprefix("sw.")) or of(*[MATRIX] * len(needed))
