"""What enters: arrays and tracing, transformations, `nn` and `optim`."""
