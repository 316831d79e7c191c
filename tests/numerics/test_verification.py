"""`verification.verify` finds what `module.verify()` finds."""

from __future__ import annotations

import pytest
from xdsl.dialects import arith, func, scf
from xdsl.dialects.builtin import FunctionType, IndexType, IntegerAttr, ModuleOp, f32, i32
from xdsl.ir import Block, Operation, Region
from xdsl.utils.exceptions import VerifyException

from stepwell.dialects.kernel import FuncOp, ReturnOp
from stepwell.passes.verification import verify


def module(*, last: bool = True) -> tuple[ModuleOp, list[arith.AddiOp]]:
    """Equal additions in a function."""
    block = Block(arg_types=[i32])
    adds = [arith.AddiOp(block.args[0], block.args[0]) for _ in range(4)]
    block.add_ops(adds)
    if last:
        block.add_op(func.ReturnOp())
    return ModuleOp([func.FuncOp("main", ((i32,), ()), Region(block))]), adds


def both_reject(found: ModuleOp) -> None:
    for check in (verify, ModuleOp.verify):
        with pytest.raises((VerifyException, ValueError)):
            check(found)


def test_valid_modules_pass() -> None:
    found, _ = module()
    verify(found)
    verify(ModuleOp([]))


def test_equal_operations_are_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found, adds = module()
    seen: list[Operation] = []
    monkeypatch.setattr(type(adds[0]), "verify", lambda op: seen.append(op))
    verify(found)
    assert seen == adds[:1]


@pytest.mark.parametrize("which", range(4))
def test_a_wrong_type_among_equal_operations(which: int) -> None:
    found, adds = module()
    adds[which].result._type = f32  # pyright: ignore[reportPrivateUsage]
    both_reject(found)


def test_a_wrong_property_among_equal_operations() -> None:
    found, adds = module()
    adds[2].properties["nonsense"] = IntegerAttr(1, i32)
    both_reject(found)


def test_a_block_without_a_terminator() -> None:
    both_reject(module(last=False)[0])


def test_an_empty_body() -> None:
    found, adds = module()
    block = adds[0].parent
    assert block is not None
    for op in reversed(list(block.ops)):
        op.detach()
    both_reject(found)


def test_code_of_an_operation_always_runs() -> None:
    """`func.return` compares itself with the function around it."""
    found, adds = module()
    block = adds[0].parent
    assert block is not None and block.last_op is not None
    block.last_op.detach()
    block.add_op(func.ReturnOp(adds[0].result))
    both_reject(found)


def test_an_erased_operand() -> None:
    found, adds = module()
    block = adds[0].parent
    assert block is not None
    last = arith.AddiOp(adds[0].result, adds[1].result)
    block.insert_op_after(last, adds[3])
    adds[1].result.erase(safe_erase=False)
    both_reject(found)


def shader(*, outside: bool) -> ModuleOp:
    """A loop in a kernel, whose body adds a value of the kernel's or of the function beside it."""
    body = Block(arg_types=[IndexType()])
    zero = arith.ConstantOp(IntegerAttr(0, IndexType()))
    other = arith.ConstantOp(IntegerAttr(1, IndexType()))
    used = other if outside else zero
    body.add_ops([arith.AddiOp(body.args[0], used.result), scf.YieldOp()])
    loop = scf.ForOp(zero, zero, zero, [], Region(body))
    inner = Block([zero, loop, ReturnOp()])
    kernel = FuncOp("kernel", FunctionType.from_lists([], []), Region(inner))
    host = func.FuncOp("main", ((), ()), Region(Block([other, func.ReturnOp()])))
    return ModuleOp([host, kernel])


def test_a_kernel_sees_only_what_it_holds() -> None:
    verify(shader(outside=False))
    both_reject(shader(outside=True))
