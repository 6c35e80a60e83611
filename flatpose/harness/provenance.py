"""Where a number comes from: code, versions, machine, time."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "timm", "accelerate", "numpy", "opencv-python-headless", "pycocotools",
            "faster-coco-eval", "xtcocotools", "fvcore")
ROOT = Path(__file__).resolve().parents[2]


def now() -> str:
    """UTC time to the second, ISO 8601."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def versions() -> dict[str, str]:
    """Installed versions of everything that can move a number; absent packages are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe(started: str, seconds: float) -> dict[str, Any]:
    """The provenance part of a record; called when the run has ended, with torch loaded."""
    device, host_class = _device()
    return {"git_sha": _git("rev-parse", "HEAD"), "dirty_diff_hash": _dirty_hash(), "versions": versions(),
            "platform": platform.platform(terse=True), "device": device, "cpu": cpu(), "threads": _threads(),
            "command": _command(), "started": started, "ended": now(),
            "seconds": round(seconds, 1), "host_class": host_class}


def has_gpu() -> bool:
    """Whether this machine has an accelerator, told without loading torch."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists() or shutil.which("nvidia-smi") is not None


def _command() -> str:
    """The command line without this machine's folders: records are published."""
    return re.sub(r"(?<![^\s=])/\S*/(?=[^\s/])", "", " ".join(["flatpose-exp", *sys.argv[1:]]))


def _device() -> tuple[str, str]:
    """The device, and its class: machines of one class need about the same time."""
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            name = torch.cuda.get_device_name()
            return f"cuda:{name} x{torch.cuda.device_count()}", name
        if torch.backends.mps.is_available():
            return "mps", f"Apple GPU, {cpu()}"
    return "cpu", f"{os.cpu_count()}-core cpu"


def _threads() -> int | None:
    if "torch" not in sys.modules:
        return None
    import torch

    return torch.get_num_threads()


def cpu() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    """Output of git in the checkout; None without git, or where this is no checkout of ours.

    An installed copy may lie inside somebody else's repository (a virtual environment), whose commit means nothing.
    """
    if not (ROOT / ".git").exists():
        return None
    try:
        result = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def _dirty_hash() -> str | None:
    """Hash of the uncommitted change of tracked files outside reports/; None when there is none."""
    diff = _git("diff", "HEAD", "--", ".", ":!reports")
    return hashlib.sha256(diff.encode()).hexdigest()[:12] if diff else None
