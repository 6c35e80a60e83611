"""`data check`: each broken rule is found, counted and placed; damaged data never break the check."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from test_crowdpose import embedded as crowdpose_tree  # noqa: F401
from test_mpii import embedded as mpii_tree  # noqa: F401
from tiny import write_coco

from flatpose.data.check import RULES, check
from flatpose.errors import SpecError


@pytest.fixture
def root(tmp_path) -> Path:
    return write_coco(tmp_path / "data")


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def truth(root: Path, split: str = "val") -> Path:
    return root / "coco" / "annotations" / f"person_keypoints_{split}2017.json"


def detector(root: Path) -> Path:
    return next((root / "coco" / "person_detection_results").iterdir())


def worst(root: Path, task: str = "coco") -> set[str]:
    return {f.severity for f in check(root, task)} - {"ok", "info"}


@pytest.mark.parametrize("nested", [False, True])
def test_good_data_are_counted_and_nothing_is_wrong(tmp_path, nested):
    root = write_coco(tmp_path, nested=nested)
    found = check(root, "coco")
    assert [f.severity for f in found] == ["ok"] * 3, found
    assert found[0].what == "6 images, 9 persons, 9 with keypoints" and found[2].what == "5 detections"


def people(change):
    return lambda root: edit(truth(root), lambda c: change(c["annotations"]))


def images(change):
    return lambda root: edit(truth(root), lambda c: change(c["images"]))


def boxes(change):
    return lambda root: edit(detector(root), change)


BROKEN = {
    "not an object": (people(lambda p: p.insert(1, 5)), "error", "1 entries are not objects with an id: "
                      "annotations[1]"),
    "duplicate id": (people(lambda p: p[2].update(id=1)), "error", "annotations[2] (id 1)"),
    "image size": (images(lambda i: i[0].update(width=0)), "error", "images[0]"),
    "file name": (images(lambda i: i[1].update(file_name="../up.jpg")), "error", "images[1]"),
    "image missing": (lambda r: [f.unlink() for f in (r / "coco" / "val2017").glob("*[12].jpg")], "error",
                      "2 images are not on disk: 000000000001.jpg, 000000000002.jpg"),
    "image empty": (lambda r: (r / "coco" / "val2017" / "000000000003.jpg").write_bytes(b""), "error",
                    "1 image files are empty: 000000000003.jpg"),
    "unknown image": (people(lambda p: p[0].update(image_id=99)), "error", "annotations[0]"),
    "keypoint count": (people(lambda p: [q.update(keypoints=[1] * 42) for q in p[:4]]), "error",
                       "4 persons do not have 17 keypoints (x, y, visible) of finite numbers: annotations[0], "
                       "annotations[1], annotations[2], …"),
    "bad box": (people(lambda p: p[1].update(bbox=None)), "error", "annotations[1]"),
    "visibility": (people(lambda p: p[1]["keypoints"].__setitem__(2, 7)), "error", "annotations[1]"),
    "id zero": (people(lambda p: p[0].update(id=0)), "warning", "annotations[0]"),
    "zero box": (people(lambda p: p[0].update(bbox=[5, 5, 0, 9])), "warning", "1 boxes have no width or height"),
    "box outside": (people(lambda p: p[0].update(bbox=[-9, 5, 30, 300])), "warning", "in part: annotations[0]"),
    "point outside": (people(lambda p: p[0]["keypoints"].__setitem__(0, 999)), "warning", "annotations[0]"),
    "no area": (people(lambda p: p[3].pop("area")), "warning", "annotations[3]"),
    "num_keypoints": (people(lambda p: p[0].update(num_keypoints=3)), "warning", "annotations[0]"),
    "no keypoint": (people(lambda p: p[0].update(keypoints=[0] * 51)), "info", "1 persons have no labelled keypoint"),
    "detected image": (boxes(lambda d: d[0].update(image_id=77)), "warning", "[0] (image 77)"),
    "bad detection": (boxes(lambda d: d[1].pop("score")), "error", "[1]"),
    "zero detection": (boxes(lambda d: d[1].update(bbox=[1, 1, 0, 4])), "warning", "[1]"),
    "no person detection": (boxes(lambda d: d[1].update(category_id=3)), "info", "[1]"),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_each_rule_is_found_counted_and_placed(root, rule):
    change, severity, text = BROKEN[rule]
    change(root)
    new = [f for f in check(root, "coco") if f.severity != "ok"]
    assert [f.severity for f in new] == [severity] and text in new[0].what, new
    assert new[0].hint == RULES[rule][2] and new[0].where.endswith(".json")


def test_every_rule_has_a_test():
    assert set(RULES) - set(BROKEN) == {"crowd index", "no place"}


DAMAGED = {
    "no annotations": (lambda r: truth(r).unlink(), "no such file"),
    "cut off": (lambda r: truth(r).write_text(truth(r).read_text()[:99]), "not valid JSON"),
    "a list": (lambda r: truth(r).write_text("[]"), "no list 'images'"),
    "nobody": (people(lambda p: p.clear()), "no person with a labelled keypoint"),
    "detector a dict": (lambda r: detector(r).write_text("{}"), "not a list of {image_id"),
    "detector cut off": (lambda r: detector(r).write_text("[{"), "not valid JSON"),
    "no images": (lambda r: shutil.rmtree(r / "coco" / "val2017"), str(Path("coco") / "images" / "val2017")),
    "no coco": (lambda r: (r / "coco").rename(r / "else"), "looked for"),
    "unhashable": (people(lambda p: [p[0].update(image_id=[1]), p[1].update(id={})]), "persons belong to images"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_a_finding_not_a_crash(root, name):
    DAMAGED[name][0](root)
    found = [f for f in check(root, "coco") if f.severity == "error"]
    assert any(DAMAGED[name][1] in f.what for f in found), found


def test_no_detector_is_only_a_remark(root):
    shutil.rmtree(root / "coco" / "person_detection_results")
    assert worst(root) == set() and "only ground-truth boxes" in check(root, "coco")[-1].what


def test_no_folder_and_no_such_task(tmp_path):
    assert check(tmp_path / "nowhere", "coco")[0].what == "no such folder"
    with pytest.raises(SpecError, match="did you mean 'mpii'"):
        check(tmp_path, "mpi")


def test_crowdpose(crowdpose_tree, tmp_path):  # noqa: F811
    assert worst(crowdpose_tree, "crowdpose") == set()
    shutil.copytree(crowdpose_tree / "crowdpose" / "json", tmp_path / "json")
    edit(tmp_path / "json" / "crowdpose_test.json", lambda c: c["images"][1].pop("crowdIndex"))
    texts = [f.what for f in check(tmp_path, "crowdpose") if f.severity == "error"]
    assert any("no such folder" in t for t in texts) and any("no crowdIndex: images[1]" in t for t in texts)
    assert "looked for" in check(tmp_path / "json", "crowdpose")[0].what


def test_mpii(mpii_tree, tmp_path):  # noqa: F811
    assert worst(mpii_tree, "mpii") == set() and "head sizes" in check(mpii_tree, "mpii")[-1].what
    shutil.copytree(mpii_tree / "mpii" / "annot", tmp_path / "annot")
    edit(tmp_path / "annot" / "train.json", lambda rows: rows[1].update(center=[-1, -1]))
    (tmp_path / "annot" / "gt_valid.mat").unlink()
    found = check(tmp_path, "mpii")
    assert {"no such folder: it holds the images of all splits"} < {f.what for f in found}
    assert any("row 1" in f.what and f.severity == "info" for f in found)
    assert any("no gt_valid.mat" in f.what for f in found)
    edit(tmp_path / "annot" / "train.json", lambda rows: rows[0].pop("joints"))
    assert any("joints must be" in f.what for f in check(tmp_path, "mpii"))


@pytest.mark.parametrize("task", ["coco"])
def test_real_data_have_no_error(shared_data, task):
    found = check(shared_data, task)
    assert worst(shared_data, task) == set()
    assert "1829 images, 2065 persons, 1942 with keypoints" in {f.what for f in found}


@pytest.mark.parametrize("split, use", [("train", "enough for `score` and `ceilings`, not for `run`"),
                                        ("valid", "not enough for `run`")])
def test_mpii_with_one_of_its_files_is_checked_as_far_as_it_is_there(mpii_tree, tmp_path, split, use):  # noqa: F811
    shutil.copytree(mpii_tree / "mpii" / "annot", tmp_path / "annot")
    (tmp_path / "images").symlink_to(mpii_tree / "mpii" / "images")
    (tmp_path / "annot" / f"{split}.json").unlink()
    other = {"train": "valid", "valid": "train"}[split]
    found = check(tmp_path, "mpii")
    assert found[0].what == f"annot/{other}.json found, annot/{split}.json missing: {use}"
    assert [f.severity for f in found[1:]] == ["ok"] * (2 if split == "train" else 1)  # persons, head sizes


def test_crowdpose_with_one_of_its_files_is_checked_as_far_as_it_is_there(crowdpose_tree, tmp_path):  # noqa: F811
    shutil.copytree(crowdpose_tree / "crowdpose" / "json", tmp_path / "crowdpose" / "json")
    (tmp_path / "crowdpose" / "json" / "crowdpose_trainval.json").unlink()
    found = check(tmp_path, "crowdpose")
    assert found[0].what.startswith("json/crowdpose_test.json found, json/crowdpose_trainval.json missing: enough for")
    assert any(f.severity == "ok" and "persons" in f.what for f in found)


def test_the_list_of_places_is_short(tmp_path):
    for task in ("mpii", "crowdpose"):
        (found,) = check(tmp_path, task)
        assert found.what.count(str(tmp_path)) == 3 and "looked for" in found.what  # the root and its two folders
