"""Training: data, synthetic pictures, loss terms, loop and checkpoints."""
