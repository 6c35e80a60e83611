"""Converters: the COCO form says what the source says, and the official .mat becomes something that can be scored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from flatpose import benchmarks
from flatpose.data import coco
from flatpose.data.annotations import read
from flatpose.data.mpii import load_split, read_truth
from flatpose.errors import DataError
from flatpose.keypoints import CROWDPOSE14, MPII16
from flatpose.metrics import coco_metrics, crowdpose_metrics


def test_mpii_in_coco_form(mpii_tree, tmp_path):
    train, val = benchmarks.get("mpii").convert(mpii_tree, tmp_path / "out")
    assert (train.name, val.name) == ("mpii_train.json", "mpii_valid.json")
    content = json.loads(val.read_text())
    assert content["categories"][0]["keypoints"] == list(MPII16.names)
    assert all(i["width"] > 0 and i["height"] > 0 for i in content["images"])
    source = mpii_tree / "mpii" / "annot" / "valid.json"
    people = {p.person_id: p for p in load_split(source, mpii_tree / "mpii" / "images").persons}
    truth = read_truth(source)
    for entry in content["annotations"]:
        person, triples = people[entry["row"]], np.array(entry["keypoints"]).reshape(16, 3)
        seen = triples[:, 2] > 0
        assert np.allclose(triples[seen, :2], person.keypoints[seen], atol=1e-4) and (triples[~seen] == 0).all()
        assert entry["bbox"] == pytest.approx(person.bbox_xywh.tolist(), abs=0.01)
        assert entry["head_size"] == pytest.approx(truth.head_size[entry["row"]])
        assert entry["head_size"] == pytest.approx(0.6 * np.hypot(*entry["head_box"][2:]), abs=0.02)
    split = coco.split_of(read(val, MPII16), mpii_tree / "mpii" / "images")
    assert len(split.persons) == len(people) and all(p.image_path.is_file() for p in split.persons)
    assert "head_box" not in json.loads(train.read_text())["annotations"][0]


def test_crowdpose_gains_the_area_and_scores_the_same(crowdpose_tree, tmp_path):
    source = crowdpose_tree / "crowdpose" / "json" / "crowdpose_test.json"
    written = benchmarks.get("crowdpose").convert(crowdpose_tree, tmp_path)[1]
    before, after = (json.loads(p.read_text()) for p in (source, written))
    assert written.name == source.name and len(after["annotations"]) == len(before["annotations"])
    entry = after["annotations"][0]
    assert entry["area"] == pytest.approx(0.53 * entry["bbox"][2] * entry["bbox"][3])
    found = [{**a, "score": 1 / a["id"]} for a in before["annotations"][1:] if a["num_keypoints"]]
    crowd = crowdpose_metrics(source, found)
    assert crowd == crowdpose_metrics(written, found)
    assert coco_metrics(written, found, keypoint_set=CROWDPOSE14)["AP"] == pytest.approx(crowd["AP"])


def official(path: Path, count: int = 60) -> list[dict]:
    """A file built like MPII's: structs in structs, absent fields, one or many persons, odd visibility."""
    rng, people, pictures = np.random.default_rng(0), [], []
    for i in range(count):
        persons = []
        for j in range(1 + i % 2):
            joints = rng.uniform(50, 300, (16, 2))
            points = [{"id": k, "x": x, "y": y, "is_visible": ["1", 0, []][k % 3]} for k, (x, y) in
                      enumerate(joints) if k != i % 5]
            persons.append({"x1": 10.0 + j, "y1": 20, "x2": 40, "y2": 60.0, "scale": 1.5,
                            "objpos": {"x": 99, "y": 88.0}, "annopoints": {"point": points[:1] if i == 7 else points}})
            people.append({"image": f"{i:09d}.jpg", "joints": joints, "missing": i % 5, "train": i % 10 != 9})
        pictures.append({"image": {"name": f"{i:09d}.jpg"}, "annorect": persons if len(persons) > 1 else persons[0]})
    pictures[2]["annorect"] = {"x1": 1, "y1": 1, "x2": 2, "y2": 2}  # a head box and nothing else
    pictures[4]["annorect"] = []
    pictures[6]["annorect"]["objpos"] = []
    training = [i % 10 != 9 for i in range(count)]
    savemat(path, {"RELEASE": {"annolist": pictures, "img_train": training, "version": "12"}})
    return [p for p in people if p["train"] and int(p["image"][:9]) not in (2, 4, 6)]


def test_the_official_mat_can_be_trained_and_scored_on(tmp_path):
    people = official(tmp_path / "mpii_human_pose_v1_u12_1.mat")
    written = benchmarks.get("mpii").convert(tmp_path / "mpii_human_pose_v1_u12_1.mat", tmp_path)
    assert [p.name for p in written] == ["train.json", "valid.json", "gt_valid.mat", "mpii_train.json",
                                         "mpii_valid.json"]
    train, valid = (json.loads(p.read_text()) for p in written[:2])
    assert len(train) + len(valid) == len(people) and 0 < len(valid) < len(people) / 4
    assert not {r["image"] for r in train} & {r["image"] for r in valid}
    by_name = {p["image"]: p for p in people if int(p["image"][:9]) % 2 == 0}  # the ones alone in their image
    for row in (r for r in train if r["image"] in by_name and r["image"] != "000000007.jpg"):
        person = by_name[row["image"]]
        keep = np.arange(16) != person["missing"]
        assert row["joints_vis"] == keep.astype(int).tolist() and row["center"] == [99.0, 88.0]
        assert np.allclose(np.array(row["joints"])[keep], person["joints"][keep])
    (tmp_path / "images").mkdir()
    data = benchmarks.get("mpii").load(tmp_path)
    assert read_truth(data.val.annotation_file).head_size[0] == pytest.approx(0.6 * np.hypot(30, 40), rel=0.05)
    found = [{"id": i, "keypoints": [v for x, y in r["joints"] for v in (x - 1, y - 1, 1)]}
             for i, r in enumerate(valid)]
    (tmp_path / "found.json").write_text(json.dumps(found))
    assert benchmarks.get("mpii").score(written[1], tmp_path / "found.json")["PCKh@0.1"] == 1.0


CROWD = '{"images": [], "annotations": [%s], "categories": []}'


@pytest.mark.parametrize("task, name, content, out, message", [
    ("coco", ".", None, "out", "nothing to convert for 'coco'"),
    ("mpii", "bad.mat", "MATLAB 5.0", "out", r"not MPII's official \.mat"),
    ("crowdpose", ".", None, "out", "looked for"),
    ("crowdpose", "crowdpose_test.json", CROWD % '{"bbox": [1]}', "out", r"annotations\[0\]: bad person"),
    ("crowdpose", "crowdpose_test.json", CROWD % "", ".", "overwrite")])
def test_wrong_sources(tmp_path, task, name, content, out, message):
    if content:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        benchmarks.get(task).convert(tmp_path / name, tmp_path / out)
