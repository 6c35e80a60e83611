"""kill -9 and Ctrl-C in the middle of a real training, then the same command: the numbers are those of a whole run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny import spec, write_coco

ROOT = Path(__file__).parents[1]
ROWS = {"a": {"epochs": 4, "warmup_epochs": 1}, "b": {"epochs": 2}}
# The process interrupts itself when a file is put in its place: a test that races a clock would sometimes test nothing.
SCRIPT = '''
import os, sys
import flatpose.train
from flatpose.harness.cli import main

flatpose.train.CHECKPOINT_SECONDS = 0.0
signal, name, left = int(sys.argv.pop(1)), sys.argv.pop(1), int(sys.argv.pop(1))
replace = os.replace

def interrupted(source, target):
    global left
    if os.path.basename(target) == name:
        left -= 1
        if not left:
            os.kill(os.getpid(), signal)
    return replace(source, target)

os.replace = interrupted
main()
'''


class Machine:
    """One runs folder, one tiny COCO tree, and the command."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.data = folder, write_coco(folder / "data")
        (folder / "killed.py").write_text(spec(**ROWS))

    def run(self, number: int = 0, name: str = "", time: int = 0) -> subprocess.CompletedProcess[str]:
        """Stopped by a signal when the file ``name`` is written for the ``time``-th time."""
        command = [sys.executable, "-c", SCRIPT, str(number), name, str(time), "run", "killed.py", "--row", "a",
                   "--data-root", str(self.data), "--no-report", "--jobs", "1"]
        environment = {**os.environ, "FLATPOSE_RUNS": str(self.folder / "runs"), "OMP_NUM_THREADS": "1",
                       "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True)

    def record(self) -> dict[str, Any] | None:
        found = list(self.folder.glob("runs/*/seed0/*/record.json"))
        return json.loads(found[0].read_text()) if found else None


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    machine = Machine(tmp_path_factory.mktemp("whole"))
    assert machine.run().returncode == 0
    return machine.record()


@pytest.mark.slow
@pytest.mark.parametrize("number, name, time, code", [
    (signal.SIGKILL, "state.json", 2, -signal.SIGKILL), (signal.SIGKILL, "record.json", 1, -signal.SIGKILL),
    (signal.SIGINT, "state.json", 2, 130)])
def test_the_same_command_after_an_interruption_gives_the_same_numbers(tmp_path, uninterrupted, number, name, time,
                                                                       code):
    machine = Machine(tmp_path / "m")
    assert machine.run(number, name, time).returncode == code and machine.record() is None
    assert machine.run().returncode == 0
    assert machine.record()["results"] == uninterrupted["results"]
    for part in ("loss_last", "steps"):
        assert machine.record()["train"][part] == uninterrupted["train"][part]
