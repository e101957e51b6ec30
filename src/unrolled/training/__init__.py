"""Training: streams, backpropagation through time, the loop, checkpoints."""
