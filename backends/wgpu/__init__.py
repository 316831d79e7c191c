"""Runs programs on a WebGPU device through wgpu-native.

device.py opens an adapter, memory.py keeps its buffers, array.py is what a caller holds,
executor.py runs a program, profiler.py times its kernels, native.py has the calls that wgpu-py
makes too slowly or not at all.
"""
