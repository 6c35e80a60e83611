"""`score` on good files, and one message for every kind of way in which a file can be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.io import savemat
from test_metrics import as_result, person, write_truth
from tiny import edit

from flatpose import benchmarks
from flatpose.errors import DataError

COCO_KEYS = {"AP", "AP50", "AP75", "AP_M", "AR", "AR50", "AR75", "AR_M"}
COCO, CROWDPOSE, MPII, CUSTOM = map(benchmarks.get, ("coco", "crowdpose", "mpii", "custom"))


@pytest.fixture
def coco(tmp_path) -> tuple[Path, Path]:
    """Annotations of two persons and a perfect results file."""
    people = [person(1, 0), person(2, 20)]
    truth = write_truth(tmp_path / "truth.json", people)
    found = tmp_path / "found.json"
    found.write_text(json.dumps([as_result(p, 0.5 + i / 4) for i, p in enumerate(people)]))
    return truth, found


@pytest.fixture
def crowdpose(tmp_path) -> tuple[Path, Path]:
    """The same with 14 keypoints, crowdIndex and no area."""
    people = [person(1, 0), person(2, 20)]
    for p in people:
        p["keypoints"] = p["keypoints"][:42]
        p["num_keypoints"] = 14
        del p["area"]
    truth = write_truth(tmp_path / "crowd.json", people)
    edit(truth, lambda c: [i.update(crowdIndex=0.1 * i["id"]) for i in c["images"]])
    found = tmp_path / "crowd_found.json"
    found.write_text(json.dumps([as_result(p, 0.9) for p in people]))
    return truth, found


@pytest.fixture
def mpii(tmp_path) -> tuple[Path, Path]:
    """Three rows with their .mat file and a perfect prediction of each."""
    joints = np.random.default_rng(0).uniform(20, 300, (3, 16, 2))
    rows = [{"image": f"{i}.jpg", "center": [100.0, 100.0], "scale": 1.0, "joints": j.tolist(), "joints_vis": [1] * 16}
            for i, j in enumerate(joints)]
    (tmp_path / "valid.json").write_text(json.dumps(rows))
    savemat(tmp_path / "gt_valid.mat", {"jnt_missing": np.zeros((16, 3)), "pos_gt_src": joints.transpose(1, 2, 0),
                                        "headboxes_src": np.stack([np.zeros((2, 3)), np.full((2, 3), 40.0)])})
    found = [{"id": i, "keypoints": np.column_stack([j - 1, np.ones(16)]).ravel().tolist()}
             for i, j in enumerate(joints)]
    (tmp_path / "mpii_found.json").write_text(json.dumps(found))
    return tmp_path / "valid.json", tmp_path / "mpii_found.json"


def first(**fields):
    """Change fields of the first prediction."""
    return lambda t, p: edit(p, lambda c: c[0].update(fields))


def drop(name: str):
    return lambda t, p: edit(p, lambda c: c[0].pop(name))


def token(text: str):
    """Put a raw JSON token among the keypoints of the second prediction."""
    def change(truth: Path, found: Path) -> None:
        content = json.loads(found.read_text())
        content[1]["keypoints"][4] = "@"
        found.write_text(json.dumps(content).replace('"@"', text))
    return change


def truth(change):
    return lambda t, p: edit(t, change)


def replaced(text: str):
    return lambda t, p: p.write_text(text)


COCO_FILES = {
    "not JSON": (replaced("AP = 0.9"), ["found.json: not valid JSON"]),
    "no such file": (lambda t, p: p.unlink(), ["found.json: no such file"]),
    "an object": (replaced('{"annotations": []}'), ["an object, expected a list", "swapped?"]),
    "item not an object": (lambda t, p: edit(p, lambda c: c.insert(1, [1, 2])), ["[1]: a list of 2, expected an"]),
    "no score": (drop("score"), ["[0]: no field 'score'", "each item is"]),
    "unknown image": (first(image_id=77), ["[0].image_id: 77 is not among the images"]),
    "other categories": (lambda t, p: edit(p, lambda c: [r.update(category_id=2) for r in c]),
                         ["no usable result: 0 of 2 results used (2 of other categories)", "category 1 (person)"]),
    "MPII's keypoints": (first(keypoints=[1.0] * 48), ["48 entries, expected 51", "16 keypoints", "--task"]),
    "nested keypoints": (first(keypoints=[[1.0, 2.0, 1.0]] * 17),
                         ["[0].keypoints[0]: a list of 3, expected a number", "flat list"]),
    "NaN": (token("NaN"), ["[1].keypoints[4]: nan, expected a finite number"]),
    "integer of 5000 digits": (token("9" * 5000), ["found.json: not valid JSON"]),
    "box of two": (first(bbox=[1, 2]), ["[0].bbox: a list of 2, expected at least 4", "left, top"]),
    "nobody to find": (truth(lambda c: [a.update(iscrowd=1) for a in c["annotations"]]), ["no person with a labelled"]),
    "CrowdPose's truth": (truth(lambda c: c["annotations"][0].update(keypoints=[1] * 42)),
                          ["do not have 17 keypoints", "annotations[0]", "--task"]),
}
CROWDPOSE_FILES = {
    "no crowdIndex": (truth(lambda c: c["images"][2].pop("crowdIndex")), ["crowdIndex", "images[2]"]),
    "COCO's keypoints": (first(keypoints=[1.0] * 51), ["51 entries, expected 42 numbers", "17 keypoints"]),
}
MPII_FILES = {
    "row beyond the end": (first(id=3), ["[0].id: 3, expected a row of the annotation file, 0 to 2"]),
    "row twice": (first(id=1), ["[1].id: row 1 a second time"]),
    "row missing": (lambda t, p: edit(p, lambda c: c.pop(1)), ["no prediction for 1 of 3 rows, first 1"]),
    "COCO's keypoints": (first(keypoints=[1.0] * 51), ["51 entries, expected 48", "17 keypoints"]),
    "mat of another split": (truth(lambda c: c.pop()), ["gt_valid.mat: jnt_missing has shape (16, 3)", "same split"]),
}
MALFORMED = {"coco": COCO_FILES, "crowdpose": CROWDPOSE_FILES, "mpii": MPII_FILES}


@pytest.mark.parametrize("task, name", [(task, name) for task, cases in MALFORMED.items() for name in cases])
def test_a_malformed_file_is_one_short_message(request, task, name):
    files, (change, words) = request.getfixturevalue(task), MALFORMED[task][name]
    change(*files)
    with pytest.raises(DataError) as caught:
        benchmarks.get(task).score(*files)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert message.count("\n") <= 1 and len(message) < 700


def test_good_files_of_each_task(coco, crowdpose, mpii):
    found = COCO.score(*coco)
    assert found.keys() == COCO_KEYS and found["AP"] == pytest.approx(1)
    found = CROWDPOSE.score(*crowdpose)
    assert found["AP"] == pytest.approx(1) and found["AP_easy"] == pytest.approx(1) and "AP_hard" not in found
    found = MPII.score(*mpii)
    assert found["PCKh@0.5"] == found["PCKh@0.1"] == found["ankle"] == 1.0


def test_own_keypoints_are_scored_with_their_own_sigmas(coco, tmp_path):
    for path in coco:
        edit(path, lambda c: [e.update(keypoints=e["keypoints"][:6]) for e in
                              (c["annotations"] if isinstance(c, dict) else c)])
    with pytest.raises(DataError, match=r"keypoints\.json"):
        CUSTOM.score(*coco)
    (tmp_path / "keypoints.json").write_text('{"name": "two", "keypoints": ["a", "b"], "sigmas": [0.01, 0.01]}')
    edit(coco[1], lambda c: [r["keypoints"].__setitem__(0, r["keypoints"][0] + 2) for r in c])
    strict = CUSTOM.score(*coco)["AP"]
    (tmp_path / "keypoints.json").write_text('{"name": "two", "keypoints": ["a", "b"], "sigmas": [0.5, 0.5]}')
    assert strict < 0.9 < CUSTOM.score(*coco)["AP"]


def test_ids_and_extra_fields_of_other_programs_are_fine(coco):
    """Ids as 1.0 or "1", centre, scale and captions, logarithms as scores."""
    expected = COCO.score(*coco)
    edit(coco[1], lambda c: [c[0].update(image_id=float(c[0]["image_id"]), center=[1, 2], segmentation=[]),
                             c[1].update(image_id=str(c[1]["image_id"]), score=-3.5, caption="a person")])
    assert COCO.score(*coco) == expected


def test_used_and_total_are_said_and_few_images_are_a_warning(coco):
    people = [person(i, 0) for i in range(1, 6)]
    write_truth(coco[0], people, images=5)
    lines: list[str] = []
    said = SimpleNamespace(message=lines.append)
    COCO.score(*coco, said)
    assert lines[0].startswith("warning: 2 of 2 results used; they cover 2 of 5 images with persons")
    edit(coco[1], lambda c: c.extend({**as_result(p, 0.5), "category_id": 3} for p in people))
    edit(coco[1], lambda c: c.extend(as_result(p, 0.4) for p in people[2:]))
    COCO.score(*coco, said)
    assert lines[1] == "5 of 10 results used (5 of other categories); they cover 5 of 5 images with persons"
