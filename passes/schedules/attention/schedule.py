"""Which schedule an operation of attention takes, and its plans."""

from __future__ import annotations

from stepwell.dialects import kernel
from stepwell.dialects.linalg_ext import AttendingOp, AttentionGradientOp, AttentionOp
from stepwell.passes.schedules.attention.forward import Forward
from stepwell.passes.schedules.attention.gradient import Gradient
from stepwell.passes.schedules.attention.lanewise import shape_of_attention
from stepwell.passes.schedules.attention.plan import Plan, plans
from stepwell.passes.schedules.attention.row_plans import RowPlan, row_plans
from stepwell.passes.schedules.attention.rows import Rows
from stepwell.passes.schedules.frame import Frame


def attention_plans(frame: Frame) -> list[Plan]:
    """The plans of the frame's kernel, best first."""
    op = _operation(frame)
    return plans(frame.target, type(op), shape_of_attention(op))


def schedule_attention(frame: Frame, plan: Plan) -> kernel.FuncOp:
    """Lays the kernel out by `plan`."""
    op = _operation(frame)
    if isinstance(op, AttentionGradientOp):
        return Gradient(frame, op, plan).run()
    assert isinstance(op, AttentionOp)
    return Forward(frame, op, plan).run()


def attention_row_plans(frame: Frame) -> list[RowPlan]:
    """The plans of the frame's kernel by rows of scores, best first."""
    op = _operation(frame)
    rows = isinstance(op, AttentionOp) and op.shifts is not None
    return row_plans(frame.target, shape_of_attention(op)) if rows else []


def schedule_attention_rows(frame: Frame, plan: RowPlan) -> kernel.FuncOp:
    """Lays the kernel out by `plan`."""
    op = _operation(frame)
    assert isinstance(op, AttentionOp)
    return Rows(frame, op, plan).run()


def _operation(frame: Frame) -> AttendingOp:
    (op,) = (op for op in frame.domain.members if isinstance(op, AttendingOp))
    return op
