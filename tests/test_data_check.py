"""Annotation files: each broken rule is found by `data check`, and what is an error is refused before training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny import annotations as truth
from tiny import edit, write, write_coco

from flatpose import benchmarks
from flatpose.config import DataConfig, EvalConfig
from flatpose.data import PoseData, load
from flatpose.data.findings import RULES, Finding
from flatpose.data.images import image_facts, read_image
from flatpose.errors import DataError, SpecError
from flatpose.evaluate import box_sources


@pytest.fixture
def root(tmp_path) -> Path:
    return write_coco(tmp_path / "data")


def detector(root: Path) -> Path:
    return next((root / "coco" / "person_detection_results").iterdir())


def check(root: Path, task: str = "coco") -> list[Finding]:
    return benchmarks.get(task).check(root)


def problems(root: Path, task: str = "coco") -> list[Finding]:
    return [f for f in check(root, task) if f.severity not in ("ok", "info")]


def from_disk(root: Path) -> PoseData:
    return load(DataConfig(source="disk"), root)


def people(change, split: str = "val"):
    return lambda root: edit(truth(root, split), lambda c: change(c["annotations"]))


def images(change):
    return lambda root: edit(truth(root), lambda c: change(c["images"]))


def boxes(change):
    return lambda root: edit(detector(root), change)


def categories(*found: dict):
    return lambda root: edit(truth(root), lambda c: c.update(categories=list(found)))


@pytest.mark.parametrize("nested", [False, True])
def test_good_data_are_counted_and_nothing_is_wrong(tmp_path, nested):
    found = check(write_coco(tmp_path, nested=nested))
    assert [f.severity for f in found] == ["ok"] * 3, found
    assert found[0].what == "6 images, 9 persons, 9 with keypoints" and found[2].what == "5 of 5 detections used"


BROKEN = {
    "not an object": (people(lambda p: p.insert(1, 5)), "1 entries are not objects"),
    "duplicate id": (people(lambda p: p[2].update(id=1)), "annotations[2] (id 1)"),
    "image size": (images(lambda i: i[0].update(width=0)), "images[0]"),
    "file name": (images(lambda i: i[1].update(file_name="../up.jpg")), "images[1]"),
    "unknown image": (people(lambda p: p[0].update(image_id=99)), "annotations[0]"),
    "keypoint count": (people(lambda p: [q.update(keypoints=[1] * 42) for q in p[:4]]),
                       "4 annotations do not have 17 keypoints (x, y, visible) of finite numbers: annotations[0], "
                       "annotations[1], annotations[2], …"),
    "bad box": (people(lambda p: p[1].update(bbox=None)), "annotations[1]"),
    "visibility": (people(lambda p: p[1]["keypoints"].__setitem__(2, 7)), "annotations[1]"),
    "bad crowd": (people(lambda p: p[1].update(iscrowd="0")), "annotations[1]"),
    "bad area": (people(lambda p: p[1].update(area=-4)), "annotations[1]"),
    "no area": (people(lambda p: [p[0].pop("area"), p[3].update(area=0)]), "2 persons with keypoints have no area"),
    "nobody counts": (people(lambda p: [q.update(num_keypoints=0) for q in p]), "num_keypoints 0 although"),
    "id zero": (people(lambda p: p[0].update(id=0)), "annotations[0]"),
    "zero box": (people(lambda p: p[0].update(bbox=[5, 5, 0, 9])), "1 boxes have no width or height"),
    "box outside": (people(lambda p: p[0].update(bbox=[-9, 5, 30, 300])), "in part: annotations[0]"),
    "point outside": (people(lambda p: p[0]["keypoints"].__setitem__(0, 999)), "annotations[0]"),
    "no area to train": (people(lambda p: p[3].pop("area"), "train"), "annotations[3]"),
    "num_keypoints": (people(lambda p: p[0].update(num_keypoints=3)), "annotations[0]"),
    "no keypoint": (people(lambda p: p[0].update(keypoints=[0] * 51, num_keypoints=0)), "1 persons have no labelled"),
    "other category": (people(lambda p: p[0].update(category_id=3)), "annotations[0]"),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_each_rule_is_found_and_an_error_is_refused_everywhere(root, rule, tmp_path):
    change, text = BROKEN[rule]
    change(root)
    severity, _, hint = RULES[rule]
    found = next(f for f in check(root) if f.severity == severity and text in f.what)
    assert found.hint == hint and found.where.endswith(".json")
    coco, results = benchmarks.get("coco"), tmp_path / "found.json"
    write(results, [{"image_id": 1, "category_id": 1, "keypoints": [1] * 51, "score": 1}])
    readers = (lambda: from_disk(root), lambda: coco.validation(root),
               lambda: coco.score(truth(root), results))
    for read in readers:  # run and run --checkpoint, ceilings, score
        if severity == "error":
            with pytest.raises(DataError) as refused:
                read()
            assert text in refused.value.what and refused.value.hint == hint and truth(root).name in str(refused.value)
        else:
            read()


def test_the_number_of_an_annotation_changes_no_metric(root, tmp_path):
    """Ids from 0: pycocotools takes a match with id 0 for none."""
    found = [{**a, "score": 1.0} for a in json.loads(truth(root).read_text())["annotations"]]
    (tmp_path / "found.json").write_text(json.dumps(found))
    files = truth(root), tmp_path / "found.json"
    before = benchmarks.get("coco").score(*files)
    people(lambda p: [a.update(id=i) for i, a in enumerate(p)])(root)
    assert before["AP"] == pytest.approx(1) and benchmarks.get("coco").score(*files) == before


NAMES = ["nose", "right_eye", "left_eye"]
CATEGORIES = {
    "zero": (categories({"id": 0, "name": "person"}), 0, None),
    "only one, other name": (categories({"id": 7, "name": "player"}), 7, None),
    "person among others": (categories({"id": 1, "name": "bicycle"}, {"id": 0, "name": "Person"}), 0, None),
    "two, none a person": (categories({"id": 1, "name": "a"}, {"id": 2, "name": "b"}), 1, "lists 1: a, 2: b"),
    "none": (categories(), 1, "lists none"),
    "one id for two": (categories({"id": 1, "name": "person"}, {"id": 1, "name": "dog"}), 1, "several categories have"),
    "other order": (categories({"id": 1, "name": "person", "keypoints": NAMES + ["x"] * 14}), 1,
                    "number 2 is right_eye, expected left_eye"),
    "other count": (categories({"id": 1, "name": "person", "keypoints": ["nose", "left_eye"]}), 1,
                    "number 3 is nothing"),
}


@pytest.mark.parametrize("name", CATEGORIES)
def test_the_person_category(root, name):
    change, number, refusal = CATEGORIES[name]
    change(root)
    people(lambda p: [a.update(category_id=number) for a in p])(root)
    boxes(lambda d: [a.update(category_id=number) for a in d])(root)
    if refusal:
        with pytest.raises(DataError, match=refusal):
            from_disk(root)
    else:
        data = from_disk(root)
        assert len(data.val.persons) == len(data.detections) == 5


DAMAGED = {
    "no annotations": (lambda r: truth(r).unlink(), "person_keypoints_val2017.json missing"),
    "cut off": (lambda r: truth(r).write_text(truth(r).read_text()[:99]), "not valid JSON"),
    "a list": (lambda r: truth(r).write_text("[]"), "a list, expected an annotation file"),
    "no list": (lambda r: edit(truth(r), lambda c: c.pop("images")), "no list 'images'"),
    "detector a dict": (lambda r: detector(r).write_text("{}"), "an object, expected a list"),
    "detection without box": (boxes(lambda d: d[1].pop("bbox")), "no field 'bbox'"),
    "nobody": (people(lambda p: p.clear()), "no person with a labelled keypoint"),
    "no images": (lambda r: shutil.rmtree(r / "coco" / "val2017"), str(Path("coco") / "images" / "val2017")),
    "no coco": (lambda r: (r / "coco").rename(r / "else"), "looked for"),
    "unhashable": (people(lambda p: [p[0].update(image_id=[1]), p[1].update(id={})]), "annotations belong to images"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_a_finding_and_a_refusal(root, name):
    change, text = DAMAGED[name]
    change(root)
    assert any(text in f.what for f in check(root) if f.severity == "error"), check(root)
    with pytest.raises(DataError):
        from_disk(root)


@pytest.mark.parametrize("change, text", [({"image_id": 77}, "0 of 5 detections used"),
                                          ({"category_id": 3}, "5 of other categories")])
def test_without_a_usable_detection_only_runs_on_detected_boxes_are_refused(root, change, text):
    boxes(lambda d: [entry.update(change) for entry in d])(root)
    assert text in problems(root)[0].what and problems(root)[0].severity == "error"
    data, both = from_disk(root), EvalConfig(box_sources=("gt", "det"))
    assert text in data.notes[0] and box_sources(EvalConfig(), data) == ["gt"]
    with pytest.raises(DataError, match=text):
        box_sources(both, data)
    detector(root).unlink()
    assert box_sources(both, from_disk(root)) == ["gt"], "without a file only ground-truth boxes are used"


def test_used_and_total_are_said(root):
    boxes(lambda d: [d[0].update(category_id=3), d[1].update(image_id=2.0), d[2].update(image_id="99")])(root)
    (note,) = from_disk(root).notes
    assert note.endswith("3 of 5 detections used (1 of other categories, 1 of images that are not in the annotation "
                         "file)")


def test_ids_and_paths_are_read_once_and_alike(root):
    """139.0 is 139, ./part//a.jpg is part/a.jpg, and a linked sub-folder is a folder."""
    folder = root / "coco" / "val2017"
    elsewhere = root / "elsewhere"
    folder.rename(elsewhere)
    folder.mkdir()
    (folder / "part").symlink_to(elsewhere)
    images(lambda c: [i.update(id=float(i["id"]), file_name=f"./part//{i['file_name']}") for i in c])(root)
    people(lambda p: [a.update(image_id=float(a["image_id"])) for a in p])(root)
    data = from_disk(root)
    assert problems(root) == [] and data.val.image_ids == [1, 2, 3] and len(data.detections) == 5
    assert all(type(p.image_id) is int and p.image_path.parent.name == "part" for p in data.val.persons)


def rotated(orientation: int):
    def change(path: Path) -> None:
        tag = Image.Exif()
        tag[0x0112] = orientation
        Image.open(path).convert("RGB").save(path, exif=tag)
    return change


def padded_after_thumbnail(path: Path) -> None:
    """Cut off and padded with zeros, an end marker in the application segment only."""
    content = path.read_bytes()
    segment = b"\xff\xe1" + (2 + 4).to_bytes(2, "big") + b"\x00\xff\xd9\x00"
    path.write_bytes(content[:2] + segment + content[2:len(content) // 2] + bytes(1000))


PICTURES = {
    "resized": (lambda p: cv2.imwrite(str(p), cv2.resize(cv2.imread(str(p)), (80, 60))), "image differs", "80 x 60"),
    "quarter turn": (rotated(6), "image differs", "EXIF orientation is 6"),
    "half turn": (rotated(3), "image rotated", None),
    "empty": (lambda p: p.write_bytes(b""), "image damaged", "cannot be decoded"),
    "cut off": (lambda p: p.write_bytes(p.read_bytes()[:-300]), "image damaged", "cannot be decoded"),
    "padded": (padded_after_thumbnail, "image damaged", "cannot be decoded"),
    "missing": (lambda p: p.unlink(), "image missing", "cannot be read"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_that_are_not_what_the_annotation_says(root, name):
    change, rule, refusal = PICTURES[name]
    path = root / "coco" / "val2017" / "000000000001.jpg"
    change(path)
    (found,) = problems(root)
    assert found.severity == RULES[rule][0] and RULES[rule][1] in found.what and path.name in found.what
    person = next(p for p in from_disk(root).val.persons if p.image_id == 1)
    if refusal:
        with pytest.raises(DataError, match=refusal) as error:
            read_image(person.image_path, person.image_size)
        assert path.name in str(error.value)
    else:
        assert read_image(person.image_path, person.image_size).shape == (120, 160, 3)


def test_sizes_from_headers_are_those_decoded(tmp_path):
    for orientation in range(1, 9):
        path = tmp_path / f"{orientation}.jpg"
        cv2.imwrite(str(path), np.zeros((31, 53, 3), np.uint8))
        rotated(orientation)(path)
        facts = image_facts(path)
        assert (facts.height, facts.width) == read_image(path).shape[:2] and facts.whole
        exif = Image.Exif()
        exif[0x0112] = orientation
        for ending in ("png", "webp", "tif"):
            other = tmp_path / f"{orientation}.{ending}"
            Image.new("RGB", (53, 31)).save(other, exif=exif)
            facts = image_facts(other)
            assert (facts.height, facts.width) == read_image(other).shape[:2], ending
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((31, 53, 3), np.uint8))
    assert image_facts(tmp_path / "a.png").whole and image_facts(tmp_path / "no.jpg") is None


def test_no_detector_no_folder_and_no_such_task(root):
    shutil.rmtree(root / "coco" / "person_detection_results")
    assert problems(root) == [] and "only ground-truth boxes" in check(root)[-1].what
    assert check(root / "nowhere")[0].what == "no such folder"
    with pytest.raises(SpecError, match="did you mean 'mpii'"):
        check(root, "mpi")


def test_crowdpose(crowdpose_tree, tmp_path):
    assert problems(crowdpose_tree, "crowdpose") == []
    shutil.copytree(crowdpose_tree / "crowdpose" / "json", tmp_path / "json")
    edit(tmp_path / "json" / "crowdpose_test.json", lambda c: c["images"][1].pop("crowdIndex"))
    texts = [f.what for f in check(tmp_path, "crowdpose") if f.severity == "error"]
    assert any("no train images" in t for t in texts) and any("crowdIndex" in t and "images[1]" in t for t in texts)
    (tmp_path / "json" / "crowdpose_trainval.json").unlink()
    assert "json/crowdpose_trainval.json missing: enough for" in check(tmp_path, "crowdpose")[0].what
    assert "looked for" in check(tmp_path / "json", "crowdpose")[0].what


def test_mpii(mpii_tree, tmp_path):
    assert problems(mpii_tree, "mpii") == [] and "head sizes" in check(mpii_tree, "mpii")[-1].what
    shutil.copytree(mpii_tree / "mpii" / "annot", tmp_path / "annot")
    edit(tmp_path / "annot" / "train.json", lambda rows: rows[1].update(center=[-1, -1]))
    (tmp_path / "annot" / "gt_valid.mat").unlink()
    found = check(tmp_path, "mpii")
    assert any(f.what.startswith("no val images: looked for") for f in found)
    assert any("row 1" in f.what and f.severity == "info" for f in found)
    assert any("no gt_valid.mat" in f.what for f in found)
    (tmp_path / "annot" / "train.json").unlink()
    assert "annot/train.json missing: enough for `score` and `ceilings`" in check(tmp_path, "mpii")[0].what


def test_real_data_have_no_problem(shared_data):
    found = check(shared_data)
    assert problems(shared_data) == [] and "1829 images, 2065 persons, 1942 with keypoints" in {f.what for f in found}
