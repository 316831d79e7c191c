"""How a kernel is laid out on a device: few parameterised schedules."""
