"""The embedded data set: generated people in generated places, written like a benchmark (docs/embedded-data.md)."""

from __future__ import annotations

from flatpose.data.synthetic.dataset import ensure, existing, problem, render, root_folder
from flatpose.data.synthetic.scene import VERSION

__all__ = ["VERSION", "ensure", "existing", "problem", "render", "root_folder"]
