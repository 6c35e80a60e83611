"""``run ID --row ROW --checkpoint FILE``: a published file is evaluated; one that does not fit names the keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny import write_coco
from typer.testing import CliRunner, Result

from experiments.systems_cnn import simplebaseline
from flatpose.checkpoints.described import load_checkpoint, save_checkpoint
from flatpose.harness.cli import app

SPEC = '''
from experiments.systems_cnn import simplebaseline
from flatpose.harness.spec import Experiment, Profile, Row

EXPERIMENT = Experiment(id="own", title="t", source="s", question="q",
                        rows=(Row(id="r50", label="SimpleBaseline", run=simplebaseline(50)),),
                        profiles={"quick": Profile(name="quick", description="d")})
'''


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    (tmp_path / "own.py").write_text(SPEC)
    write_coco(tmp_path / "data", images={"train": 2, "val": 2})
    monkeypatch.setenv("FLATPOSE_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(site: Path, file: Path) -> Result:
    return CliRunner().invoke(app, ["--quiet", "run", "own.py", "--row", "r50", "--checkpoint", str(file),
                                    "--data-root", str(site / "data"), "--no-report"])


@pytest.mark.slow
def test_an_official_file_is_evaluated_and_a_wrong_one_says_which_keys(compare, site):
    state = compare.weights(compare.load("simplebaseline_r50_256x192"))
    torch.save(state, site / "pose_resnet_50.pth")
    answer = run(site, site / "pose_resnet_50.pth")
    assert answer.exit_code == 0, (answer.output, answer.exception)
    (path,) = (site / "runs").rglob("record.json")
    record = json.loads(path.read_text())
    assert record["checkpoint"]["file"] == "pose_resnet_50.pth" and record["checkpoint"]["names"].startswith("official")
    assert {result["box_source"].split(":")[0] for result in record["results"]} == {"gt", "det"}
    assert record["cost"]["params_m"] == pytest.approx(34.00, abs=0.005)

    save_checkpoint(load_checkpoint(site / "pose_resnet_50.pth", system=simplebaseline(50)), site / "packed")
    answer = run(site, site / "packed")
    assert answer.exit_code == 0, (answer.output, answer.exception)
    again = next(json.loads(p.read_text()) for p in (site / "runs").rglob("record.json") if p != path)
    assert again["results"] == record["results"], "the packed file remembers its BGR input"

    del state["final_layer.weight"]
    torch.save(state, site / "cut.pth")
    message = str(run(site, site / "cut.pth").exception)
    assert "do not fit" in message and "head.weight" in message
