"""Index expressions: simplification is checked against evaluation on random values."""

from __future__ import annotations

import itertools
import random

import pytest

from stepwell.passes.index import (
    Index,
    Var,
    agree,
    constant,
    delinearize,
    invert,
    is_bijection,
    linearize,
    split_digits,
    var,
)


def the(index: Index) -> Var:
    (atom,) = index.terms
    assert isinstance(atom, Var)
    return atom


@pytest.mark.parametrize("seed", range(300))
def test_random_expressions_keep_their_value(seed: int):
    rng = random.Random(seed)
    variables = [var(rng.choice([2, 3, 4, 7, 8, 64])) for _ in range(3)]

    def build(depth: int):
        """An index and the function it stands for."""
        if depth == 0:
            if rng.random() < 0.2:
                c = rng.randrange(10)
                return constant(c), lambda at: c
            v = rng.choice(variables)
            return v, lambda at: at[the(v)]
        left, f = build(depth - 1)
        c = rng.choice([1, 2, 3, 4, 8, 12])
        match rng.choice(["+", "*", "//", "%"]):
            case "+":
                right, g = build(depth - 1)
                return left + right, lambda at: f(at) + g(at)
            case "*":
                return left * c, lambda at: f(at) * c
            case "//":
                return left // c, lambda at: f(at) // c
            case _:
                return left % c, lambda at: f(at) % c

    index, function = build(5)
    for _ in range(30):
        at = {the(v): rng.randrange(the(v).extent) for v in variables}
        expected = function(at)
        assert index.at(at) == expected
        assert index.lo <= expected <= index.hi


@pytest.mark.parametrize("shapes", [((6, 4), (2, 3, 4)), ((24,), (4, 6)), ((2, 12), (8, 3))])
def test_reshape_of_a_contiguous_tensor_is_free(shapes: tuple[tuple[int, ...], tuple[int, ...]]):
    old, new = shapes
    index = [var(size) for size in new]
    through = delinearize(linearize(index, new), old)
    assert linearize(through, old) == linearize(index, new)


def test_split_heads_has_no_division():
    b, t, h, d = (var(n) for n in (2, 16, 4, 8))
    merged = delinearize(linearize((b, t, h * 8 + d), (2, 16, 32)), (2, 16, 4, 8))
    assert merged == (b, t, h, d)


@pytest.mark.parametrize("factor", [4, 8])
def test_vectors_of_a_flattened_index_are_consecutive(factor: int):
    shape = (64, 3, 3)
    lane, vector = var(factor), var(64 * 9 // factor)
    position = vector * factor + lane
    assert linearize(delinearize(position, shape), shape) == position


def test_bijections():
    i, j = var(6), var(4)
    assert is_bijection((i, j), (6, 4), (i, j))
    assert is_bijection((j, i), (4, 6), (i, j))
    assert is_bijection((i // 3, i % 3, j), (2, 3, 4), (i, j))
    assert not is_bijection((i,), (6,), (i, j))
    assert not is_bijection((i, j * 2), (6, 8), (i, j))
    assert not is_bijection((i * -1 + 5, j), (6, 4), (i, j))


def test_places_agree_that_are_written_in_two_ways():
    v, w = var(488), var(8)
    i, j = v // 61, v % 61
    written = (i * 7 + (i * 5 + j) // 8, (i * 5 + j) % 8)
    assert written != (v // 8, v % 8)
    assert agree(written, (v // 8, v % 8))
    assert not agree(written, (v // 8, w))
    assert not agree(written, (v // 8 + 1, v % 8))


def test_quotients_and_remainders_are_digits():
    i, j = var(12), var(5)
    place = (i // 6, j, (i // 2) % 3, i % 2)
    digits = split_digits(place)
    assert list(digits) == [the(i)]
    low, middle, high = digits[the(i)]
    assert [d.hi for d in (low, middle, high)] == [1, 4, 6]
    moved = [component.substitute({the(i): low + middle + high}) for component in place]
    assert is_bijection(moved, (2, 5, 3, 2), [j, low, middle, high])
    assert split_digits((i // 5, i % 5)) == {}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_inverse_of_a_transpose(order: tuple[int, ...]):
    sizes = (3, 4, 5)
    old = [var(n) for n in sizes]
    index = [old[axis] for axis in order]
    shape = [sizes[axis] for axis in order]
    new = [var(n) for n in shape]
    inverse = invert(index, shape, new)
    assert [component.substitute(inverse) for component in index] == new
