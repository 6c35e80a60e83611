"""Where a user's files are: the project root and the folder of the runs."""

from __future__ import annotations

import os
from pathlib import Path


def root() -> Path:
    """The folder with reports/: the current one or a parent of it, else the current one."""
    here = Path.cwd()
    return next((p for p in (here, *here.parents) if (p / "reports").is_dir()), here)


def looked_in() -> str:
    """Where ``root`` looked, for messages."""
    here = Path.cwd()
    return f"{here} and the folders above it" if root() == here else str(root())


def runs_dir() -> Path:
    """$FLATPOSE_RUNS, else runs/ beside reports/."""
    return Path(os.environ["FLATPOSE_RUNS"]) if os.environ.get("FLATPOSE_RUNS") else root() / "runs"
