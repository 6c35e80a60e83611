"""The embedded data set as files: determinism, a kill, checking, layouts, detections."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy.io import loadmat

from flatpose.config import EmbeddedConfig
from flatpose.data import synthetic
from flatpose.data.synthetic import dataset
from flatpose.errors import DataError
from flatpose.progress import SILENT

SIZE = EmbeddedConfig(level="wild", train_images=20, val_images=30)
SMALL = EmbeddedConfig(train_images=3, val_images=4)
MAKE = """
import sys
from pathlib import Path
from flatpose.config import EmbeddedConfig
from flatpose.data import synthetic
if __name__ == "__main__":
    synthetic.ensure(EmbeddedConfig(level="wild", train_images=20, val_images=30), Path(sys.argv[1]), workers=1)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return synthetic.ensure(SIZE, tmp_path_factory.mktemp("cache"), workers=1)


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != ".lock"}


def test_workers_do_not_change_a_byte(made, tmp_path):
    again = synthetic.ensure(SIZE, tmp_path, workers=2)
    assert again.name == made.name and tree(made) == tree(again)


@pytest.mark.slow
def test_after_a_kill_it_is_made_again(made, tmp_path):
    process = subprocess.Popen([sys.executable, "-c", MAKE, str(tmp_path)], cwd=Path(__file__).resolve().parents[1])
    root = synthetic.root_folder(SIZE, tmp_path)
    deadline = time.monotonic() + 60
    while not list(root.rglob("*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (root / "manifest.json").exists() and synthetic.existing(SIZE, tmp_path) is None
    assert tree(made) == tree(synthetic.ensure(SIZE, tmp_path, workers=1))


def test_reuse_renders_nothing(made, monkeypatch):
    monkeypatch.setattr(dataset, "render", None)
    assert synthetic.ensure(SIZE, made.parent) == made
    assert synthetic.existing(SIZE, made.parent) == made


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(("name", "damage"), [
    ("coco/annotations/person_keypoints_val2017.json", flip_a_byte),
    ("coco/val2017/000000000002.jpg", Path.unlink),
    ("manifest.json", lambda p: p.write_text("{")),
])
def test_damage_is_found_and_repaired(tmp_path, monkeypatch, name, damage):
    root = synthetic.ensure(SMALL, tmp_path, workers=1)
    whole, messages = tree(root), []
    damage(root / name)
    monkeypatch.setattr(type(SILENT), "message", lambda self, text: messages.append(text))
    synthetic.ensure(SMALL, tmp_path, workers=1)
    assert "damaged" in messages[0] and tree(root) == whole


def test_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLATPOSE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="FLATPOSE_CACHE"):
        synthetic.ensure(SMALL)


def test_coco_form(made):
    found = json.loads((made / "coco/person_detection_results/embedded_val2017_detections.json").read_text())
    truth = COCO(str(made / "coco/annotations/person_keypoints_val2017.json"))
    evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert 0.5 < evaluation.stats[0] < 0.85, "some people are missed or badly boxed"


def test_crowdpose_form(crowdpose_tree):
    content = json.loads((crowdpose_tree / "crowdpose/json/crowdpose_test.json").read_text())
    assert min(i["crowdIndex"] for i in content["images"]) < 0.5 < max(i["crowdIndex"] for i in content["images"]) <= 1
    assert all("area" not in a and len(a["keypoints"]) == 42 for a in content["annotations"])


def test_mpii_form(mpii_tree):
    folder = mpii_tree / "mpii/annot"
    rows, mat = json.loads((folder / "valid.json").read_text()), loadmat(folder / "gt_valid.mat")
    assert mat["dataset_joints"].shape == (1, 16) and mat["dataset_joints"][0, 0][0] == "rank"
    assert np.allclose(mat["pos_gt_src"].transpose(2, 0, 1), [r["joints"] for r in rows])
    head = np.linalg.norm(mat["headboxes_src"][1] - mat["headboxes_src"][0], axis=0) * 0.6
    assert 0.08 < np.median(head / [200 * r["scale"] for r in rows]) < 0.2, "the head is an eighth of the height"
    visible = np.array([r["joints_vis"] for r in rows])
    assert (mat["jnt_missing"].T[visible == 1] == 0).all() and set(np.unique(visible)) <= {0, 1}
