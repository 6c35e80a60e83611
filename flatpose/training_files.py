"""What a training leaves on disk: the state to resume from, log.csv, and the files of accelerate's trackers."""

from __future__ import annotations

import csv
import os
import shutil
import zlib
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.tracking import filter_trackers

from flatpose.errors import CheckpointError, RunError
from flatpose.io import read_json, write_json, write_text

LogRow = dict[str, float]

LOG = "log.csv"
FIELDS = ("epoch", "step", "loss", "lr", "images", "seconds", "images_per_s")
TRACKERS = "FLATPOSE_TRACKERS"
"""Environment variable: "tensorboard", or several of accelerate's trackers with commas between them.

It is not a field of the spec because it changes no result.
"""
STATE = "state.json"


class TrainState:
    """Checkpoints of one run under ``work_dir``: a new one replaces the old by rename, so a kill loses at most itself.

    The folder holds accelerate's files (network, optimiser, EMA, random states) and ``state.json`` (epochs done and
    the log so far), written last.
    """

    def __init__(self, work_dir: Path, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.current, self.next, self.old = (work_dir / f"checkpoint{end}" for end in ("", ".next", ".old"))

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint by the present state of everything accelerate knows about."""
        main = self.accelerator.is_main_process
        if main:
            shutil.rmtree(self.next, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(self.next))
        self.accelerator.wait_for_everyone()
        if main:
            write_json(self.next / STATE, {**state, "files": _sums(self.next)})
            shutil.rmtree(self.old, ignore_errors=True)
            if self.current.exists():
                self.current.rename(self.old)
            self.next.rename(self.current)
            shutil.rmtree(self.old, ignore_errors=True)
        self.accelerator.wait_for_everyone()

    def restore(self) -> dict[str, Any] | None:
        """Load the newest whole checkpoint and return its ``state.json``; None when training starts afresh.

        Raises:
            CheckpointError: Its files are damaged (a disk that failed, a machine that lost power). It is removed: half
                of it may be loaded by now, so that only a new start is clean.
        """
        folder = next((f for f in (self.current, self.old) if (f / STATE).is_file()), None)
        if folder is None:
            return None
        state, problem = self._load(folder)
        damaged = torch.tensor([int(problem is not None)], device=self.accelerator.device)
        if self.accelerator.gather(damaged).any():  # where one process cannot go on none may
            if self.accelerator.is_main_process:
                shutil.rmtree(folder, ignore_errors=True)
            self.accelerator.wait_for_everyone()
            raise CheckpointError(f"the checkpoint was damaged ({problem or 'in another process'}) and has been "
                                  "removed", where=folder.name, hint="run again: it starts afresh")
        return state

    def _load(self, folder: Path) -> tuple[dict[str, Any] | None, str | None]:
        """The state of a checkpoint that has been loaded, or what was wrong with it."""
        try:
            state = read_json(folder / STATE)
            if state.get("files", {}) != (_sums(folder) if "files" in state else {}):
                raise ValueError("its check sums differ")
            self.accelerator.load_state(str(folder))
            return state, None
        except Exception as error:  # safetensors, zip and pickle have errors of their own, torch adds more
            return None, type(error).__name__


def _sums(folder: Path) -> dict[str, int]:
    """CRC-32 of every file beside ``state.json``: accelerate ignores random states that it cannot read."""
    return {path.name: zlib.crc32(path.read_bytes()) for path in sorted(folder.iterdir()) if path.name != STATE}


def start_trackers(accelerator: Accelerator, work_dir: Path) -> None:
    """Start the trackers that ``$FLATPOSE_TRACKERS`` names; tensorboard's files go to ``work_dir``.

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
