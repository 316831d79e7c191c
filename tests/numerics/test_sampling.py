"""Transposed convolutions, resampling and detection against PyTorch and plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_torch import compare, numbers, torch

import stepwell as sw

F = torch.nn.functional

TRANSPOSED: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 5), (3, 4, 3), {}),
    ((1, 2, 1), (2, 1, 1), {"stride": 3, "output_padding": 2}),
    ((2, 4, 5), (4, 2, 3), {"stride": 2, "padding": 1, "groups": 2}),
    ((2, 4, 7, 5), (4, 3, 3, 2), {"stride": (3, 2), "padding": (1, 0), "dilation": (1, 2)}),
    ((1, 3, 4, 4), (3, 2, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    ((1, 6, 3, 4), (6, 1, 2, 3), {"stride": 1, "dilation": 3, "output_padding": 2, "groups": 6}),
    ((1, 2, 2, 3, 2), (2, 3, 2, 3, 2), {"stride": (1, 2, 2), "padding": (0, 1, 1)}),
]


@pytest.mark.parametrize(("shape", "weight", "options"), TRANSPOSED, ids=str)
def test_transposed_convolutions(shape: Any, weight: Any, options: Any) -> None:
    name = f"conv_transpose{len(shape) - 2}d"
    outputs = weight[1] * options.get("groups", 1)
    compare(
        lambda x, w, b: getattr(sw, name)(x, w, b, **options),
        lambda x, w, b: getattr(F, name)(x, w, b, **options),
        numbers(*shape), numbers(*weight, seed=1), numbers(outputs, seed=2),
    )  # fmt: skip


def test_transposed_convolutions_refuse() -> None:
    x = numbers(1, 3, 5)
    with pytest.raises(ValueError, match=r"3 channels, weight \[2, 1, 3\] and 1 groups"):
        sw.conv_transpose1d(x, numbers(2, 1, 3))
    with pytest.raises(ValueError, match=r"spatial sizes \[-1\]"):
        sw.conv_transpose1d(x, numbers(3, 1, 1), padding=3)
    with pytest.raises(ValueError, match=r"bias has shape \[2\], not \[1\]"):
        sw.conv_transpose1d(x, numbers(3, 1, 1), numbers(2))


INTERPOLATIONS = [
    ("nearest", {"mode": "nearest", "coordinates": "asymmetric", "rounding": "floor"}, {}),
    ("nearest-exact", {"mode": "nearest", "rounding": "round_prefer_ceil"}, {}),
    ("bilinear", {}, {"align_corners": False}),
    ("bilinear", {"coordinates": "align_corners"}, {"align_corners": True}),
    ("bilinear", {"antialias": True, "exclude_outside": True}, {"antialias": True}),
    ("bicubic", {"mode": "cubic"}, {"align_corners": False}),
    ("bicubic", {"mode": "cubic", "coordinates": "align_corners"}, {"align_corners": True}),
    (
        "bicubic",
        {"mode": "cubic", "cubic": -0.5, "antialias": True, "exclude_outside": True},
        {"antialias": True},
    ),
]


# PyTorch 2.13 repeats the first row of antialiased results that are one column wide: (3, 1) is out.
@pytest.mark.parametrize("size", [(7, 9), (1, 3)], ids=str)
@pytest.mark.parametrize(("mode", "options", "theirs"), INTERPOLATIONS, ids=str)
def test_resize(mode: str, options: Any, theirs: Any, size: Any) -> None:
    compare(
        lambda x: sw.resize(x, size, **options),
        lambda x: F.interpolate(x, size, mode=mode, **theirs),
        numbers(2, 3, 5, 6),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 5)], ids=str)
def test_equal_neighbours_are_what_lies_between_them(shape: Any) -> None:
    x = np.full(shape, 0.7390851, np.float32)
    found = sw.resize(x, (34, 57)).numpy()
    assert (found == x[0, 0]).all()


def test_resize_of_some_axes_keeps_integers() -> None:
    x = np.arange(12, dtype=np.int32).reshape(3, 4)
    found = sw.resize(x, (6,), axes=(0,), mode="nearest")
    np.testing.assert_array_equal(found, np.repeat(x, 2, axis=0))
    assert str(found.dtype) == "i32"
    with pytest.raises(ValueError, match="cannot have the sizes"):
        sw.resize(x, (0, 4))
    with pytest.raises(ValueError, match="no mode 'cubik'"):
        sw.resize(x, (2, 2), mode="cubik")  # type: ignore[arg-type]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_grid_sample(mode: Any, padding: Any, align_corners: bool) -> None:
    options: Any = {"mode": mode, "padding_mode": padding, "align_corners": align_corners}
    compare(
        lambda x, g: sw.grid_sample(x, g, **options),
        lambda x, g: F.grid_sample(x, g, **options),
        numbers(2, 3, 5, 4), numbers(2, 3, 6, 2, seed=1, low=-1.6, high=1.6),
        rtol=1e-3, atol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_grid_sample_of_volumes_and_of_the_nearest(padding: Any) -> None:
    compare(
        lambda x, g: sw.grid_sample(x, g, padding_mode=padding),
        lambda x, g: F.grid_sample(x, g, padding_mode=padding, align_corners=False),
        numbers(1, 2, 3, 4, 5), numbers(1, 2, 3, 2, 3, seed=1, low=-1.4, high=1.4),
        rtol=1e-3, atol=1e-4,
    )  # fmt: skip
    x, grid = numbers(2, 3, 5, 4), numbers(2, 3, 6, 2, seed=1, low=-1.6, high=1.6)
    expected = F.grid_sample(
        torch.tensor(x), torch.tensor(grid), mode="nearest", padding_mode=padding,
        align_corners=False,
    )  # fmt: skip
    found = sw.grid_sample(x, grid, mode="nearest", padding_mode=padding)
    np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 1, 1, 3), (1, 2, 3, 2, 4)], ids=str)
def test_affine_grid(size: Any, align_corners: bool) -> None:
    rank = len(size) - 2
    compare(
        lambda t: sw.affine_grid(t, size, align_corners=align_corners),
        lambda t: F.affine_grid(t, size, align_corners=align_corners),
        numbers(size[0], rank, rank + 1),
    )


def points_of_boxes(x: Any, boxes: Any, images: Any, size: int, ratio: int) -> Any:
    """`roi_align` of boxes that lie inside, by PyTorch's reading at points."""
    height, width = x.shape[2:]
    steps = (torch.arange(size * ratio) + 0.5) / (size * ratio)
    at = [
        boxes[:, i, None] - 0.5 + (boxes[:, i + 2] - boxes[:, i])[:, None] * steps for i in range(2)
    ]
    columns, rows = (a * 2 / (n - 1) - 1 for a, n in zip(at, (width, height), strict=True))
    shape = (len(boxes), size * ratio, size * ratio)
    grid = torch.stack([columns[:, None, :].expand(shape), rows[:, :, None].expand(shape)], -1)
    return F.avg_pool2d(F.grid_sample(x[images], grid, align_corners=True), ratio)


@pytest.mark.parametrize(("size", "ratio"), [(1, 1), (2, 2), (3, 1)])
def test_roi_align(size: int, ratio: int) -> None:
    boxes = np.array([[1.13, 0.8, 4.3, 5.2], [2, 1.5, 3.2, 4.1], [0.7, 2.2, 4.4, 3.1]], np.float32)
    compare(
        lambda x, b, i: sw.roi_align(x, b, i, size, sampling_ratio=ratio),
        lambda x, b, i: points_of_boxes(x, b, i, size, ratio),
        numbers(2, 3, 6, 5), boxes, np.array([0, 1, 1], np.int32), rtol=1e-4, atol=1e-5,
    )  # fmt: skip
    with pytest.raises(ValueError, match="sampling_ratio of -1"):
        sw.roi_align(numbers(2, 3, 6, 5), boxes, np.zeros(3, np.int32), 2, sampling_ratio=-1)


def test_roi_align_with_as_many_samples_as_elements() -> None:
    """Cells of up to two elements take two samples along each axis."""
    x, images = numbers(2, 3, 9, 8), np.array([1, 0], np.int32)
    boxes = np.array([[1, 0.5, 7, 6.3], [2, 2.25, 6.5, 7]], np.float32)
    fixed = sw.roi_align(x, boxes, images, 3, sampling_ratio=2)
    np.testing.assert_allclose(
        sw.roi_align(x, boxes, images, 3, sampling_ratio=0), fixed, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("groups", [1, 2])
def test_deformed_convolutions_without_offsets_are_convolutions(groups: int) -> None:
    shape = (2, 2 * 6, 4, 5)
    options: Any = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}
    compare(
        lambda x, w, b: sw.deform_conv2d(x, np.zeros(shape, np.float32), w, b, **options),
        lambda x, w, b: F.conv2d(x, w, b, **options, groups=groups),
        numbers(2, 4, 8, 7), numbers(2, 4 // groups, 3, 2, seed=1), numbers(2, seed=2),
    )  # fmt: skip


def test_deformed_convolutions_read_at_their_offsets() -> None:
    """A window of one element reads what `grid_sample` does."""
    x, offset = numbers(2, 3, 5, 4), numbers(2, 2, 5, 4, seed=1, low=-2, high=2)

    def their(x: Any, offset: Any) -> Any:
        rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(4.0), indexing="ij")
        at = [columns + offset[:, 1], rows + offset[:, 0]]
        grid = torch.stack([a * 2 / (n - 1) - 1 for a, n in zip(at, (4, 5), strict=True)], -1)
        return F.grid_sample(x, grid, align_corners=True)

    one = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    compare(lambda x, o: sw.deform_conv2d(x, o, one), their, x, offset, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 2, 6), (2, 3, 6, 8)])
def test_max_unpool_puts_back(shape: Any) -> None:
    rank = len(shape) - 2
    pool, unpool = (getattr(F, f"max_{kind}pool{rank}d") for kind in ("", "un"))

    def mine(x: Any) -> Any:
        values, places = sw.max_pool_with_indices(x, 2)
        return sw.max_unpool(values, places, shape[2:])

    def their(x: Any) -> Any:
        values, places = pool(x, 2, return_indices=True)
        return unpool(values, places, 2)

    compare(mine, their, numbers(*shape))


def overlap(a: Any, b: Any) -> float:
    sides = [max(min(a[i + 2], b[i + 2]) - max(a[i], b[i]), 0.0) for i in range(2)]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    union = sum(areas) - sides[0] * sides[1]
    return sides[0] * sides[1] / union if union > 0 else 0.0


def suppressed(boxes: Any, scores: Any, iou: float, low: float) -> list[int]:
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if scores[i] > low and all(overlap(boxes[i], boxes[j]) <= iou for j in kept):
            kept.append(int(i))
    return kept


@pytest.mark.parametrize("iou", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("count", [1, 13, 200])
def test_non_max_suppression(count: int, iou: float) -> None:
    rng = np.random.default_rng(count)
    low = rng.uniform(0, 5, (2, count, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, 3, low.shape)], -1).astype(np.float32)
    scores = rng.permutation(2 * count).reshape(2, count).astype(np.float32) / count
    found, counts = sw.non_max_suppression(
        boxes, scores, size=12, iou_threshold=iou, score_threshold=0.3
    )
    for row in range(2):
        kept = suppressed(boxes[row], scores[row], iou, 0.3)[:12]
        assert found.numpy()[row].tolist() == kept + [-1] * (12 - len(kept))
        assert counts.numpy()[row] == len(kept)
    # The corners may be given the other way round.
    turned = boxes[..., [2, 3, 0, 1]]
    np.testing.assert_allclose(
        sw.box_iou(turned[0], boxes[1]),
        [[overlap(a, b) for b in boxes[1]] for a in boxes[0]],
        rtol=1e-4, atol=1e-6,
    )  # fmt: skip


def test_equal_scores_keep_the_first_box() -> None:
    boxes = np.array([[0, 0, 2, 2], [0, 0, 2, 2], [5, 5, 6, 6]], np.float32)
    found, count = sw.non_max_suppression(boxes, np.ones(3, np.float32), size=4)
    assert found.tolist() == [0, 2, -1, -1] and count.item() == 2


def test_suppression_of_several_scores_for_the_same_boxes() -> None:
    """Infinite scores are scores, NaN is none; leading axes of 1 belong to all scores."""
    boxes = np.array([[[0, 0, 2, 2], [0, 0, 2, 1.5], [5, 5, 6, 6]]], np.float32)
    scores = np.array([[1, np.inf, -np.inf], [-np.inf, np.nan, 0], [np.nan] * 3], np.float32)
    found, count = sw.non_max_suppression(boxes, scores, size=3)
    assert found.tolist() == [[1, 2, -1], [2, 0, -1], [-1, -1, -1]]
    assert count.tolist() == [2, 2, 0]
