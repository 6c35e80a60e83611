"""Two processes on gloo do what one does: the same steps, and every person predicted once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny import EXP, ROOT, TORCHRUN, python, records, write_coco

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


def run(folder: Path, data: Path, *launcher: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    folder.mkdir()
    (folder / "ranks.py").write_text(SPEC)
    done = python(folder, *launcher, *EXP, "run", "ranks.py", "--data-root", data, "--no-report")
    assert done.returncode == 0, done.stderr[-3000:]
    (record,), (weights,) = records(folder), folder.rglob("weights.safetensors")
    return record, load_file(weights)


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
    (tmp_path / "reports").mkdir()
    done = python(tmp_path, *TORCHRUN, *EXP, "run", ROOT / "examples" / "paper_dry_run.py", "--data-root",
                  write_coco(tmp_path / "data"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "reports" / "paper_dry_run.md").is_file()
    assert {r["spec"]["model"]["kind"] for r in records(tmp_path)} == {"baseline", "flatpose"}
    for record in records(tmp_path):
        folder = tmp_path / "runs" / record["spec_hash"] / "seed0" / record["data_id"]
        assert record["train"]["processes"] == 2 and record["train"]["best_epoch"] in (1, 2)
        assert {(r["weights"], r["box_source"][:3]) for r in record["results"] if r["kind"] == "trained"} == {
            ("ema", "gt"), ("raw", "gt"), ("ema", "det")}
        assert all((folder / name).is_file() for name in ("best.safetensors", "weights.safetensors", "log.csv"))
        assert len((folder / "log.csv").read_text().splitlines()) == 3
