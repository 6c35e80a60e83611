"""CrowdPose: both evaluators and the definition agree; the official layouts load."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from test_metrics import jittered

from flatpose import benchmarks
from flatpose.keypoints import CROWDPOSE14
from flatpose.metrics import crowdpose, crowdpose_metrics

CROWDPOSE = benchmarks.get("crowdpose")


def by(evaluator, monkeypatch, *args, **kwargs) -> dict[str, float]:
    monkeypatch.setattr(crowdpose, "_evaluator", lambda: evaluator)
    return crowdpose_metrics(*args, **kwargs)


def both(monkeypatch, *args, **kwargs) -> dict[str, float]:
    """The numbers of xtcocotools, which faster-coco-eval has to give as well."""
    pytest.importorskip("xtcocotools.cocoeval", exc_type=(ImportError, ValueError))
    found = by(crowdpose.xt_evaluation, monkeypatch, *args, **kwargs)
    assert by(crowdpose.faster_evaluation, monkeypatch, *args, **kwargs) == pytest.approx(found, abs=1e-12)
    return found


@pytest.mark.parametrize("seed", range(12))
def test_both_evaluators_agree_on_random_inputs(crowdpose_tree, monkeypatch, seed):
    """Missing persons and images, false alarms, tied scores, boxes, keypoint scores of any sign; ids in any order."""
    rng = np.random.default_rng(seed)
    path = CROWDPOSE.layout.find(crowdpose_tree).val
    results = [r for r in jittered(path, float(rng.choice([0.02, 0.1])), seed=seed, copies=int(rng.integers(1, 4)))
               if rng.random() < rng.choice([0.5, 1.0])]
    for entry in results:
        kind = rng.integers(4)
        if kind < 3:  # otherwise left positive
            entry["keypoints"][2::3] = [[0.0, -1.0, float(rng.normal())][kind]] * 14
        if rng.random() < 0.2:
            entry["image_id"] = int(rng.choice([r["image_id"] for r in results]))
        entry["score"] = float(rng.choice([0.5, entry["score"], -entry["score"]]))
    both(monkeypatch, path, [results[i] for i in rng.permutation(len(results))])


def test_nothing_found_is_zero_and_silence(crowdpose_tree, monkeypatch, capsys):
    found = both(monkeypatch, CROWDPOSE.layout.find(crowdpose_tree).val, [])
    assert found["AP"] == 0 and set(found.values()) == {0.0} and capsys.readouterr() == ("", "")


def test_truth_scores_one_whatever_its_keypoint_scores(crowdpose_tree):
    path = CROWDPOSE.layout.find(crowdpose_tree).val
    truth = [{**a, "score": 1.0} for a in json.loads(path.read_text())["annotations"] if a["num_keypoints"]]
    found = crowdpose_metrics(path, truth)
    assert found["AP"] == pytest.approx(1) and found["AR"] == 1
    silent = [{**r, "keypoints": [v if i % 3 < 2 else -1.0 for i, v in enumerate(r["keypoints"])]} for r in truth]
    assert crowdpose_metrics(path, silent) == found


def test_loading_the_embedded_set(crowdpose_tree):
    data = CROWDPOSE.load(crowdpose_tree, "embedded v1")
    assert data.task == "crowdpose" and data.keypoint_set is CROWDPOSE14 and data.detections
    assert data.label == "embedded v1 (6/20 images)" and len(data.val.image_ids) == 20
    person = data.val.persons[0]
    assert person.keypoints.shape == (14, 2) and person.image_path.is_file()
    assert person.area == pytest.approx(0.53 * person.bbox_xywh[2] * person.bbox_xywh[3])


def test_the_other_layout_loads_the_same(crowdpose_tree, tmp_path):
    base, folder = crowdpose_tree / "crowdpose", tmp_path / "annotations"
    folder.mkdir()
    for split in ("trainval", "test"):
        shutil.copy(base / "json" / f"crowdpose_{split}.json", folder / f"mmpose_crowdpose_{split}.json")
    (tmp_path / "images").symlink_to(base / "images")
    shutil.copy(base / "json" / "embedded_test_detections.json", folder / "det_for_crowd_test_0.1_0.5.json")
    here, there = CROWDPOSE.load(tmp_path), CROWDPOSE.load(crowdpose_tree)
    assert here.data_id == there.data_id and len(here.train.persons) == len(there.train.persons)
    assert here.label == "CrowdPose subset (6/20 images)"
    assert here.detector_file.name == "det_for_crowd_test_0.1_0.5.json"
