"""What a training tells while it runs: log.csv always, one row per epoch; accelerate's trackers where asked for."""

from __future__ import annotations

import os
from pathlib import Path

from accelerate import Accelerator
from accelerate.tracking import filter_trackers

from flatpose.errors import RunError
from flatpose.io import write_text

LogRow = dict[str, float]

LOG = "log.csv"
FIELDS = ("epoch", "step", "loss", "lr", "images", "seconds", "images_per_s")
TRACKERS = "FLATPOSE_TRACKERS"
"""Environment variable: "tensorboard", or several of accelerate's trackers with commas between them.

It is no field of the spec, because it changes no number.
"""


def tracker_names() -> list[str]:
    """What the environment asks for."""
    return [name.strip() for name in os.environ.get(TRACKERS, "").split(",") if name.strip()]


def start_trackers(accelerator: Accelerator, work_dir: Path) -> None:
    """Begin to write to the trackers that the environment asks for; tensorboard's files go to ``work_dir``.

    Raises:
        RunError: One of them is not known, or its package is not installed.
    """
    names = tracker_names()
    if not names:
        return
    try:
        trackers = filter_trackers(list(names), str(work_dir))
    except ValueError as error:
        raise RunError(str(error), where=TRACKERS) from None
    if missing := set(names) - {str(tracker) for tracker in trackers}:
        raise RunError(f"{', '.join(sorted(missing))}: not installed", where=TRACKERS,
                       hint=f"pip install {' '.join(sorted(missing))}")
    accelerator.project_configuration.set_directories(str(work_dir))
    accelerator.log_with = trackers
    accelerator.init_trackers("tracker")


def stop_trackers(accelerator: Accelerator) -> None:
    """Flush and close them. (accelerate's end_training would end the process group too, which evaluation needs.)"""
    if accelerator.is_main_process:
        for tracker in accelerator.trackers:
            tracker.finish()
    accelerator.trackers = []


def track(accelerator: Accelerator, row: LogRow) -> None:
    """One row to every tracker that was started."""
    accelerator.log({f"train/{name}": value for name, value in _with_rate(row).items()}, step=int(row["step"]))


def write_log(path: Path, log: list[LogRow]) -> None:
    """The log as CSV, rewritten whole; a field that a row does not have (AP between evaluations) stays empty."""
    rows = [_with_rate(row) for row in log]
    names = list(dict.fromkeys(name for row in rows for name in row))
    front = [name for name in FIELDS if name in names]
    names = front + sorted(set(names) - set(front))  # rows that were read from a checkpoint have another order
    lines = [",".join(names), *(",".join(f"{row[name]:.6g}" if name in row else "" for name in names) for row in rows)]
    write_text(path, "\n".join(lines) + "\n")


def _with_rate(row: LogRow) -> LogRow:
    return {**row, "images_per_s": row["images"] / max(row["seconds"], 1e-9)}
