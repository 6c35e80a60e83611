"""Fifty times kill -9 at random points, in every phase of the work; then the same command finishes with equal numbers.

The work happens in children of a fork server, which has loaded torch but not used it: they start at once. (Children
of the test's own process would inherit OpenMP threads that earlier tests started and that do not exist in a child.)
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

KILLS_PER_PHASE = 10
PHASES = ("data", "train", "evaluate", "record", "report")
SPEC = '''
from flatpose.config import BaselineConfig, DataConfig, EmbeddedConfig, HeatmapCodecConfig, RunConfig, TrainConfig
from flatpose.harness.spec import Experiment, Profile, Row

RUN = RunConfig(data=DataConfig(source="embedded", embedded=EmbeddedConfig(train_images=6, val_images=3)),
                image_size=(64, 64), codec=HeatmapCodecConfig(stride=32),
                model=BaselineConfig(backbone="resnet_quick", pretrained=False, num_deconvs=0),
                train=TrainConfig(epochs=4, batch_size=4, ema_decay=0.9, warmup_epochs=1))
EXPERIMENT = Experiment(id="soak", title="t", source="s", question="q", rows=(Row(id="only", label="l", run=RUN),),
                        profiles={"quick": Profile(name="quick", description="d")})
'''
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]
SERVER = multiprocessing.get_context("forkserver") if hasattr(os, "fork") else multiprocessing.get_context()


class Work:
    """Data, training, evaluation, record and page of one run, below a folder, in a child that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wipe()

    def wipe(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "reports").mkdir(parents=True)
        (self.folder / "soak.py").write_text(SPEC)

    def start(self) -> tuple[BaseProcess, Connection]:
        """The command's process, and a pipe that says each phase's number as it begins."""
        read, write = SERVER.Pipe(duplex=False)
        process = SERVER.Process(target=self._child, args=(write,))
        process.start()
        write.close()
        return process, read

    def _child(self, told: Connection) -> None:
        import flatpose.train
        from flatpose import evaluate
        from flatpose.data.synthetic import dataset
        from flatpose.harness import report, store

        os.chdir(self.folder)
        os.environ |= {"FLATPOSE_CACHE": str(self.folder / "cache"), "FLATPOSE_RUNS": str(self.folder / "runs")}
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(os.open(self.folder / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        flatpose.train.CHECKPOINT_SECONDS = 0.0
        for phase, owner, name in ((0, dataset, "_make"), (1, flatpose.train, "_epoch"), (2, evaluate, "predict"),
                                   (3, store.RunDir, "save"), (4, report, "write")):
            _announce(phase, owner, name, told)
        from flatpose.harness.cli import main

        sys.argv = ["flatpose-exp", "run", "soak.py"]
        try:
            main()
        except SystemExit as stop:
            os._exit(stop.code or 0)
        os._exit(0)

    def finish(self) -> None:
        """The command once more, to its end."""
        process, pipe = self.start()
        process.join()
        pipe.close()
        assert process.exitcode == 0, (self.folder / "said").read_text()[-2000:]

    def kill_in(self, phase: int, delay: float) -> bool:
        """Kill ``delay`` seconds after the phase begins; False when the work ended without it."""
        process, pipe = self.start()
        with contextlib.suppress(EOFError):  # the work ended
            while pipe.recv_bytes()[0] != phase:
                pass
            time.sleep(delay)
            process.kill()
        process.join()
        pipe.close()
        assert process.exitcode in (0, -signal.SIGKILL), (self.folder / "said").read_text()[-2000:]
        return process.exitcode == -signal.SIGKILL

    def record(self) -> dict[str, Any] | None:
        found = list(self.folder.glob("runs/*/seed0/*/record.json"))
        return json.loads(found[0].read_text()) if found else None

    def check(self, expected: dict[str, Any]) -> None:
        """Whatever stands under its final name is whole, and a record has the right numbers."""
        for path in self.folder.rglob("*.json"):
            json.loads(path.read_text())
        found = self.record()
        if found:
            assert found["status"] == "done" and found["results"] == expected["results"]
            assert found["train"]["loss_last"] == expected["train"]["loss_last"]


def _announce(phase: int, owner: Any, name: str, told: Connection) -> None:
    original = getattr(owner, name)

    def announced(*arguments: Any, **options: Any) -> Any:
        told.send_bytes(bytes([phase]))
        return original(*arguments, **options)

    setattr(owner, name, announced)


@pytest.mark.timeout(2400)
def test_fifty_kills_lose_nothing_and_change_no_number(tmp_path, monkeypatch, record_property):
    SERVER.set_forkserver_preload(["flatpose.pipeline"])  # no child has to load torch
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    whole, work, rng = Work(tmp_path / "whole"), Work(tmp_path / "work"), random.Random(0)
    started = time.monotonic()
    whole.finish()
    seconds, expected = time.monotonic() - started, whole.record()
    assert expected is not None
    kills = dict.fromkeys(PHASES, 0)
    while min(kills.values()) < KILLS_PER_PHASE:
        wanted = min(range(len(PHASES)), key=lambda p: kills[PHASES[p]])
        if wanted == 0 or rng.random() < 0.2:
            work.wipe()
        longest = seconds / 3 if wanted < 3 else seconds / 30  # the last two phases are short
        if work.kill_in(wanted, rng.uniform(0, longest)):
            kills[PHASES[wanted]] += 1
        work.check(expected)
        if work.record() and wanted < 4:  # finished: from the start again
            work.wipe()
    work.finish()
    work.check(expected)
    assert work.record() and not list(work.folder.glob("runs/*/*/*/.*.tmp")), "leftovers of killed writers are removed"
    pages = {path.name: path.read_bytes() for path in (work.folder / "reports").glob("*.md")}
    assert pages.keys() >= {"soak.md", "index.md"}
    record_property("kills", kills)
    assert sum(kills.values()) >= 50
