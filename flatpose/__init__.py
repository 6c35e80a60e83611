"""FlatPose reproduction harness: a small 2-D pose core and the experiments that measure the paper with it."""

__version__ = "0.1.0"
