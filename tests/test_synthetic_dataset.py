"""The embedded data set as files: determinism, resuming, checking, layouts, detector."""

from __future__ import annotations

import contextlib
import io
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

from flatpose.config import EmbeddedConfig
from flatpose.data import synthetic
from flatpose.data.synthetic import dataset
from flatpose.errors import DataError

REPOSITORY = Path(__file__).resolve().parents[1]
SIZE = EmbeddedConfig(train_images=80, val_images=30)
SMALL = EmbeddedConfig(train_images=3, val_images=4)
MAKE = """
import sys
from pathlib import Path
from flatpose.config import EmbeddedConfig
from flatpose.data import synthetic
if __name__ == "__main__":
    synthetic.ensure(EmbeddedConfig(train_images=80, val_images=30), Path(sys.argv[1]), workers=1)
"""


class Listener:
    def __init__(self):
        self.messages, self.total, self.done = [], 0, 0

    def start(self, task, total):
        self.total = total

    def advance(self, n=1, **info):
        self.done += n

    def finish(self):
        pass

    def message(self, text):
        self.messages.append(text)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return synthetic.ensure(SIZE, tmp_path_factory.mktemp("cache"), workers=1)


def start_making(folder: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", MAKE, str(folder)], cwd=REPOSITORY)


def same_tree(a: Path, b: Path) -> bool:
    names = [sorted(str(p.relative_to(r)) for p in r.rglob("*") if p.is_file() and p.name != ".lock") for r in (a, b)]
    return names[0] == names[1] and all((a / n).read_bytes() == (b / n).read_bytes() for n in names[0])


def test_workers_do_not_change_a_byte(made, tmp_path):
    listener = Listener()
    again = synthetic.ensure(SIZE, tmp_path, workers=2, reporter=listener)
    assert again.name == made.name and same_tree(made, again)
    assert listener.done == listener.total == 110


def test_kill_and_resume(made, tmp_path):
    process = start_making(tmp_path)
    root = synthetic.root_folder(SIZE, tmp_path)
    deadline = time.monotonic() + 60
    while not list(root.glob(".partial/*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (root / "manifest.json").exists() and synthetic.existing(SIZE, tmp_path) is None
    assert same_tree(made, synthetic.ensure(SIZE, tmp_path, workers=1))


def test_two_makers_at_once(made, tmp_path):
    both = [start_making(tmp_path), start_making(tmp_path)]
    assert [p.wait(timeout=120) for p in both] == [0, 0]
    assert same_tree(made, synthetic.root_folder(SIZE, tmp_path))


def test_reuse_renders_nothing(made, monkeypatch):
    monkeypatch.setattr(dataset, "render", None)
    assert synthetic.ensure(SIZE, made.parent, verify=True) == made
    assert synthetic.existing(SIZE, made.parent) == made


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(("name", "damage", "verify"), [
    ("coco/annotations/person_keypoints_val2017.json", flip_a_byte, False),
    ("coco/annotations/person_keypoints_train2017.json", Path.unlink, False),
    ("coco/val2017/000000000002.jpg", Path.unlink, False),
    ("coco/val2017/000000000002.jpg", lambda p: p.write_bytes(p.read_bytes()[:100]), False),
    ("coco/val2017/000000000002.jpg", flip_a_byte, True),
    ("manifest.json", lambda p: p.write_text("{"), False),
])
def test_damage_is_found_and_mended(tmp_path, name, damage, verify):
    root = synthetic.ensure(SMALL, tmp_path, workers=1)
    whole = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    damage(root / name)
    listener = Listener()
    synthetic.ensure(SMALL, tmp_path, workers=1, verify=verify, reporter=listener)
    assert "damaged" in listener.messages[0]
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == whole


def test_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="FLATPOSE_CACHE"):
        synthetic.ensure(SMALL, tmp_path / "file" / "below")


def test_cache_folder_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FLATPOSE_CACHE", str(tmp_path))
    assert synthetic.ensure(SMALL, workers=1) == tmp_path / f"embedded-v{synthetic.VERSION}-plain-3x4-s0"


def evaluate(root: Path, results: list[dict], kind: str) -> np.ndarray:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(root / "coco/annotations/person_keypoints_val2017.json"))
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def test_truth_scores_one_against_itself(made):
    annotations = json.loads((made / "coco/annotations/person_keypoints_val2017.json").read_text())["annotations"]
    results = [{k: a[k] for k in ("image_id", "category_id", "keypoints")} | {"score": 1.0} for a in annotations]
    assert evaluate(made, results, "keypoints")[0] == pytest.approx(1)


def test_detector_is_good_but_not_perfect(made):
    found = json.loads((made / "coco/person_detection_results/embedded_val2017_detections.json").read_text())
    stats = evaluate(made, found, "bbox")
    assert 0.5 < stats[0] < 0.85, "person AP"
    assert 0.6 < stats[8] < 0.98, "some persons are missed or badly boxed"
    truth = COCO(str(made / "coco/annotations/person_keypoints_val2017.json"))
    overlaps = [box_overlap(d["bbox"], [a["bbox"] for a in truth.imgToAnns[d["image_id"]]]) for d in found]
    assert 0.02 < np.mean(np.array(overlaps) < 0.3) < 0.4, "false alarms"


def box_overlap(box, others) -> float:
    """Largest IoU with any of the others."""
    a = np.array([*box[:2], box[0] + box[2], box[1] + box[3]])
    best = 0.0
    for x, y, w, h in others:
        side = np.minimum(a[2:], (x + w, y + h)) - np.maximum(a[:2], (x, y))
        common = np.prod(side.clip(0))
        best = max(best, common / (box[2] * box[3] + w * h - common))
    return best


def test_crowdpose_layout(tmp_path):
    root = synthetic.ensure(SMALL, tmp_path, task="crowdpose", workers=1) / "crowdpose"
    content = json.loads((root / "json/crowdpose_test.json").read_text())
    assert len(content["images"]) == 4 and len(content["categories"][0]["keypoints"]) == 14
    assert all(0 <= image["crowdIndex"] <= 1 for image in content["images"])
    assert all((root / "images" / image["file_name"]).is_file() for image in content["images"])
    assert all("area" not in a and len(a["keypoints"]) == 42 for a in content["annotations"])
    assert (root / "json/crowdpose_trainval.json").is_file()


def test_mpii_layout(tmp_path):
    from scipy.io import loadmat

    root = synthetic.ensure(SMALL, tmp_path, task="mpii", workers=1) / "mpii"
    rows, mat = json.loads((root / "annot/valid.json").read_text()), loadmat(root / "annot/gt_valid.mat")
    assert mat["pos_gt_src"].shape == (16, 2, len(rows)) and mat["headboxes_src"].shape == (2, 2, len(rows))
    assert mat["dataset_joints"].shape == (1, 16) and mat["dataset_joints"][0, 0][0] == "rank"
    assert np.allclose(mat["pos_gt_src"].transpose(2, 0, 1), [r["joints"] for r in rows])
    assert (mat["headboxes_src"][1] > mat["headboxes_src"][0]).all()
    assert all((root / "images" / r["image"]).is_file() for r in rows)
    head = np.linalg.norm(mat["headboxes_src"][1] - mat["headboxes_src"][0], axis=0) * 0.6
    assert 0.08 < np.median(head / [200 * r["scale"] for r in rows]) < 0.2, "the head is an eighth of the height"
    visible = np.array([r["joints_vis"] for r in rows])
    assert (mat["jnt_missing"].T[visible == 1] == 0).all() and set(np.unique(visible)) <= {0, 1}
