"""The parts of `wgpu-opt`: sources and diagnostics, parsing, pipelines, running them, reporting."""
