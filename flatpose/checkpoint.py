"""The state of an unfinished training on disk, in a folder that is either complete or absent."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from flatpose.errors import CheckpointError
from flatpose.io import read_json, write_json

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
