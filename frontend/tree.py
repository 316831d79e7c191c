"""Pytrees: dicts, lists, tuples, named tuples, dataclasses and None, nested, with arrays as leaves.

>>> leaves, structure = flatten({"b": 1, "a": (2, None)})
>>> leaves, paths(structure)
([2, 1], ['a.0', 'b'])
>>> unflatten(structure, [20, 10])
{'a': (20, None), 'b': 10}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, TypeAlias, cast


class Node(NamedTuple):
    """The structure of one container: its type, what identifies its children, and theirs."""

    kind: type
    keys: tuple[Hashable, ...]
    children: tuple[Structure, ...]


LEAF = "*"
Structure: TypeAlias = "Node | str"
"""A hashable description of a tree: two trees with equal structures flatten alike."""


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of a tree, left to right (dicts in the order of their keys), and its structure."""
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves)


def _flatten(tree: Any, leaves: list[Any]) -> Structure:
    kind = type(tree)
    if _is_leaf(kind):
        leaves.append(tree)
        return LEAF
    if kind is tuple or kind is list:
        return Node(kind, (), _flatten_all(tree, leaves))
    if kind is dict:
        try:
            keys = tuple(sorted(tree))
        except TypeError:
            keys = tuple(tree)
        return Node(dict, keys, _flatten_all([tree[key] for key in keys], leaves))
    if tree is None:
        return Node(type(None), (), ())
    if kind is slice:
        return Node(
            slice, (), tuple(_flatten(c, leaves) for c in (tree.start, tree.stop, tree.step))
        )
    if isinstance(tree, tuple) and hasattr(kind, "_fields"):
        children = cast("tuple[Any, ...]", tree)
        return Node(kind, kind._fields, tuple([_flatten(c, leaves) for c in children]))  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type) and not hasattr(tree, "shape"):
        names = tuple(field.name for field in dataclasses.fields(tree) if field.init)
        return Node(kind, names, tuple([_flatten(getattr(tree, n), leaves) for n in names]))
    leaves.append(tree)
    return LEAF


def _flatten_all(trees: Sequence[Any], leaves: list[Any]) -> tuple[Structure, ...]:
    if all(map(_is_leaf, map(type, trees))):  # A call takes dicts of hundreds of arrays.
        leaves += trees
        return (LEAF,) * len(trees)
    return tuple([_flatten(tree, leaves) for tree in trees])


@cache
def _is_leaf(kind: type) -> bool:
    """Whether objects of that very class are leaves whatever they hold."""
    return not issubclass(
        kind, tuple | list | dict | slice | type | None
    ) and not dataclasses.is_dataclass(kind)


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Any:
    """The tree of that structure with these leaves."""
    return _unflatten(structure, iter(leaves))


def _unflatten(structure: Structure, leaves: Iterator[Any]) -> Any:
    if isinstance(structure, str):
        return next(leaves)
    kind, keys, children = structure
    if children.count(LEAF) == len(children):
        values = list(islice(leaves, len(children)))
    else:
        values = [_unflatten(child, leaves) for child in children]
    if kind is list:
        return values
    if kind is tuple:
        return tuple(values)
    if kind is dict:
        return dict(zip(keys, values, strict=True))
    if kind is type(None):
        return None
    if keys and dataclasses.is_dataclass(kind):
        return kind(**dict(zip(cast("tuple[str, ...]", keys), values, strict=True)))
    return kind(*values)


def paths(structure: Structure, prefix: str = "") -> list[str]:
    """Where each leaf is: `layers.0.weight`. The path of a tree that is one leaf is the prefix."""
    if isinstance(structure, str):
        return [prefix]
    names = structure.keys or range(len(structure.children))
    return [
        path
        for name, child in zip(names, structure.children, strict=True)
        for path in paths(child, f"{prefix}.{name}" if prefix else str(name))
    ]


def tree_map(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """`function` of the leaves of trees of one structure, as a tree of that structure."""
    leaves, structure = flatten(tree)
    others: list[list[Any]] = []
    for position, other in enumerate(rest, start=1):
        other_leaves, other_structure = flatten(other)
        if other_structure != structure:
            raise ValueError(
                f"tree_map: tree {position} has the leaves {_listed(other_structure)}, "
                f"tree 0 has {_listed(structure)}"
            )
        others.append(other_leaves)
    return unflatten(structure, [function(*group) for group in zip(leaves, *others, strict=True)])


def _listed(structure: Structure) -> str:
    names = paths(structure)
    return ", ".join(name or "(one array)" for name in names[:8]) + (", ..." if names[8:] else "")
