"""What is installed, what is missing, and the command that fixes each problem."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from flatpose.config import EmbeddedConfig
from flatpose.data import find_root
from flatpose.data.synthetic import root_folder
from flatpose.harness import store

PACKAGE = "flatpose-exp"
FREE_GB = 5
TOLERANCE = 0.5
"""Pixels by which a keypoint may differ between devices: a bin of the bundled network is larger."""


@dataclass(frozen=True)
class Finding:
    """One line of the examination."""

    name: str
    state: Literal["ok", "note", "error"]
    detail: str
    fix: str = ""


def examine(data_root: Path | None) -> list[Finding]:
    """Everything that a run depends on, in the order in which it would fail."""
    return [*_packages(), *_devices(),
            _folder("cache", root_folder(EmbeddedConfig()).parent, "export FLATPOSE_CACHE=a writable folder"),
            _folder("runs", store.runs_dir(), "export FLATPOSE_RUNS=a writable folder"), _data(data_root)]


def _packages() -> Iterator[Finding]:
    """Installed versions against the ranges that this program declares."""
    fits = (3, 10) <= sys.version_info[:2] < (3, 14)
    yield Finding("python", "ok" if fits else "error", sys.version.split()[0], "" if fits else "use Python 3.10 to 3.13")
    try:
        declared = [Requirement(text) for text in importlib.metadata.requires(PACKAGE) or ()]
    except importlib.metadata.PackageNotFoundError:
        yield Finding(PACKAGE, "error", "not installed, so the needed versions are unknown", "pip install -e .")
        return
    for wanted in (r for r in declared if r.marker is None or r.marker.evaluate()):
        fix = f"pip install -c constraints.txt {wanted.name}"
        try:
            version = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(wanted.name, "error", f"not installed, needs {wanted.specifier}", fix)
            continue
        good = wanted.specifier.contains(version, prereleases=True)
        yield Finding(wanted.name, "ok" if good else "error", version + ("" if good else f", needs {wanted.specifier}"),
                      "" if good else fix)
    if shutil.which("git") is None:
        yield Finding("git", "note", "not found: records will not name their commit", "install git")


def _devices() -> Iterator[Finding]:
    """What torch sees, and whether the bundled network predicts the same on every device."""
    try:
        import numpy as np
        from torch.utils.collect_env import get_env_info

        from flatpose.predict import Pose

        found = get_env_info()
        image = np.random.default_rng(0).integers(0, 256, (160, 120, 3), dtype=np.uint8)
        expected = Pose.load(device="cpu")(image)[0]
    except Exception as error:  # whatever keeps the smallest prediction from working
        yield Finding("prediction", "error", f"the bundled network does not run ({type(error).__name__}: {error})",
                      "pip install -c constraints.txt -e . again")
        return
    yield Finding("prediction", "ok", f"the bundled network runs on the CPU ({os.cpu_count()} cores), {found.os}")
    import torch

    devices = [name for name, there in (("cuda", torch.cuda.is_available()),
                                        ("mps", torch.backends.mps.is_available())) if there]
    if not devices:
        yield Finding("device", "note", "no GPU: profiles smoke and quick are made for this")
    for device in devices:
        apart = float(abs(expected - Pose.load(device=device)(image)[0]).max())
        same = apart < TOLERANCE
        yield Finding(device, "ok" if same else "error", f"{found.nvidia_gpu_models or ''} keypoints differ from the "
                      f"CPU's by {apart:.2g} px", "" if same else "update driver and torch; until then hide the device")


def _folder(name: str, folder: Path, fix: str) -> Finding:
    """Whether a folder can be written, and the free space of its disk."""
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(existing).free / 1e9
    if not os.access(existing, os.W_OK):
        return Finding(name, "error", f"{folder} is not writable", fix)
    return Finding(name, "ok" if free > FREE_GB else "note", f"{folder}, {free:.0f} GB free",
                   "" if free > FREE_GB else f"free some space, or {fix}")


def _data(data_root: Path | None) -> Finding:
    root = find_root(data_root)
    if root is None:
        return Finding("data", "note", "no data root; the embedded data need none",
                       "export FLATPOSE_DATA=DIR or give --data-root DIR for real data")
    return Finding("data", "ok", f"data root {root}; `flatpose-exp data check` examines it")
