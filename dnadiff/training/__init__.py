"""Training on Lightning: data by step, one module that steps, callbacks, checkpoints."""
