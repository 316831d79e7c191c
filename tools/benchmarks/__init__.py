"""What `stepwell bench` measures: a family of benchmarks a file."""
