"""Values of annotated types from JSON: what does not fit its type exactly is an error.

Each type is looked into once, for a function that decodes it: a program has thousands of values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

_T = TypeVar("_T")
_Decode = Callable[[Any], Any]


class MisfitError(Exception):
    """A value that does not fit. `path` says where it is in what was decoded: `[2].name`."""

    def __init__(self, message: str):
        super().__init__(message)
        self.path = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.args[0]}"


def decode(kind: type[_T], value: Any) -> _T:
    """The value of that type: a dataclass, tuple of one type, str, number, literal or dict, or one
    of these or None. Raises: MisfitError."""
    return cast(_T, _decoder(kind)(value))


@cache
def _decoder(kind: Any) -> _Decode:
    origin = get_origin(kind)
    if is_dataclass(kind):
        return _dataclass(cast("type[Any]", kind))
    if origin is tuple:
        item, *more = get_args(kind)
        decode = _tuple(_decoder(item))
        return decode if more == [...] else _of_length(1 + len(more), decode)
    if origin is dict:
        return _dict
    if origin is Literal:
        return _literal(get_args(kind))
    if origin in (UnionType, Union):
        (other,) = (k for k in get_args(kind) if k is not NoneType)
        decode = _decoder(other)
        return lambda value: None if value is None else decode(value)
    return _exactly(kind)


def _dataclass(kind: type[Any]) -> _Decode:
    hints = get_type_hints(kind)
    decoders = {field.name: _decoder(hints[field.name]) for field in fields(kind)}

    def decode(value: Any) -> Any:
        if not isinstance(value, dict):
            raise MisfitError("expected an object")
        given = cast("dict[str, Any]", value)
        if given.keys() != decoders.keys():
            raise MisfitError(f"expected the fields {', '.join(sorted(decoders))}")
        found: dict[str, Any] = {}
        for name, decoder in decoders.items():
            try:
                found[name] = decoder(given[name])
            except MisfitError as misfit:
                misfit.path = f".{name}{misfit.path}"
                raise
        return kind(**found)

    return decode


def _tuple(item: _Decode) -> _Decode:
    """A list of any length, of elements of one type."""

    def decode(value: Any) -> Any:
        if not isinstance(value, list):
            raise MisfitError("expected a list")
        found: list[Any] = []
        for element in cast("list[Any]", value):
            try:
                found.append(item(element))
            except MisfitError as misfit:
                misfit.path = f"[{len(found)}]{misfit.path}"
                raise
        return tuple(found)

    return decode


def _of_length(length: int, decode: _Decode) -> _Decode:
    def decode_all(value: Any) -> Any:
        found = decode(value)
        if len(found) != length:
            raise MisfitError(f"expected {length} elements, not {len(found)}")
        return found

    return decode_all


def _dict(value: Any) -> Any:
    if not isinstance(value, dict):
        raise MisfitError("expected an object")
    return cast(Any, value)


def _literal(known: tuple[Any, ...]) -> _Decode:
    def decode(value: Any) -> Any:
        if not isinstance(value, str) or value not in known:
            raise MisfitError(f"{value!r:.80} is not one of {', '.join(known)}")
        return value

    return decode


def _exactly(kind: type[Any]) -> _Decode:
    def decode(value: Any) -> Any:
        # `type(...) is`, not isinstance: JSON's true is not the number 1.
        if type(value) is not kind:
            raise MisfitError(f"{value!r:.80} is not of type {kind.__name__}")
        return value

    return decode
