"""How `convert-kernels-to-wgsl` converts: kernels, values, memory and control flow."""
