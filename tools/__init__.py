"""What a person runs: one command per file."""
