"""`stepwell`: dispatch, and help for who mistypes."""

from __future__ import annotations

import importlib

import pytest
from lit_in_process import call

from stepwell.tools import stepwell


def test_usage_lists_every_command() -> None:
    outcome = call(stepwell.main, [])
    assert outcome.code == 0
    for name in stepwell.COMMANDS:
        assert f"\n  {name} " in outcome.stdout


def test_unknown_command() -> None:
    outcome = call(stepwell.main, ["bensh"])
    assert outcome.code == 1
    assert outcome.stderr.startswith("stepwell: error: no command 'bensh'; did you mean 'bench'?\n")


def test_arguments_are_handed_on() -> None:
    outcome = call(stepwell.main, ["opt", "-", "-p", "canonicalise"], "")
    assert outcome.code == 1
    assert "unknown pass 'canonicalise'" in outcome.stderr


@pytest.mark.parametrize("name", stepwell.COMMANDS)
def test_every_command_has_its_file(name: str) -> None:
    module = importlib.import_module(f"stepwell.tools.{stepwell.COMMANDS[name][0]}")
    assert callable(module.main)
