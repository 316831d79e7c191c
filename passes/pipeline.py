"""The whole lowering, read from top to bottom.

`STAGES` is the table that everything else is derived from: `--to`, the README, the test parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from stepwell.dialects.build import every
from stepwell.dialects.errors import StepwellError, unknown, where
from stepwell.passes.apply_tuning import ApplyTuningPass
from stepwell.passes.bound_attention import BoundAttentionPass
from stepwell.passes.bufferize_kernels import BufferizeKernelsPass
from stepwell.passes.collector import collector_frozen
from stepwell.passes.convert_array_to_linalg import ConvertArrayToLinalgPass
from stepwell.passes.convert_host_to_webgpu import ConvertHostToWebgpuPass
from stepwell.passes.convert_kernels_to_wgsl import ConvertKernelsToWgslPass
from stepwell.passes.decompose_composites import DecomposeCompositesPass
from stepwell.passes.differentiate import DifferentiatePass
from stepwell.passes.expand_insertions import ExpandInsertionsPass
from stepwell.passes.expand_math import ExpandMathPass
from stepwell.passes.fuse_kernels import FuseKernelsPass
from stepwell.passes.group_queries import GroupQueriesPass
from stepwell.passes.inline_branches import InlineBranchesPass
from stepwell.passes.join_windows import JoinWindowsPass
from stepwell.passes.merge_launches import MergeLaunchesPass
from stepwell.passes.normalize_linalg import NormalizeLinalgPass
from stepwell.passes.outline_branches import OutlineBranchesPass
from stepwell.passes.outline_scans import OutlineScansPass
from stepwell.passes.plan_memory import PlanMemoryPass
from stepwell.passes.prove_bounds import ProveBoundsPass
from stepwell.passes.schedule_kernels import ScheduleKernelsPass
from stepwell.passes.simplify_array import SimplifyArrayPass
from stepwell.passes.split_attention import SplitAttentionPass
from stepwell.passes.split_contractions import SplitContractionsPass
from stepwell.passes.split_launches import SplitLaunchesPass
from stepwell.passes.split_reductions import SplitReductionsPass
from stepwell.passes.target import TARGETS, Target
from stepwell.passes.verification import verify

MakePass = Callable[[Target], ModulePass]
Observer = Callable[[ModulePass, ModuleOp], None]


@dataclass(frozen=True)
class Stage:
    """A level of the IR that one can stop at: what it is, how to get there, what it may hold."""

    name: str
    summary: str
    passes: tuple[MakePass, ...]
    dialects: frozenset[str]


def _same(make: Callable[[], ModulePass]) -> MakePass:
    """A pass that does not depend on the target."""
    return lambda target: make()


_KERNEL_BODY = frozenset({"linalg", "linalg_ext", "tensor", "arith", "math"})

STAGES = (
    Stage(
        "array",
        "value semantics on tensors: what was traced or imported",
        (),
        frozenset({"builtin", "func", "array"}),
    ),
    Stage(
        "diff",
        "gradient requests are gone: plain array operations",
        (
            _same(BoundAttentionPass),
            _same(DifferentiatePass),
            _same(InlineBranchesPass),
            _same(SimplifyArrayPass),
        ),
        frozenset({"builtin", "func", "array"}),
    ),
    Stage(
        "linalg",
        "structured operations on tensors: one linalg.generic an operation, and whole attention",
        (
            _same(OutlineBranchesPass),
            _same(OutlineScansPass),
            lambda target: GroupQueriesPass(target.name),
            lambda target: SplitAttentionPass(target.name),
            lambda target: DecomposeCompositesPass(target.name),
            _same(SimplifyArrayPass),
            _same(ConvertArrayToLinalgPass),
        ),
        frozenset({"builtin", "func"}) | _KERNEL_BODY,
    ),
    Stage(
        "fused",
        "one kernel.func a distinct kernel; the host launches them on tensors",
        (
            _same(NormalizeLinalgPass),
            lambda target: JoinWindowsPass(target.name),
            _same(ExpandInsertionsPass),
            lambda target: SplitReductionsPass(target.name),
            lambda target: SplitContractionsPass(target.name),
            lambda target: FuseKernelsPass(target.name),
            _same(ExpandMathPass),
        ),
        frozenset({"builtin", "func", "kernel"}) | _KERNEL_BODY,
    ),
    Stage(
        "buffers",
        "kernels on memrefs; a host program with planned, reused, overwritten buffers",
        (_same(BufferizeKernelsPass), _same(PlanMemoryPass)),
        frozenset({"builtin", "func", "kernel", "memref", "bufferization"}) | _KERNEL_BODY,
    ),
    Stage(
        "tiled",
        "kernels as explicit threads, loops, vectors and workgroup memory",
        (
            lambda target: ApplyTuningPass(target.tuning),
            lambda target: ScheduleKernelsPass(target.name),
            lambda target: MergeLaunchesPass(target.name),
            lambda target: SplitLaunchesPass(target.name),
            _same(ProveBoundsPass),
        ),
        frozenset({"builtin", "func", "kernel", "memref", "arith", "math", "scf", "gpu", "vector"}),
    ),
    Stage(
        "wgsl",
        "WGSL shaders and a WebGPU host program",
        (_same(ConvertKernelsToWgslPass), _same(ConvertHostToWebgpuPass)),
        frozenset({"builtin", "func", "wgsl", "webgpu"}),
    ),
)
"""Every stage in order, with the passes that lead to it from the stage before."""


def stage_named(name: str) -> Stage:
    """The stage called `name`; raises `StepwellError` with a suggestion."""
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise unknown("stage", name, [stage.name for stage in STAGES])


def stages_until(name: str) -> tuple[Stage, ...]:
    """The stages from the first to the one called `name`."""
    return STAGES[: STAGES.index(stage_named(name)) + 1]


def stage_of(module: ModuleOp) -> Stage:
    """The earliest stage whose dialects admit every operation of the module."""
    found = {kind.dialect_name() for kind in {type(op) for op in every(module)}}
    for stage in STAGES:
        if found <= stage.dialects:
            return stage
    foreign = sorted(found - frozenset[str]().union(*(stage.dialects for stage in STAGES)))
    mixed = f"dialects {', '.join(foreign)} belong to no stage" if foreign else "it mixes stages"
    raise StepwellError(f"the module is at no stage: {mixed}")


def check_legal(module: ModuleOp, stage: Stage) -> None:
    """Raises `StepwellError` for an operation that the stage may not hold."""
    legal: set[type[Operation]] = set()
    for op in every(module):
        if type(op) not in legal:
            if op.dialect_name() not in stage.dialects:
                raise StepwellError(
                    f"{where(op.location)}{op.name} is not legal at stage '{stage.name}'"
                )
            legal.add(type(op))


def lower(
    module: ModuleOp,
    target: Target = TARGETS[0],
    to: str = "wgsl",
    *,
    verify_each: bool = False,
    observe: Observer | None = None,
) -> ModuleOp:
    """Lowers `module` in place from the stage it is at to the stage `to`, and returns it.

    The module is verified at entry and at exit; with `verify_each`, after every pass. `observe` is
    called after each pass. Raises `StepwellError` for what cannot be lowered, naming the place in
    the user's program, and xDSL's `VerifyException` for invalid IR.
    """
    start = STAGES.index(stage_of(module))
    context = Context()
    with collector_frozen():
        verify(module)
        # What enters below the stage that proves bounds may claim anything.
        ProveBoundsPass().apply(context, module)
        for stage in STAGES[start + 1 : STAGES.index(stage_named(to)) + 1]:
            for make in stage.passes:
                pass_ = make(target)
                pass_.apply(context, module)
                if verify_each:
                    verify(module)
                if observe is not None:
                    observe(pass_, module)
            check_legal(module, stage)
        verify(module)
    return module
