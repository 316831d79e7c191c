"""How the IR changes: one pass per file; `pipeline.py` is the whole lowering."""
