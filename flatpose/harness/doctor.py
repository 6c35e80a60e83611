"""What is installed, what is missing, and the command that mends each complaint."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from flatpose.data import find_root
from flatpose.data.synthetic import root_folder
from flatpose.config import EmbeddedConfig

REQUIRED = {"torch": "2.8", "torchvision": "0.23", "timm": "1.0.20", "accelerate": "1.10", "numpy": "2",
            "cv2": "4.11", "pycocotools": "2.0.10", "faster_coco_eval": "1.7", "fvcore": "0.1.5"}
OPTIONAL = {"xtcocotools": "CrowdPose is scored by faster-coco-eval, which gives the same numbers"}
DISTRIBUTION = {"cv2": "opencv-python-headless", "faster_coco_eval": "faster-coco-eval"}
FREE_GB = 5


@dataclass(frozen=True)
class Finding:
    """One line of the examination."""

    name: str
    state: Literal["ok", "note", "error"]
    detail: str
    mend: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def examine(data_root: Path | None) -> list[Finding]:
    """Everything a run depends on, in the order in which it would fail."""
    return [_python(), *map(_package, REQUIRED), *map(_optional, OPTIONAL), _git(), _device(), _cache(),
            _data(data_root)]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 10) <= sys.version_info[:2] < (3, 14)
    return Finding("python", "ok" if fits else "error", version, "" if fits else "use Python 3.10 to 3.13")


def _package(module: str) -> Finding:
    name = DISTRIBUTION.get(module, module)
    mend = f"pip install -c constraints.txt {name}"
    try:
        version = importlib.metadata.version(name)
        importlib.import_module(module)
    except Exception as error:
        return Finding(name, "error", f"cannot be imported ({type(error).__name__}: {error})", mend)
    old = _numbers(version) < _numbers(REQUIRED[module])
    return Finding(name, "error" if old else "ok", version + (f", needs {REQUIRED[module]}" if old else ""),
                   mend if old else "")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("+")[0].split(".")[:3] if part.isdigit())


def _optional(module: str) -> Finding:
    try:
        importlib.import_module(module)
        return Finding(module, "ok", importlib.metadata.version(module))
    except Exception:
        return Finding(module, "note", f"not usable: {OPTIONAL[module]}", "make setup builds it from source")


def _git() -> Finding:
    found = shutil.which("git")
    return Finding("git", "ok" if found else "note", "found" if found else "records will not name their commit")


def _device() -> Finding:
    try:
        import torch
    except Exception:
        return Finding("device", "error", "torch cannot be imported", "pip install -c constraints.txt torch")
    if torch.cuda.is_available():
        return Finding("device", "ok", f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}")
    return Finding("device", "note", f"no GPU; {torch.get_num_threads()} threads on {os.cpu_count()} cores: "
                   "profiles smoke and quick are made for this")


def _cache() -> Finding:
    folder = root_folder(EmbeddedConfig()).parent
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(existing).free / 1e9
    if not os.access(existing, os.W_OK):
        return Finding("cache", "error", f"{folder} cannot be written", "export FLATPOSE_CACHE=a writable folder")
    state: Literal["ok", "note"] = "ok" if free > FREE_GB else "note"
    return Finding("cache", state, f"{folder}, {free:.0f} GB free", "" if state == "ok" else "make room")


def _data(data_root: Path | None) -> Finding:
    from flatpose.data import coco
    from flatpose.errors import DataError

    root = find_root(data_root)
    if root is None:
        return Finding("data", "note", "no data root; the embedded data needs none",
                       "export FLATPOSE_DATA=DIR or give --data-root DIR for real data")
    try:
        return Finding("data", "ok", f"COCO in {coco.coco_folder(root)}")
    except DataError as error:
        return Finding("data", "note", error.what, "flatpose-exp data check --data-root DIR")
