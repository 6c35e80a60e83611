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
    """The provenance part of a record; called when the run has ended, with torch loaded unless its process died.

    Machines of one ``host_class`` need about the same time. Records are published, so that the command line and the
    rest hold no folder of this machine.
    """
    torch, (device, host_class) = sys.modules.get("torch"), ("cpu", f"{os.cpu_count()}-core cpu")
    if torch and torch.cuda.is_available():
        host_class = torch.cuda.get_device_name()
        device = f"cuda:{host_class} x{torch.cuda.device_count()}"
    elif torch and torch.backends.mps.is_available():
        device, host_class = "mps", f"Apple GPU, {cpu()}"
    command = re.sub(r"(?<![^\s=])/\S*/(?=[^\s/])", "", " ".join(["flatpose-exp", *sys.argv[1:]]))
    change = git("diff", "HEAD", "--", ".", ":!reports")
    return {"git_sha": git("rev-parse", "HEAD"), "versions": versions(), "platform": platform.platform(terse=True),
            "dirty_diff_hash": hashlib.sha256(change.encode()).hexdigest()[:12] if change else None, "device": device,
            "cpu": cpu(), "threads": torch.get_num_threads() if torch else None, "command": command, "started": started,
            "ended": now(), "seconds": round(seconds, 1), "host_class": host_class}


def has_gpu() -> bool:
    """Whether this machine has an accelerator; does not load torch."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists() or shutil.which("nvidia-smi") is not None


def cpu() -> str:
    """The processor's name, where the system gives one."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def git(*arguments: str) -> str | None:
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
