"""FlatPose reproduction harness: a small 2-D pose core and the experiments that measure the paper with it."""

__version__ = "0.1.0"

import os

# A few kilobytes of PNG can ask for gigabytes of pixels. OpenCV reads its limit once, when it is imported.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 27))
