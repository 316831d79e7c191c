"""What leaves the compiler: the NumPy reference, wgpu, and the artifact both read."""
