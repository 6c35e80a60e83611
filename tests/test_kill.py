"""kill -9 in the middle of real work, then the same command again: the numbers are those of an uninterrupted run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny import write_coco

SPEC = '''
from flatpose.config import BaselineConfig, DataConfig, EvalConfig, HeatmapCodecConfig, RunConfig, TrainConfig
from flatpose.harness.spec import Experiment, Profile, Row

RUN = RunConfig(data=DataConfig(source="disk"), image_size=(64, 64), codec=HeatmapCodecConfig(stride=32),
                model=BaselineConfig(backbone="resnet_quick", pretrained=False, num_deconvs=0),
                train=TrainConfig(epochs=6, batch_size=4, ema_decay=0.9, warmup_epochs=1),
                eval=EvalConfig(box_sources=("gt", "det")))
EXPERIMENT = Experiment(id="killed", title="t", source="s", question="q", rows=(Row(id="only", label="l", run=RUN),),
                        profiles={"quick": Profile(name="quick", description="d")})
'''
# The process kills itself at the chosen moment: a test that races a clock would sometimes test nothing.
SCRIPT = '''
import os, signal, sys
import flatpose.train
from flatpose.harness.cli import main

flatpose.train.CHECKPOINT_SECONDS = 0.0
moment = os.environ.get("KILL", "")

def die():
    os.kill(os.getpid(), signal.SIGKILL)

if moment.startswith("epoch"):
    step = flatpose.train._step
    def dying_step(loop, batch, number, update):
        value = step(loop, batch, number, update)
        return die() if number == int(moment[5:]) else value
    flatpose.train._step = dying_step
elif moment:
    replace = os.replace
    def dying_replace(source, target):
        if os.path.basename(target) == moment:
            die()
        return replace(source, target)
    os.replace = dying_replace
main()
'''


class Machine:
    """One runs folder, one tiny COCO tree, and the command."""

    def __init__(self, folder: Path) -> None:
        self.runs = folder / "runs"
        self.spec = folder / "killed.py"
        folder.mkdir(exist_ok=True)
        self.spec.write_text(SPEC)
        self.data = write_coco(folder / "data")

    def run(self, kill: str = "") -> int:
        environment = {**os.environ, "FLATPOSE_RUNS": str(self.runs), "KILL": kill, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", SCRIPT, "run", str(self.spec), "--data-root", str(self.data), "--no-report"]
        return subprocess.run(command, env=environment, cwd=self.spec.parent, capture_output=True).returncode

    def record(self) -> dict[str, Any] | None:
        found = list(self.runs.glob("*/seed0/*/record.json"))
        return json.loads(found[0].read_text()) if found else None


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    machine = Machine(tmp_path_factory.mktemp("whole"))
    assert machine.run() == 0
    return machine.record()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["epoch0", "epoch3", "epoch5", "state.json", "record.json", "log.csv"])
def test_the_same_command_after_kill_9_gives_the_same_numbers(tmp_path, uninterrupted, moment):
    machine = Machine(tmp_path / "m")
    assert machine.run(kill=moment) == -signal.SIGKILL
    assert machine.record() is None
    assert machine.run() == 0
    assert machine.record()["results"] == uninterrupted["results"]
    assert machine.record()["train"]["loss_last"] == uninterrupted["train"]["loss_last"]
    assert machine.record()["train"]["steps"] == uninterrupted["train"]["steps"]
