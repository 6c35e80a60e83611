"""kill -9 and Ctrl-C in the middle of a real training, then the same command: the numbers are those of a whole run."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from tiny import python, records, spec, write_coco

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


def run(folder: Path, number: int = 0, name: str = "", time: int = 0) -> int:
    """The exit code of a run that is stopped by a signal when the file ``name`` is written for the ``time``-th time."""
    if not (folder / "data").exists():
        write_coco(folder / "data")
    (folder / "killed.py").write_text(spec(a={"epochs": 4, "warmup_epochs": 1}))
    return python(folder, "-c", SCRIPT, int(number), name, time, "run", "killed.py", "--data-root", "data",
                  "--no-report", "--jobs", 1).returncode


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("whole")
    assert run(folder) == 0
    return records(folder)[0]


@pytest.mark.slow
@pytest.mark.parametrize("number, name, time, code", [
    (signal.SIGKILL, "state.json", 2, -signal.SIGKILL), (signal.SIGKILL, "record.json", 1, -signal.SIGKILL),
    (signal.SIGINT, "state.json", 2, 130)])
def test_the_same_command_after_an_interruption_gives_the_same_numbers(tmp_path, uninterrupted, number, name, time,
                                                                       code):
    assert run(tmp_path, number, name, time) == code and records(tmp_path) == []
    assert run(tmp_path) == 0
    (record,) = records(tmp_path)
    assert record["results"] == uninterrupted["results"]
    for part in ("loss_last", "steps"):
        assert record["train"][part] == uninterrupted["train"][part]
