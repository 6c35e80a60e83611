"""`score` on good files, and one message for every way in which a file can be wrong."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.io import savemat
from test_metrics import as_result, person, write_truth

from flatpose.errors import DataError, FlatPoseError, SpecError
from flatpose.harness import cli, console
from flatpose.metrics.score import score_file

COCO_KEYS = {"AP", "AP50", "AP75", "AP_M", "AR", "AR50", "AR75", "AR_M"}


@pytest.fixture
def coco(tmp_path) -> tuple[Path, Path]:
    """Annotations of two persons and a perfect results file."""
    people = [person(1, 0), person(2, 20)]
    truth = write_truth(tmp_path / "truth.json", people)
    found = tmp_path / "found.json"
    found.write_text(json.dumps([as_result(p, 0.5 + i / 4) for i, p in enumerate(people)]))
    return truth, found


@pytest.fixture
def crowd(tmp_path) -> tuple[Path, Path]:
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
    (tmp_path / "found.json").write_text(json.dumps(found))
    return tmp_path / "valid.json", tmp_path / "found.json"


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def first(**fields):
    """Change fields of the first prediction."""
    return lambda t, p: edit(p, lambda c: c[0].update(fields))


def drop(name: str):
    return lambda t, p: edit(p, lambda c: c[0].pop(name))


def point(index: int, text: str):
    """Put a raw JSON token among the keypoints of the second prediction."""
    def change(truth: Path, found: Path) -> None:
        content = json.loads(found.read_text())
        content[1]["keypoints"][index] = "@"
        found.write_text(json.dumps(content).replace('"@"', text))
    return change


def truth(change):
    return lambda t, p: edit(t, change)


def replaced(text: str):
    return lambda t, p: p.write_text(text)


MALFORMED_COCO = {
    "not JSON": (replaced("AP = 0.9"), ["found.json: not valid JSON"]),
    "empty file": (replaced(""), ["found.json: not valid JSON"]),
    "truncated": (lambda t, p: p.write_text(p.read_text()[:-40]), ["found.json: not valid JSON", "cut off?"]),
    "bytes": (lambda t, p: p.write_bytes(b"\xff\xfe\x00"), ["found.json: not valid JSON"]),
    "no such file": (lambda t, p: p.unlink(), ["found.json: no such file"]),
    "a folder": (lambda t, p: (p.unlink(), p.mkdir()), ["found.json: cannot be read"]),
    "an object": (replaced('{"annotations": []}'), ["an object, expected a list", "swapped?"]),
    "a number": (replaced("3"), ["found.json: 3, expected a list of predictions"]),
    "an empty list": (replaced("[]"), ["an empty list, expected predictions"]),
    "item not an object": (lambda t, p: edit(p, lambda c: c.insert(1, [1, 2])), ["[1]: a list of 2, expected an"]),
    "item null": (lambda t, p: edit(p, lambda c: c.append(None)), ["[2]: None, expected an object"]),
    "no image_id": (drop("image_id"), ["[0]: no field 'image_id'"]),
    "no category_id": (drop("category_id"), ["[0]: no field 'category_id'"]),
    "no keypoints": (drop("keypoints"), ["[0]: no field 'keypoints'", "each item is"]),
    "no score": (drop("score"), ["[0]: no field 'score'"]),
    "unknown image": (first(image_id=77), ["[0].image_id: 77 is not among the annotation file's images"]),
    "negative image": (first(image_id=-1), ["[0].image_id: -1 is not among"]),
    "image id as text": (first(image_id="1"), ["[0].image_id: '1' is not among", "a number, not text"]),
    "image id a list": (first(image_id=[1]), ["[0].image_id: a list of 1 is not among"]),
    "another category": (first(category_id=2), ["[0].category_id: 2 is not among the categories {1}"]),
    "category true": (first(category_id=True), ["[0].category_id: True is not among"]),
    "MPII's keypoints": (first(keypoints=[1.0] * 48), ["[0].keypoints: 48 entries, expected 51", "--task mpii?"]),
    "CrowdPose's keypoints": (first(keypoints=[1.0] * 42), ["42 entries, expected 51 numbers", "--task crowdpose?"]),
    "no scores of keypoints": (first(keypoints=[1.0] * 34), ["34 entries, expected 51", "without a score"]),
    "nested keypoints": (first(keypoints=[[1.0, 2.0, 1.0]] * 17), ["17 entries, expected 51", "flat list"]),
    "50 numbers": (first(keypoints=[1.0] * 50), ["50 entries, expected 51", "42 for crowdpose"]),
    "keypoints as text": (first(keypoints="1 2 3"), ["[0].keypoints: '1 2 3', expected 51 numbers"]),
    "NaN": (point(4, "NaN"), ["[1].keypoints[4]: nan, expected a finite number"]),
    "infinity": (point(5, "-Infinity"), ["[1].keypoints[5]: -inf, expected a finite number"]),
    "overflowing number": (point(6, "1e400"), ["[1].keypoints[6]: inf, expected a finite number"]),
    "endless integer": (point(6, "9" * 400), ["[1].keypoints[6]: 9999", "expected a finite number"]),
    "integer of 5000 digits": (point(6, "9" * 5000), ["found.json: not valid JSON"]),
    "number as text": (point(7, '"12"'), ["[1].keypoints[7]: '12', expected a finite number"]),
    "null coordinate": (point(8, "null"), ["[1].keypoints[8]: None, expected a finite number"]),
    "score as text": (first(score="0.9"), ["[0].score: '0.9', expected a finite number"]),
    "score a list": (first(score=[0.9]), ["[0].score: a list of 1, expected a finite number"]),
    "box of two": (first(bbox=[1, 2]), ["[0].bbox: expected four finite numbers"]),
    "score NaN": (first(score=float("nan")), ["[0].score: nan, expected a finite number"]),
    "annotations missing": (lambda t, p: t.unlink(), ["truth.json: no such file"]),
    "annotations a list": (lambda t, p: t.write_text("[]"), ["truth.json: a list, expected an annot", "swapped"]),
    "no images": (truth(lambda c: c.pop("images")), ["truth.json: no list 'images'"]),
    "no categories": (truth(lambda c: c.pop("categories")), ["truth.json: no list 'categories'"]),
    "test-dev's image list": (truth(lambda c: c.pop("annotations")), ["truth.json: no list 'annotations'"]),
    "nobody annotated": (truth(lambda c: c.update(annotations=[])), ["the list 'annotations' is empty"]),
    "nobody to find": (truth(lambda c: [a.update(iscrowd=1) for a in c["annotations"]]), ["no person with keypoints"]),
    "boxes only": (truth(lambda c: c["annotations"][1].pop("keypoints")), ["annotations[1]: no field 'keypoints'"]),
    "no area": (truth(lambda c: c["annotations"][0].pop("area")), ["no field 'area'", "--task crowdpose?"]),
    "no iscrowd": (truth(lambda c: c["annotations"][0].pop("iscrowd")), ["annotations[0]: no field 'iscrowd'"]),
    "area as text": (truth(lambda c: c["annotations"][0].update(area="9")), ["annotations[0].area: '9', expected"]),
    "box of three": (truth(lambda c: c["annotations"][0].update(bbox=[1, 2, 3])), ["annotations[0].bbox: expected"]),
    "annotation elsewhere": (truth(lambda c: c["annotations"][0].update(image_id=9)), ["annotations[0].image_id: 9"]),
    "annotation id twice": (truth(lambda c: c["annotations"][1].update(id=1)), ["annotations[1].id: id 1 a second"]),
    "annotation id zero": (truth(lambda c: c["annotations"][0].update(id=0)), ["annotations[0].id: 0", "from 1"]),
    "image id twice": (truth(lambda c: c["images"][1].update(id=1)), ["images[1].id: id 1 a second time"]),
    "image no object": (truth(lambda c: c["images"].append(7)), ["images[3]: 7, expected an object"]),
    "CrowdPose's truth": (truth(lambda c: c["annotations"][0].update(keypoints=[1] * 42)),
                          ["annotations[0].keypoints: 42 entries", "--task crowdpose?"]),
}
MALFORMED_CROWD = {
    "no crowdIndex": (truth(lambda c: c["images"][2].pop("crowdIndex")), ["images[2]: no number 'crowdIndex'"]),
    "COCO's keypoints": (first(keypoints=[1.0] * 51), ["51 entries, expected 42 numbers", "--task coco?"]),
    "scores all zero": (lambda t, p: edit(p, lambda c: [r.update(keypoints=[5.0, 5.0, 0.0] * 14) for r in c]),
                        ["every keypoint score is 0"]),
}
MALFORMED_MPII = {
    "row beyond the end": (first(id=3), ["[0].id: 3, expected a row of the annotation file, 0 to 2"]),
    "negative row": (first(id=-1), ["[0].id: -1, expected a row"]),
    "row as text": (first(id="0"), ["[0].id: '0', expected a row"]),
    "row twice": (first(id=1), ["[1].id: row 1 a second time"]),
    "row missing": (lambda t, p: edit(p, lambda c: c.pop(1)), ["no prediction for 1 of 3 rows, first 1"]),
    "no id": (drop("id"), ["[0]: no field 'id'", "row of the annotation file"]),
    "no keypoints": (drop("keypoints"), ["[0]: no field 'keypoints'"]),
    "COCO's keypoints": (first(keypoints=[1.0] * 51), ["51 entries, expected 48", "--task coco?"]),
    "NaN": (point(3, "NaN"), ["[1].keypoints[3]: nan"]),
    "item a list": (lambda t, p: edit(p, lambda c: c.append([])), ["[3]: a list of 0, expected an object"]),
    "an empty list": (replaced("[]"), ["an empty list"]),
    "no mat": (lambda t, p: (t.parent / "gt_valid.mat").unlink(), ["no gt_valid.mat", "head boxes"]),
    "mat damaged": (lambda t, p: (t.parent / "gt_valid.mat").write_bytes(b"MATLAB"), ["not a MATLAB file"]),
    "mat of another split": (truth(lambda c: c.pop()), ["gt_valid.mat: jnt_missing has shape (16, 3)", "same split"]),
    "COCO's annotations": (lambda t, p: t.write_text('{"images": []}'), ["an MPII annotation file is a list of"]),
    "joints missing": (truth(lambda c: c[2].pop("joints")), ["[2]: joints must be numbers of shape (16, 2)"]),
}


def refused(task: str, files: tuple[Path, Path], change, words: list[str]) -> None:
    """Exactly one FlatPoseError, short, that names what is wrong."""
    change(*files)
    with pytest.raises(DataError) as caught:
        score_file(task, *files)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert message.count("\n") <= 1 and len(message) < 700
    answer = command("score", "--task", task, "--annotations", files[0], "--predictions", files[1])
    assert answer.code == 2 and answer.out == "" and answer.err.count("error: ") == 1
    assert answer.err.strip() == f"error: {message}"


def command(*arguments: object) -> SimpleNamespace:
    """The command line in this process: exit code, standard output, standard error."""
    out, said = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(sys, "argv", ["flatpose-exp", *map(str, arguments)])
        patch.setattr(cli, "err", console.Console(file=said, soft_wrap=True, highlight=False, width=10_000))
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
    return SimpleNamespace(code=code or 0, out=out.getvalue(), err=said.getvalue())


def test_the_list_of_malformed_inputs_is_long_enough():
    assert len({*MALFORMED_COCO, *MALFORMED_CROWD, *MALFORMED_MPII}) >= 25


def test_the_help_says_what_a_stranger_needs():
    """Form of all three files, evaluators, names and units of the numbers, frame of the coordinates, an example."""
    found = command("score", "--help")
    for word in ("image_id", "category_id", "17 times", "14 keypoints", "16 times", "gt_valid.mat", "crowdIndex",
                 "pycocotools", "xtcocotools", "AP50", "AP_hard", "PCKh@0.1", "0..1", "0-based", "Examples:",
                 "exit code 2"):
        assert word in found.out, word
    assert found.code == 0 and max(map(len, found.out.splitlines())) <= 120


@pytest.mark.parametrize("name", MALFORMED_COCO)
def test_malformed_coco(coco, name):
    refused("coco", coco, *MALFORMED_COCO[name])


@pytest.mark.parametrize("name", MALFORMED_CROWD)
def test_malformed_crowdpose(crowd, name):
    refused("crowdpose", crowd, *MALFORMED_CROWD[name])


@pytest.mark.parametrize("name", MALFORMED_MPII)
def test_malformed_mpii(mpii, name):
    refused("mpii", mpii, *MALFORMED_MPII[name])


def test_good_files_of_each_task(coco, crowd):
    found = score_file("coco", *coco)
    assert found.keys() == COCO_KEYS and found["AP"] == pytest.approx(1)
    found = score_file("crowdpose", *crowd)
    assert found["AP"] == pytest.approx(1) and found["AP_easy"] == pytest.approx(1) and "AP_hard" not in found
    json.dumps(found, allow_nan=False)


def test_good_mpii(mpii):
    found = score_file("mpii", *mpii)
    assert found["PCKh@0.5"] == found["PCKh@0.1"] == found["ankle"] == 1.0


def test_extra_fields_whole_floats_and_negative_scores_are_fine(coco):
    """Other programs write centre, scale and area, ids as 1.0, and logarithms as scores."""
    edit(coco[1], lambda c: [r.update(image_id=float(r["image_id"]), score=-3.5, center=[1, 2], segmentation=[])
                             for r in c])
    edit(coco[1], lambda c: c[0].update(bbox=[0, 0, 1, 1], caption="a person"))
    assert score_file("coco", *coco)["AP"] == pytest.approx(1)


def test_unknown_task_names_the_nearest(coco):
    with pytest.raises(SpecError, match="did you mean 'crowdpose'"):
        score_file("crowd-pose", *coco)
    assert issubclass(SpecError, FlatPoseError)


def test_real_predictions_of_mpii(shared_data):
    folder = shared_data / "mpii"
    found = score_file("mpii", folder / "annot" / "valid.json", folder / "predictions_of_a_real_method.json")
    assert found["PCKh@0.5"] == pytest.approx(0.8234, abs=5e-5) and found["PCKh@0.1"] == pytest.approx(0.2897, abs=5e-5)
