"""What is installed, what is missing, and the command that fixes each problem."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from packaging.requirements import Requirement

from flatpose.config import EmbeddedConfig
from flatpose.data import find_root
from flatpose.data.synthetic import root_folder
from flatpose.harness import store

PACKAGE = "flatpose-exp"
FREE_GB = 5
TOLERANCE = 0.5
"""Pixels by which a keypoint may differ between devices: a bin of the bundled network is larger."""


class Finding(NamedTuple):
    """One line of the examination."""

    state: Literal["ok", "note", "error"]
    name: str
    detail: str
    fix: str = ""


def examine(data_root: Path | None) -> list[Finding]:
    """Everything that a run depends on, in the order in which it would fail."""
    root = find_root(data_root)
    if root is None:
        data = Finding("note", "data", "no data root; the embedded data need none", "export FLATPOSE_DATA=DIR")
    elif root.is_dir():
        data = Finding("ok", "data", f"{root}; `flatpose-exp data check` examines it")
    else:
        data = Finding("error", "data", f"{root} is not a folder", "give --data-root DIR or set FLATPOSE_DATA")
    return [*_packages(), *_devices(), _folder("FLATPOSE_CACHE", root_folder(EmbeddedConfig()).parent),
            _folder("FLATPOSE_RUNS", store.runs_dir()), data]


def _packages() -> Iterator[Finding]:
    """Installed versions against the ranges that this program declares."""
    try:
        declared = [Requirement(text) for text in importlib.metadata.requires(PACKAGE) or ()]
    except importlib.metadata.PackageNotFoundError:
        yield Finding("error", PACKAGE, "not installed, so the needed versions are unknown", "pip install -e .")
        return
    for wanted in (r for r in declared if r.marker is None or r.marker.evaluate()):
        try:
            version = importlib.metadata.version(wanted.name)
            good = wanted.specifier.contains(version, prereleases=True)
        except importlib.metadata.PackageNotFoundError:
            version, good = "not installed", False
        fix = f"pip install -c constraints.txt {wanted.name}"
        yield Finding("ok", wanted.name, version) if good else Finding(
            "error", wanted.name, f"{version}, needs {wanted.specifier}", fix)


def _devices() -> Iterator[Finding]:
    """What torch sees, and whether the bundled network predicts the same on every device."""
    try:
        import numpy as np
        import torch
        from torch.utils.collect_env import get_env_info

        from flatpose.predict import Pose

        found = get_env_info()
        image = np.random.default_rng(0).integers(0, 256, (160, 120, 3), dtype=np.uint8)
        expected = Pose.load(device="cpu")(image)[0]
    except Exception as error:  # whatever keeps the smallest prediction from working
        yield Finding("error", "prediction", f"the bundled network does not run ({type(error).__name__}: {error})",
                      "pip install -c constraints.txt -e .")
        return
    yield Finding("ok", "prediction", f"the bundled network runs on the CPU ({os.cpu_count()} cores), {found.os}, "
                  f"Python {found.python_version.split()[0]}")
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not any(there.values()):
        yield Finding("note", "device", "no GPU: profiles smoke and quick are made for this")
    for device in (name for name in there if there[name]):
        apart = float(abs(expected - Pose.load(device=device)(image)[0]).max())
        detail = f"{found.nvidia_gpu_models or device}: keypoints differ from the CPU's by {apart:.2g} px"
        yield Finding("ok", device, detail) if apart < TOLERANCE else Finding(
            "error", device, detail, "update driver and torch; until then hide the device")


def _folder(variable: str, folder: Path) -> Finding:
    """Whether a folder can be written, and the free space of its disk."""
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free, fix = shutil.disk_usage(existing).free / 1e9, f"export {variable}=a folder that is writable and has room"
    if not os.access(existing, os.W_OK):
        return Finding("error", variable, f"{folder} is not writable", fix)
    detail = f"{folder}, {free:.0f} GB free"
    return Finding("ok", variable, detail) if free > FREE_GB else Finding("note", variable, detail, fix)
