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

DEATHS = 20
# Twenty deaths in one go: the children of a process that has loaded everything, each killed at its n-th event (an
# optimiser step, a checkpoint, a rename), n drawn by chance. Then a last one that may live.
MANY = '''
import os, random, signal, sys
import flatpose.pipeline, flatpose.train
from flatpose.harness.cli import main

flatpose.train.CHECKPOINT_SECONDS = 0.0
chance, deaths = random.Random(0), 0

def live(left):
    def counted(action):
        def call(*args, **options):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return action(*args, **options)
        return call
    flatpose.train._step, os.replace = counted(flatpose.train._step), counted(os.replace)
    os.rename = counted(os.rename)
    main()

while deaths < DEATHS:
    child = os.fork()
    if child == 0:
        live(chance.randint(1, 9))
    ended = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(ended):
        sys.exit(f"the run ended after {deaths} deaths: give it more epochs")
    deaths += 1
live(0)
'''.replace("DEATHS", str(DEATHS))


class Machine:
    """One runs folder, one tiny COCO tree, and the command."""

    def __init__(self, folder: Path, epochs: int = 6) -> None:
        self.runs = folder / "runs"
        self.spec = folder / "killed.py"
        folder.mkdir(exist_ok=True)
        self.spec.write_text(SPEC.replace("epochs=6", f"epochs={epochs}"))
        self.data = write_coco(folder / "data")

    def run(self, kill: str = "", script: str = SCRIPT) -> int:
        environment = {**os.environ, "FLATPOSE_RUNS": str(self.runs), "KILL": kill, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", script, "run", str(self.spec), "--data-root", str(self.data), "--no-report"]
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


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_random_kills_in_a_row_end_in_the_same_numbers(tmp_path):
    whole, machine = Machine(tmp_path / "whole", epochs=30), Machine(tmp_path / "killed", epochs=30)
    assert whole.run() == 0
    assert machine.run(script=MANY) == 0
    assert machine.record()["results"] == whole.record()["results"]
    assert machine.record()["train"]["loss_last"] == whole.record()["train"]["loss_last"]
