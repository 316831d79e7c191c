"""Errors of the Python front end. Shape and dtype errors are the dialects' own."""

from stepwell.dialects.errors import StepwellError


class TracingError(StepwellError, TypeError):
    """A traced value is used where Python needs a known one."""


class IndexingError(StepwellError, IndexError):
    """An index that does not fit the array."""


def check_kind(name: str, value: object, kind: type) -> None:
    """Raises: TypeError unless `value`, which a user gives to `name`, is one of that class."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}: {value!r} is no {kind.__name__}")
