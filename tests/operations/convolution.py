"""Rows of `dialects/array/convolution.py`."""

import numpy as np
from operations.row import Argument, Case, Row

from stepwell.dialects.array import convolution as ops
from stepwell.dialects.array.base import ints

FORMS = {
    "1-D": ((2, 2, 7), (3, 2, 3), (1,), (0,), (0,), (1,), 1),
    "1-D strided": ((1, 1, 8), (2, 1, 3), (3,), (2,), (0,), (1,), 1),
    "2-D": ((1, 2, 5, 4), (3, 2, 3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1),
    "1x1": ((2, 3, 2, 3), (4, 3, 1, 1), (1, 1), (0, 0), (0, 0), (1, 1), 1),
    "1x1 strided": ((2, 3, 4, 5), (2, 3, 1, 1), (2, 2), (0, 0), (0, 0), (1, 1), 1),
    "strided": ((1, 4, 6, 7), (4, 4, 3, 3), (2, 2), (1, 1), (1, 1), (1, 1), 1),
    "asymmetric": ((1, 2, 5, 5), (3, 2, 2, 3), (2, 1), (0, 2), (1, 0), (1, 1), 1),
    "dilated": ((1, 2, 7, 6), (2, 2, 3, 2), (1, 1), (2, 1), (2, 1), (2, 3), 1),
    "dilated and strided": ((1, 1, 8, 9), (2, 1, 2, 3), (2, 3), (1, 2), (0, 1), (3, 2), 1),
    "grouped": ((1, 4, 4, 3), (6, 2, 3, 2), (1, 1), (1, 0), (1, 1), (1, 1), 2),
    "depthwise": ((2, 3, 4, 4), (3, 1, 3, 3), (2, 1), (1, 1), (1, 1), (1, 1), 3),
    "wide": ((1, 4, 3, 8), (4, 4, 3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1),
    "more padding than kernel": ((1, 1, 2, 3), (1, 1, 2, 1), (1, 2), (3, 2), (2, 3), (1, 1), 1),
    "3-D": ((1, 2, 3, 4, 3), (2, 2, 2, 3, 2), (1, 2, 1), (0, 1, 1), (1, 1, 0), (1, 1, 2), 1),
}
"""Data, weight, strides, low, high, dilations, groups."""


def outputs(form):
    x, w, strides, low, high, dilations, _ = form
    return tuple(
        (size + a + b - d * (k - 1) - 1) // s + 1
        for size, k, s, a, b, d in zip(x[2:], w[2:], strides, low, high, dilations, strict=True)
    )


def along(form, visit):
    """Calls visit(places of the padded data, place of the kernel, group) for each of them."""
    _, w, strides, _, _, dilations, groups = form
    for group in range(groups):
        for place in np.ndindex(*w[2:]):
            at = tuple(
                slice(k * d, k * d + (n - 1) * s + 1, s)
                for k, d, s, n in zip(place, dilations, strides, outputs(form), strict=True)
            )
            visit(at, place, group)


def shares(form, group):
    w, groups = form[1], form[6]
    share = w[0] // groups
    return slice(group * share, (group + 1) * share), slice(group * w[1], (group + 1) * w[1])


def padded(form, x):
    return np.pad(x, [(0, 0), (0, 0), *zip(form[3], form[4], strict=True)])


def convolution(form, x, w):
    x = padded(form, x)
    y = np.zeros((x.shape[0], w.shape[0], *outputs(form)))

    def visit(at, place, group):
        out, own = shares(form, group)
        y[:, out] += np.einsum("nc...,fc->nf...", x[:, own][(..., *at)], w[out][(..., *place)])

    along(form, visit)
    return y


def weight(form, x, y):
    x = padded(form, x)
    w = np.zeros(form[1])

    def visit(at, place, group):
        out, own = shares(form, group)
        part = x[:, own][(..., *at)]
        part, ct = (v.reshape(*v.shape[:2], -1) for v in (part, y[:, out]))
        w[(out, slice(None), *place)] = np.einsum("nfo,nco->fc", ct, part)

    along(form, visit)
    return w


def data(form, y, w):
    x = padded(form, np.zeros(form[0]))

    def visit(at, place, group):
        out, own = shares(form, group)
        part = np.einsum("nf...,fc->nc...", y[:, out], w[out][(..., *place)])
        x[(slice(None), own, *at)] += part

    along(form, visit)
    inside = tuple(slice(a, a + n) for a, n in zip(form[3], form[0][2:], strict=True))
    return x[(slice(None), slice(None), *inside)]


def in_torch(form):
    def call(torch, x, w):
        _, _, strides, low, high, dilations, groups = form
        around = [v for pair in zip(low[::-1], high[::-1], strict=True) for v in pair]
        x = torch.nn.functional.pad(x, around)
        function = getattr(torch.nn.functional, f"conv{len(strides)}d")
        return function(x, w, None, strides, 0, dilations, groups)

    return call


def row(op, shapes, reference, extra=None, torch=False):
    cases = []
    for dtype, names in (("f32", FORMS), ("f16", ("2-D", "strided", "grouped"))):
        for name in names:
            form = FORMS[name]
            properties = ops.form_of(*form[2:])
            if extra is not None:
                properties |= extra(form)
            cases.append(
                Case(
                    f"{dtype}-{name}",
                    tuple(Argument(shape, dtype) for shape in shapes(form)),
                    lambda emit, a, b, properties=properties: emit(op(a, b, properties)),
                    lambda a, b, form=form: reference(form, a, b),
                    gradient=(0, 1) if dtype == "f32" else (),
                    torch=in_torch(form) if torch else None,
                    ulps=64,
                )
            )
    return Row(op, cases)


def result(form):
    return (form[0][0], form[1][0], *outputs(form))


def windows(kernel, strides, dilations):
    def reference(x):
        rank = len(kernel)
        view = np.lib.stride_tricks.sliding_window_view
        spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True))
        found = view(x, spans, tuple(range(x.ndim - rank, x.ndim)))
        steps = [slice(None, None, s) for s in strides] + [slice(None, None, d) for d in dilations]
        return found[(..., *steps)]

    return reference


WINDOWS = [
    ((7,), (3,), (1,), (1,)),
    ((2, 8), (3,), (2,), (2,)),
    ((2, 5, 4), (2, 3), (1, 1), (2, 1)),
    ((3, 7, 6), (2, 1), (3, 2), (1, 1)),
]

ROWS = [
    Row(
        ops.WindowsOp,
        [
            Case(
                f"{dtype}-{'-'.join(map(str, form))}",
                (Argument(form[0], dtype, (0, 9)),),
                lambda emit, x, form=form: emit(ops.WindowsOp(x, *form[1:])),
                windows(*form[1:]),
                gradient=(0,) if dtype == "f32" else (),
            )
            for dtype in ("f32", "f16", "i32", "u32", "bool")
            for form in WINDOWS
        ],
    ),
    row(ops.ConvolutionOp, lambda form: form[:2], convolution, torch=True),
    row(
        ops.ConvolutionWeightOp,
        lambda form: (form[0], result(form)),
        weight,
        lambda form: {"kernel": ints(form[1][2:])},
    ),
    row(
        ops.ConvolutionDataOp,
        lambda form: (result(form), form[1]),
        data,
        lambda form: {"shape": ints(form[0])},
    ),
]
