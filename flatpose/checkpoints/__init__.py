"""Files of weights: published checkpoints under our names, and our own checkpoints with their description."""

from flatpose.checkpoints.files import Weights, load_file, read_weights, unwrap
from flatpose.checkpoints.fit import Fit, convert, load_into

__all__ = ["Fit", "Weights", "convert", "load_file", "load_into", "read_weights", "unwrap"]
