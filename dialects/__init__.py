"""What the IR can say: one file (or package) per dialect, named after it."""
