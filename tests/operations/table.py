"""The operation table: every `array` operation, the cases it is tried on, what NumPy says."""

from operations import contraction, elementwise, logic, random, reduction

ROWS = [
    *elementwise.ROWS,
    *logic.ROWS,
    *reduction.ROWS,
    *contraction.ROWS,
    *random.ROWS,
]

CASES = [(row.op, case) for row in ROWS for case in row.cases]
