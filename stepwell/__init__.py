"""Stepwell: a multi-level tensor compiler for WebGPU."""
