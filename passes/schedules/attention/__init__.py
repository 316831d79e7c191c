"""The schedules of attention and its gradients: scores in registers, never in storage."""
