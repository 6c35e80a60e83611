"""Two processes on gloo do what one does: the same steps, and every person predicted once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny import write_coco

# Nothing here normalises over the batch, and the loss is a plain mean: only then are 1 x 8 and 2 x 4 the same step.
SPEC = '''
from flatpose.config import BaselineConfig, DataConfig, EvalConfig, HeatmapCodecConfig, RunConfig, TrainConfig
from flatpose.harness.spec import Experiment, Profile, Row

RUN = RunConfig(data=DataConfig(source="disk"), image_size=(64, 64), codec=HeatmapCodecConfig(stride=32),
                model=BaselineConfig(backbone="convnext_quick", pretrained=False, num_deconvs=0),
                train=TrainConfig(epochs=2, batch_size=8, ema_decay=0.9, warmup_epochs=0.5, clip_grad=1.0),
                eval=EvalConfig(box_sources=("gt", "det"), batch_size=4, nms="none"))
EXPERIMENT = Experiment(id="ranks", title="t", source="s", question="q", rows=(Row(id="only", label="l", run=RUN),),
                        profiles={"quick": Profile(name="quick", description="d")})
'''
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--module")


def run(folder: Path, data: Path, *launcher: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    folder.mkdir()
    (folder / "ranks.py").write_text(SPEC)
    environment = {**os.environ, "FLATPOSE_RUNS": str(folder / "runs"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *(launcher or ("-m",)), "flatpose.harness.cli", "run", "ranks.py", "--data-root",
               str(data), "--no-report"]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    (record,) = folder.glob("runs/*/seed0/*/record.json")
    return json.loads(record.read_text()), load_file(record.with_name("weights.safetensors"))


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    data = write_coco(tmp_path / "data", images={"train": 12, "val": 7})
    # 11 persons in batches of 4: the last batch is odd, and neither process may miss a person or count one twice.
    one, weights = run(tmp_path / "one", data)
    two, shared_weights = run(tmp_path / "two", data, *TORCHRUN)
    assert two["train"]["processes"] == 2 and two["train"]["steps"] == one["train"]["steps"]
    for name in ("loss_first", "loss_last"):  # of the whole batches, not of rank 0's half
        assert two["train"][name] == pytest.approx(one["train"][name], rel=1e-4)
    for name, value in weights.items():
        torch.testing.assert_close(shared_weights[name], value, rtol=1e-3, atol=2e-5)
    for a, b in zip(one["results"], two["results"], strict=True):
        assert (a["images"], a["predictions"], a["box_source"]) == (b["images"], b["predictions"], b["box_source"])
        assert b["metrics"] == pytest.approx(a["metrics"], abs=2e-3)
    assert {result["images"] for result in two["results"]} == {7}
    assert {result["predictions"] for result in two["results"]} == {11}


@pytest.mark.slow
def test_profile_paper_goes_through_every_stage_on_two_processes(tmp_path):
    """docs/training.md's dry run: warm-up, cosine, EMA, evaluation while training, best and last weights, report."""
    spec, data = Path(__file__).parents[1] / "examples" / "paper_dry_run.py", write_coco(tmp_path / "data")
    environment = {**os.environ, "FLATPOSE_RUNS": str(tmp_path / "runs"), "OMP_NUM_THREADS": "1"}
    (tmp_path / "reports").mkdir()
    command = [sys.executable, *TORCHRUN, "flatpose.harness.cli", "run", str(spec), "--data-root", str(data)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "reports" / "paper_dry_run.md").is_file()
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/*/seed0/*/record.json")]
    assert {r["spec"]["model"]["kind"] for r in records} == {"baseline", "flatpose"}
    for path in tmp_path.glob("runs/*/seed0/*/record.json"):
        record, folder = json.loads(path.read_text()), path.parent
        assert record["train"]["processes"] == 2 and record["train"]["best_epoch"] in (1, 2)
        assert {(r["weights"], r["box_source"][:3]) for r in record["results"] if r["kind"] == "trained"} == {
            ("ema", "gt"), ("raw", "gt"), ("ema", "det")}
        assert all((folder / name).is_file() for name in ("best.safetensors", "weights.safetensors", "log.csv"))
        assert len((folder / "log.csv").read_text().splitlines()) == 3
