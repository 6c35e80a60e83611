"""An experiment of three runs, a stand-in for the pipeline, and the command line as a user calls it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any, NamedTuple

import tiny

from flatpose.errors import DataError, RunError

SPEC = '''
from flatpose.config import DataConfig, RunConfig, TrainConfig
from flatpose.harness.spec import Experiment, Profile, Row

def run(epochs):
    return RunConfig(data=DataConfig(source="disk"), train=TrainConfig(epochs=epochs))

EXPERIMENT = Experiment(
    id="tiny", title="Three runs", source="nowhere", question="Does it run?",
    rows=(Row(id="one", label="1 epoch", run=run(1)),
          Row(id="two", label="2 epochs", run=run(2)),
          Row(id="three", label="3 epochs", run=run(3)), Row(id="again", label="as one", run=run(1))),
    profiles={"quick": Profile(name="quick", description="fast", minutes_per_run=2.0),
              "big": Profile(name="big", description="slow", gpu=True)},
)
'''
SCRIPT = "import fake_runs; fake_runs.install(); from flatpose.harness.cli import main; main()"
"""A process of its own with the same stand-in; its arguments are the command line."""
RESULT = {"kind": "trained", "weights": "ema", "box_source": "gt", "flip_test": True, "score_rule": "box",
          "metrics": {"AP": 0.5, "AP50": 0.8}, "images": 3, "predictions": 4}
DATA = {"label": "COCO subset (6/3 images)", "task": "coco", "source": "disk", "train_images": 6, "val_images": 3,
        "train_persons": 9, "val_persons": 4, "detector_file": None}
TRAIN = {"effective_batch": 4, "accumulate": 1, "batch_per_process": 4, "processes": 1, "epochs": 1, "steps": 1,
         "lr": 0.1, "lr_rule": "as given", "seconds": 1.0, "images_per_s": 9.0, "peak_memory_mb": 1, "loss_first": 1.0,
         "loss_last": 0.5, "precision": "no", "precision_reason": "CPU"}
"""Parts of a record."""


def execute(run: Any, *, seed: int, data_root: Path | None, work_dir: Path, reporter: Any) -> dict[str, Any]:
    """Stands for flatpose.pipeline.execute; $FAKE says what it does for which number of epochs, as in "2=fail"."""
    with open(os.environ["FAKE_CALLS"], "a") as calls:
        print(run.train.epochs, seed, file=calls)
    reporter.start("train", 2)
    reporter.advance(loss=1.0)
    order = dict(part.split("=") for part in os.environ.get("FAKE", "").split(",") if part)
    behaviour = order.get(str(run.train.epochs), "")
    (work_dir / "checkpoint").mkdir(exist_ok=True)
    if behaviour == "fail":
        raise RunError("the loss is not finite", where=str(work_dir))
    if behaviour == "crash":
        raise RuntimeError("Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback\nRuntimeError: oh")
    if behaviour == "bad data":
        raise DataError("cannot be decoded", where="7.jpg", hint="fetch it again")
    if behaviour == "memory":
        raise MemoryError
    if behaviour == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "hang":
        (work_dir / "hanging").touch()
        for _ in range(600):
            time.sleep(0.1)
            reporter.advance()
    reporter.finish()
    result = {**RESULT, "metrics": {"AP": float("nan")}} if behaviour == "nan" else RESULT
    return {"data": DATA, "train": {**TRAIN, "epochs": run.train.epochs}, "cost": {"params_m": 1.0, "gflops": 1.0},
            "results": [result]}


def install(**changes: Any) -> None:
    """Put the stand-in, with other functions by name, where the runner imports it, without loading torch."""
    module = types.ModuleType("flatpose.pipeline")
    vars(module).update({"execute": execute, "WEIGHTS": "weights.safetensors", "training_minutes": lambda *_: 1.0,
                         **changes})
    sys.modules["flatpose.pipeline"] = module


class Answer(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


class Cli:
    """``flatpose-exp`` in a project of its own: spec file, data, reports/ and runs/ below a temporary folder."""

    def __init__(self, root: Path, monkeypatch: Any, capsys: Any) -> None:
        self.root, self.monkeypatch, self.capsys = root, monkeypatch, capsys
        self.spec = self.write("tiny.py", SPEC)
        (root / "reports").mkdir()
        self.data = tiny.write_coco(root / "data")
        monkeypatch.chdir(root)
        monkeypatch.setenv("FAKE_CALLS", str(root / "calls"))
        for name in ("FLATPOSE_RUNS", "FLATPOSE_DATA", "FAKE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setitem(sys.modules, "flatpose.pipeline", None)  # put back after the test
        install()

    def write(self, name: str, text: str) -> str:
        (self.root / name).write_text(text)
        return str(self.root / name)

    def __call__(self, *arguments: object) -> Answer:
        from flatpose.harness.cli import main

        self.monkeypatch.setattr(sys, "argv", ["flatpose-exp", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        return Answer(code, *self.capsys.readouterr())

    def run(self, *arguments: str, fake: str = "") -> Answer:
        """``run`` of the experiment without pages, with the stand-in behaving as ``fake`` says."""
        self.monkeypatch.setenv("FAKE", fake)
        return self("run", self.spec, "--no-report", *(() if "--jobs" in arguments else ("--jobs", "1")), *arguments)

    def start(self, *arguments: str, fake: str = "") -> subprocess.Popen[str]:
        """The same in a process of its own, whose child processes have the stand-in too."""
        (self.root / "site").mkdir(exist_ok=True)
        (self.root / "site" / "sitecustomize.py").write_text("import fake_runs\nfake_runs.install()\n")
        paths = os.pathsep.join([str(self.root / "site"), str(Path(__file__).parent), str(Path(__file__).parents[1])])
        return subprocess.Popen([sys.executable, "-c", SCRIPT, "run", self.spec, "--no-report", *arguments],
                                env={**os.environ, "FAKE": fake, "PYTHONPATH": paths}, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    @property
    def calls(self) -> list[str]:
        """Which runs were executed, in order: "epochs seed"."""
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def records(self) -> dict[int, dict[str, Any]]:
        """Records of seed 0 by their number of epochs."""
        found = [json.loads(p.read_text()) for p in self.root.glob("runs/*/seed0/*/record.json")]
        return {r["spec"]["train"]["epochs"]: r for r in found}

    def edit(self, epochs: int, **changes: Any) -> None:
        """Change fields of a record on disk."""
        path = self.folder(epochs) / "record.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def folder(self, epochs: int) -> Path:
        """Where the run of that many epochs is stored."""
        hashes = {r["rows"][0]: r["spec_hash"] for r in self("plan", self.spec, "--json").json["runs"]}
        key = hashes[{1: "one", 2: "two", 3: "three"}[epochs]]
        return next((self.root / "runs" / key / "seed0").iterdir())

    def states(self, *arguments: str) -> dict[str, tuple[str, bool]]:
        """First row -> (status, whether it would start)."""
        return {r["rows"][0]: (r["status"], r["due"])
                for r in self("plan", self.spec, "--json", *arguments).json["runs"]}
