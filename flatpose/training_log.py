"""The log of a training: log.csv with one row per epoch, and accelerate's trackers where they are asked for."""

from __future__ import annotations

import csv
import os
from io import StringIO
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

It is not a field of the spec because it changes no result.
"""


def start_trackers(accelerator: Accelerator, work_dir: Path) -> None:
    """Start the trackers that the environment asks for; tensorboard's files go to ``work_dir``.

    Raises:
        RunError: One of them is not known, or its package is not installed.
    """
    names = [name.strip() for name in os.environ.get(TRACKERS, "").split(",") if name.strip()]
    if not names:
        return
    try:
        trackers = filter_trackers(list(names), str(work_dir))
    except ValueError as error:
        raise RunError(str(error), where=TRACKERS) from None
    if missing := sorted(set(names) - {str(tracker) for tracker in trackers}):
        raise RunError(f"{', '.join(missing)}: not installed", where=TRACKERS, hint=f"pip install {' '.join(missing)}")
    accelerator.project_configuration.set_directories(str(work_dir))
    accelerator.log_with = trackers
    accelerator.init_trackers("tracker")


def stop_trackers(accelerator: Accelerator) -> None:
    """Flush and close them. (accelerate's end_training would also end the process group, which evaluation needs.)"""
    if accelerator.is_main_process:
        for tracker in accelerator.trackers:
            tracker.finish()
    accelerator.trackers = []


def track(accelerator: Accelerator, row: LogRow) -> None:
    """Send one row to every tracker that was started."""
    accelerator.log({f"train/{name}": value for name, value in _with_rate(row).items()}, step=int(row["step"]))


def write_log(path: Path, log: list[LogRow]) -> None:
    """Write the log as CSV; a field that a row does not have (AP between evaluations) stays empty."""
    rows = [_with_rate(row) for row in log]
    more = sorted({name for row in rows for name in row} - set(FIELDS))
    text = StringIO()
    writer = csv.DictWriter(text, [*FIELDS, *more], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def _with_rate(row: LogRow) -> LogRow:
    return {**row, "images_per_s": row["images"] / max(row["seconds"], 1e-9)}
