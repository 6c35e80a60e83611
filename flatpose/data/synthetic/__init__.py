"""The embedded data set: generated people, written in the form of a benchmark (docs/embedded-data.md)."""

from __future__ import annotations

from flatpose.data.synthetic.dataset import ensure, existing, problem, root_folder
from flatpose.data.synthetic.scene import VERSION

__all__ = ["VERSION", "ensure", "existing", "problem", "root_folder"]
