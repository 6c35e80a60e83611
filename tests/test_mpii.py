"""MPII: PCKh by hand and by its definition, pixels from 0 and from 1, every form on disk."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from tiny import edit

from flatpose import benchmarks
from flatpose.data.mpii import Truth, person_box, read_truth, truth_path
from flatpose.errors import DataError
from flatpose.geometry import box_to_center_scale
from flatpose.keypoints import MPII16
from flatpose.metrics import Predictions, mpii_metrics
from flatpose.metrics.mpii import pckh

MPII = benchmarks.get("mpii")


def by_definition(found: list[dict], mat: dict, threshold: float) -> tuple[float, dict[int, float]]:
    """PCKh over all joints but pelvis and thorax, and per joint: loops over persons and joints, 1-based pixels."""
    hits, present = dict.fromkeys(range(16), 0), dict.fromkeys(range(16), 0)
    for item in found:
        low, high = mat["headboxes_src"][0, :, item["id"]], mat["headboxes_src"][1, :, item["id"]]
        head = 0.6 * ((high[0] - low[0]) ** 2 + (high[1] - low[1]) ** 2) ** 0.5
        for joint in range(16):
            if mat["jnt_missing"][joint, item["id"]]:
                continue
            x, y = mat["pos_gt_src"][joint, :, item["id"]]
            dx, dy = item["keypoints"][3 * joint] + 1 - x, item["keypoints"][3 * joint + 1] + 1 - y
            present[joint] += 1
            hits[joint] += (dx * dx + dy * dy) ** 0.5 / head <= threshold
    joints = [j for j in range(16) if j not in (6, 7)]
    mean = sum(hits[j] for j in joints) / sum(present[j] for j in joints)
    return mean, {j: hits[j] / present[j] for j in joints if present[j]}


def test_a_case_by_hand():
    """Head size 10: an error of 5 counts at 0.5 and not at 0.1, one of 1 at both; pelvis and missing joints never."""
    joints = np.full((2, 16, 2), 50.0)
    present = np.ones((2, 16), bool)
    present[1, 0] = False  # one right ankle is missing
    truth = Truth(joints + 1, present, np.array([[[0, 0], [0, 10 / 0.6]]] * 2))
    guess = joints.copy()
    guess[0, 9] += [3, 4]  # head top off by 5: just inside
    guess[1, 9] += [0, 1]
    guess[0, 6:8] += 500  # pelvis and thorax
    guess[1, 0] += 500  # the missing ankle
    guess[0, 10] += [0, 5.01]  # a right wrist just outside
    found = pckh(guess, truth)
    assert found["PCKh@0.5"] == pytest.approx(26 / 27) and found["PCKh@0.1"] == pytest.approx(25 / 27)
    assert found["head"] == 1 and found["wrist"] == 0.75 and found["ankle"] == 1 and found["knee"] == 1
    assert list(found) == ["PCKh@0.5", "PCKh@0.1", "head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"]


def test_real_predictions_score_as_the_definition_says(shared_data):
    folder = shared_data / "mpii"
    found = json.loads((folder / "predictions_of_a_real_method.json").read_text())
    ours = mpii_metrics(folder / "annot" / "valid.json", found)
    mat = loadmat(folder / "annot" / "gt_valid.mat")
    mean, joints = by_definition(found, mat, 0.5)
    assert ours["PCKh@0.5"] == pytest.approx(mean, abs=1e-12) == pytest.approx(0.8233671610720791, abs=1e-12)
    assert ours["PCKh@0.1"] == pytest.approx(by_definition(found, mat, 0.1)[0], abs=1e-12)
    assert ours["head"] == pytest.approx(joints[9]) and ours["hip"] == pytest.approx((joints[2] + joints[3]) / 2)


def test_the_crop_is_that_of_the_hrnet_family():
    """Centre moved down by 15 scale pixels, one pixel for 0-based, then 200 * scale * 1.25 square."""
    center, scale = box_to_center_scale(person_box([100.0, 200.0], 2.0), (256, 256))
    assert center.tolist() == [99.0, 229.0] and scale.tolist() == [500.0, 500.0]


def test_loading_the_embedded_set(mpii_tree):
    data = MPII.load(mpii_tree, "embedded v1")
    assert data.task == "mpii" and data.keypoint_set is MPII16 and not data.detections
    truth = read_truth(data.val.annotation_file)
    for person in data.val.persons:
        seen = person.keypoints_visible > 0
        assert person.image_path.is_file()
        assert np.allclose(person.keypoints[seen], truth.joints[person.person_id][seen] - 1)


def test_measure_needs_no_scores(mpii_tree):
    data = MPII.load(mpii_tree)
    people = data.val.persons
    p = Predictions(np.array([q.image_id for q in people]), np.array([q.person_id for q in people]),
                    np.stack([q.keypoints for q in people]), np.zeros((len(people), 16)), np.ones(len(people)),
                    np.ones(len(people)))
    found = MPII.measure(p, data.val.annotation_file, keypoint_set=MPII16, image_ids=data.val.image_ids)
    assert found["predictions"] == len(people) and found["metrics"]["head"] == 1.0


def test_mmpose_names_load_the_same(mpii_tree, tmp_path):
    source, target = mpii_tree / "mpii", tmp_path / "mpii" / "annotations"
    target.mkdir(parents=True)
    for old, new in (("train.json", "mpii_train.json"), ("valid.json", "mpii_val.json"),
                     ("gt_valid.mat", "mpii_gt_val.mat")):
        shutil.copy(source / "annot" / old, target / new)
    (tmp_path / "mpii" / "images").symlink_to(source / "images")
    here, there = MPII.load(tmp_path), MPII.load(mpii_tree)
    assert here.data_id == there.data_id and len(here.val.persons) == len(there.val.persons)
    assert here.label.startswith("MPII subset (")


DAMAGE = {
    "no centre": (lambda f: edit(f / "train.json", lambda r: r[2].pop("center")), r"\[2\]: no field .center"),
    "15 joints": (lambda f: edit(f / "train.json", lambda r: r[1]["joints"].pop()),
                  r"\[1\]\.joints: a list of 15, expected at least 16"),
    "nobody visible": (lambda f: edit(f / "train.json", lambda r: [e.update(joints_vis=[0] * 16) for e in r]),
                       "no person"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(mpii_tree, tmp_path, name):
    shutil.copytree(mpii_tree / "mpii" / "annot", tmp_path / "annot")
    (tmp_path / "images").symlink_to(mpii_tree / "mpii" / "images")
    change, message = DAMAGE[name]
    change(tmp_path / "annot")
    with pytest.raises(DataError, match=message):
        MPII.load(tmp_path)


def test_ceilings_belong_to_the_head_boxes_too(mpii_tree, tmp_path):
    shutil.copytree(mpii_tree, tmp_path / "tree")
    before = MPII.validation(tmp_path / "tree").data_id
    path = truth_path(MPII.validation(tmp_path / "tree").val.annotation_file)
    content = loadmat(path)
    savemat(path, {name: value for name, value in content.items() if not name.startswith("_")} | {"more": 1})
    assert MPII.validation(tmp_path / "tree").data_id != before
