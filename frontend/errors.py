"""Errors of the Python front end. Shape and dtype errors are the dialects' own."""

from stepwell.dialects.errors import StepwellError


class TracingError(StepwellError, TypeError):
    """A traced value is used where Python needs a known one."""


class IndexingError(StepwellError, IndexError):
    """An index that does not fit the array."""
