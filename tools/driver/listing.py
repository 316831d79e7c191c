"""`--list-passes` and `--show-dialects`."""

from __future__ import annotations

from collections.abc import Iterable

from stepwell.tools.driver.pipelines import PassTable, load_pass


def list_passes(passes: PassTable) -> str:
    """One line for each pass: its name and the first sentence of its docstring."""
    rows = [(name, _summary(name, passes)) for name in sorted(passes)]
    width = max(len(name) for name, _ in rows)
    return "".join(f"{name:{width}}  {text}".rstrip() + "\n" for name, text in rows)


def _summary(name: str, passes: PassTable) -> str:
    try:
        cls = load_pass(name, passes)
    except ImportError as error:  # xDSL's extras: some passes need more than xDSL itself installs.
        return f"(not available: {error})"
    text = (cls.__doc__ or "").strip().partition("\n")[0]
    return "" if text.startswith(f"{cls.__name__}(") else text  # What `dataclass` makes up.


def show_dialects(names: Iterable[str]) -> str:
    """The dialects' names, one a line."""
    return "".join(f"{name}\n" for name in sorted(names))
