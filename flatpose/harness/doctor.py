"""What is installed, what is missing, and the command that mends each complaint."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement

from flatpose import benchmarks
from flatpose.config import EmbeddedConfig
from flatpose.data import find_root
from flatpose.data.synthetic import root_folder
from flatpose.errors import DataError
from flatpose.harness import sites

PACKAGE = "flatpose-exp"
MODULES = {"markdown-it-py": "markdown_it", "opencv-python-headless": "cv2"}  # named unlike their distributions
OPTIONAL = {"xtcocotools": "CrowdPose is scored by faster-coco-eval, which gives the same numbers"}
FREE_GB = 5
TOLERANCE = 0.5
"""Pixels by which a keypoint may differ between devices: a bin of the small network is larger."""


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
    cache = root_folder(EmbeddedConfig()).parent
    return [_python(), *_packages(), _git(), _device(), *_agreement(),
            _room("cache", cache, "export FLATPOSE_CACHE=a writable folder"),
            _room("runs", sites.runs_dir(), "export FLATPOSE_RUNS=a writable folder"), _data(data_root)]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 10) <= sys.version_info[:2] < (3, 14)
    return Finding("python", "ok" if fits else "error", version, "" if fits else "use Python 3.10 to 3.13")


def _packages() -> Iterator[Finding]:
    """The ranges this program declares, against what is installed."""
    try:
        declared = [Requirement(text) for text in importlib.metadata.requires(PACKAGE) or ()]
    except importlib.metadata.PackageNotFoundError:
        yield Finding(PACKAGE, "error", "is not installed, so the needed versions are unknown", "pip install -e .")
        return
    yield from (_package(r) for r in declared if r.marker is None or r.marker.evaluate())
    yield from map(_optional, OPTIONAL)


def _package(wanted: Requirement) -> Finding:
    mend = f"pip install -c constraints.txt {wanted.name}"
    try:
        version = importlib.metadata.version(wanted.name)
        importlib.import_module(MODULES.get(wanted.name, re.sub("[-.]", "_", wanted.name)))
    except Exception as error:  # a broken binary raises anything
        return Finding(wanted.name, "error", f"cannot be imported ({type(error).__name__}: {error})", mend)
    if not wanted.specifier.contains(version, prereleases=True):
        return Finding(wanted.name, "error", f"{version}, needs {wanted.specifier}", mend)
    return Finding(wanted.name, "ok", version)


def _optional(module: str) -> Finding:
    try:
        importlib.import_module(module)
        return Finding(module, "ok", importlib.metadata.version(module))
    except Exception:
        return Finding(module, "note", f"not usable: {OPTIONAL[module]}", "make setup builds it from source")


def _git() -> Finding:
    found = shutil.which("git")
    return Finding("git", "ok" if found else "note", "found" if found else "records will not name their commit",
                   "" if found else "install git")


def _device() -> Finding:
    try:
        import torch
    except Exception:
        return Finding("device", "error", "torch cannot be imported", "pip install -c constraints.txt torch")
    if torch.cuda.is_available():
        return Finding("device", "ok", f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}")
    cpu = f"{torch.get_num_threads()} threads on {os.cpu_count()} cores"
    if torch.backends.mps.is_available():
        return Finding("device", "ok", f"Apple GPU (MPS); {cpu}")
    return Finding("device", "note", f"no GPU; {cpu}: profiles smoke and quick are made for this")


def _agreement() -> Iterator[Finding]:
    """The small network that comes along, on every device of this machine, against its answer on the CPU."""
    try:
        import numpy as np
        import torch

        from flatpose.predict import Pose

        image = np.random.default_rng(0).integers(0, 256, (160, 120, 3), dtype=np.uint8)
        here = Pose.load(device="cpu")(image)
    except Exception as error:  # whatever keeps the smallest prediction from working
        yield Finding("prediction", "error", f"the small network gives no answer ({type(error).__name__}: {error})",
                      "flatpose-exp doctor --debug, and pip install -e . again")
        return
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    yield Finding("prediction", "ok", "the small network answers on the CPU" + (
        "" if any(found.values()) else "; there is no other device to compare with"))
    for device in (name for name, there in found.items() if there):
        yield _device_agrees(device, here[0], Pose.load(device=device)(image)[0])


def _device_agrees(device: str, here: Any, there: Any) -> Finding:
    """Keypoints in pixels of the image; half a bin of the small network is a third of a pixel."""
    apart = float(abs(here - there).max())
    if apart < TOLERANCE:
        return Finding(device, "ok", f"answers as the CPU does (keypoints within {apart:.2g} px)")
    return Finding(device, "error", f"answers otherwise than the CPU (keypoints {apart:.2g} px apart)",
                   "update the device's driver and torch; until then --device is not to be trusted: hide it with "
                   "CUDA_VISIBLE_DEVICES=")


def _room(name: str, folder: Path, mend: str) -> Finding:
    """Whether a folder can be written, and what its disk has left."""
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(existing).free / 1e9
    if not os.access(existing, os.W_OK):
        return Finding(name, "error", f"{folder} cannot be written", mend)
    state: Literal["ok", "note"] = "ok" if free > FREE_GB else "note"
    return Finding(name, state, f"{folder}, {free:.0f} GB free", "" if state == "ok" else f"make room, or {mend}")


def _data(data_root: Path | None) -> Finding:
    root = find_root(data_root)
    if root is None:
        return Finding("data", "note", "no data root; the embedded data needs none",
                       "export FLATPOSE_DATA=DIR or give --data-root DIR for real data")
    try:
        return Finding("data", "ok", f"COCO in {benchmarks.COCO.layout.closest(root).folder}")
    except DataError as error:
        return Finding("data", "note", error.what, "flatpose-exp data check --data-root DIR")
