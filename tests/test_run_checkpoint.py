"""``run ID --row ROW --checkpoint FILE``: a published file is evaluated; one that does not fit names the keys."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from test_peers_cnn import compare  # noqa: F401
from tiny import write_coco
from typer.testing import CliRunner, Result

from flatpose.errors import FlatPoseError
from flatpose.harness.cli import app

SPEC = '''
from experiments.systems_cnn import simplebaseline
from flatpose.harness.spec import Experiment, Profile, Row

EXPERIMENT = Experiment(id="own", title="t", source="s", question="q",
                        rows=(Row(id="r50", label="SimpleBaseline", run=simplebaseline(50)),),
                        profiles={"quick": Profile(name="quick", description="d")})
'''


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


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


def test_an_official_file_is_evaluated_and_a_wrong_one_says_which_keys(compare, site):  # noqa: F811
    state = compare.weights(compare.load("simplebaseline_r50_256x192"))
    torch.save(state, site / "pose_resnet_50.pth")
    answer = run(site, site / "pose_resnet_50.pth")
    assert answer.exit_code == 0, (answer.output, answer.exception)
    (path,) = (site / "runs" / "checkpoints").rglob("*.json")
    record = json.loads(path.read_text())
    assert record["checkpoint"]["file"] == "pose_resnet_50.pth" and record["row"] == "r50"
    assert {result["box_source"].split(":")[0] for result in record["results"]} == {"gt", "det"}
    assert record["cost"]["params_m"] == pytest.approx(34.00, abs=0.005)

    del state["final_layer.weight"]
    torch.save(state, site / "cut.pth")
    message = str(run(site, site / "cut.pth").exception)
    assert "does not fit" in message and "head.weight" in message


def test_a_pickle_with_code_is_refused_and_does_not_run(site):
    torch.save({"state_dict": Trap(site / "sprung")}, site / "gift.pth")
    assert isinstance(run(site, site / "gift.pth").exception, FlatPoseError)
    assert not (site / "sprung").exists()
