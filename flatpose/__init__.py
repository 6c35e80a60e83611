"""FlatPose reproduction harness: a small 2-D pose core and the experiments that measure the paper with it."""

__version__ = "0.2.0"

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flatpose.predict import Pose

NUMERICS = 2
"""Version of the numbers: raised by hand with every change of the core that moves a result. Records keep it, and
tests/test_golden.py fails when results move and it does not."""

__all__ = ["NUMERICS", "Pose", "__version__"]

# A few kilobytes of PNG can ask for gigabytes of pixels. OpenCV reads its limit once, when it is imported.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 27))


def __getattr__(name: str) -> Any:
    """``flatpose.Pose``; torch is imported only when it is used."""
    if name == "Pose":
        from flatpose.predict import Pose

        return Pose
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
