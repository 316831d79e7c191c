"""Pairs of groups that had better be launched otherwise: both read the same large tensor.

A rule looks at a group that stores sums only and at one beside it, and gives the groups that should
stand in their place, if any should. Crossings come first: what they take has rows in registers.
Then reductions over the same loops are joined, and what is left may move to another kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stepwell.passes.crossings import crossed
from stepwell.passes.groups import Group, Groups
from stepwell.passes.siblings import moved, side_by_side
from stepwell.passes.target import Target

Rule = Callable[[Groups, Group, Group, Target], "Sequence[Group] | None"]
"""What to put in the place of a group of sums and of one beside it; their numbers stay theirs."""

RULES: tuple[Rule, ...] = (crossed, side_by_side, moved)


def join_pairs(groups: Groups, target: Target) -> None:
    """Replaces pairs where GPUs read less so: there, reading again costs more than waiting."""
    if not target.tiles_in_workgroup_memory:
        return
    for rule in RULES:
        for group in groups.standing():
            while group.only_sums and (found := _replaced(groups, group, rule, target)):
                group = found


def _replaced(groups: Groups, group: Group, rule: Rule, target: Target) -> Group | None:
    """Applies a rule to a group and the first beside it that it suits: what they are now."""
    for other in groups.beside(group):
        new = rule(groups, group, other, target)
        if new is not None:
            groups.replace((group, other), new)
            return new[-1]
    return None
