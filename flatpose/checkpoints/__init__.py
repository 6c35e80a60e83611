"""Files of weights: published checkpoints under our names, and our own checkpoints with their description."""
