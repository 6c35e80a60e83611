"""``flatpose-exp predict`` and ``pack``: files in, pictures and COCO results out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from accelerate import Accelerator
from tiny import write_coco

from flatpose.data import load_coco
from flatpose.drawing import PLATE, _label, _overlap, _place, draw_poses
from flatpose.errors import DataError
from flatpose.evaluate import predict
from flatpose.harness import cli
from flatpose.keypoints import COCO17
from flatpose.metrics import to_results
from flatpose.predict import Pose
from flatpose.predict_files import Boxes, find_inputs, frames, predict_files
from flatpose.progress import SILENT


@pytest.fixture(scope="module")
def coco(tmp_path_factory) -> Path:
    return write_coco(tmp_path_factory.mktemp("coco")) / "coco"


def call(monkeypatch, capsys, *words: object) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["flatpose-exp", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr()
    return stop.value.code or 0, said.out, said.err


def test_a_folder_with_annotated_boxes(coco, tmp_path, monkeypatch, capsys):
    annotations = coco / "annotations" / "person_keypoints_val2017.json"
    code, out, said = call(monkeypatch, capsys, "predict", coco / "val2017", "--boxes", annotations, "--flip", "-o",
                           tmp_path / "out", "--json")
    truth = json.loads(annotations.read_text())
    assert code == 0, said
    assert json.loads(out) == {"pictures": 3, "persons": len(truth["annotations"]),
                               "predictions": str(tmp_path / "out" / "predictions.json"), "left_out": []}
    results = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert sorted(r["image_id"] for r in results) == sorted(a["image_id"] for a in truth["annotations"])
    assert all(len(r["keypoints"]) == 51 for r in results)
    listing = json.loads((tmp_path / "out" / "images.json").read_text())
    assert [i["file_name"] for i in listing["images"]] == sorted(i["file_name"] for i in truth["images"])
    for image in listing["images"]:
        assert cv2.imread(str(tmp_path / "out" / image["file_name"])).shape == (image["height"], image["width"], 3)
    code, out, said = call(monkeypatch, capsys, "score", "--task", "coco", "--annotations", annotations,
                           "--predictions", tmp_path / "out" / "predictions.json", "--json")
    assert code == 0 and "AP" in json.loads(out), said


def test_detector_boxes_below_the_threshold_are_left(coco):
    path = coco / "person_detection_results" / "COCO_val2017_detections_AP_H_56_person.json"
    count = sum(e["image_id"] == 1 for e in json.loads(path.read_text()))
    assert count and len(Boxes(path, 0.5).of("000000000001.jpg")[0]) == count
    assert len(Boxes(path, 0.95).of("000000000001.jpg")[0]) == 0
    with pytest.raises(DataError, match="no boxes for"):
        Boxes(path, 0.5).of("000000000099.jpg")


def test_one_damaged_file_costs_no_other(coco, tmp_path, monkeypatch, capsys):
    names = sorted(p.name for p in (coco / "val2017").glob("*.jpg"))
    shutil.copytree(coco / "val2017", tmp_path / "in")
    (tmp_path / "in" / "000000000000.jpg").write_bytes((tmp_path / "in" / names[0]).read_bytes()[:300])  # comes first
    annotations = coco / "annotations" / "person_keypoints_val2017.json"
    code, out, said = call(monkeypatch, capsys, "predict", tmp_path / "in", "--boxes", annotations, "-o",
                           tmp_path / "out", "--json")
    assert code == 1 and json.loads(out)["pictures"] == 3
    (line,) = [line for line in said.splitlines() if line.startswith("left out: ")]
    assert "000000000000.jpg: image cannot be decoded" in line and json.loads(out)["left_out"] == [line[10:]]
    persons = len(json.loads(annotations.read_text())["annotations"])
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())) == persons
    assert sorted(p.name for p in (tmp_path / "out").glob("*.jpg")) == names
    (tmp_path / "in" / "a.jpg").write_bytes((tmp_path / "in" / names[0]).read_bytes())  # no boxes are known for it
    code, _, said = call(monkeypatch, capsys, "predict", tmp_path / "in", "--boxes", annotations, "-o", tmp_path / "b")
    assert code == 1 and said.count("left out: ") == 2 and "no boxes for 'a.jpg'" in said


def test_persons_are_scored_and_suppressed_as_in_evaluation(coco, tmp_path):
    pose, found = Pose.load(), next((coco / "person_detection_results").iterdir())
    twice = json.loads(found.read_text())
    (tmp_path / "twice.json").write_text(json.dumps(twice + [{**d, "score": 0.8} for d in twice]))
    files = sorted((coco / "val2017").glob("*.jpg"))
    boxes = Boxes(tmp_path / "twice.json", 0.0, overlap=1.0)
    made = predict_files(pose, files, tmp_path / "out", SILENT, boxes=boxes, flip_test=True)
    data, run = load_coco(coco.parent), pose.checkpoint.run
    persons = predict(pose.network, pose.codec, data.detections, data, run, Accelerator(cpu=True), SILENT)
    expected, rule = to_results(persons, rescore=run.eval.rescore, score_threshold=run.codec.score_threshold,
                                nms=run.eval.nms, nms_threshold=run.eval.nms_threshold, sigmas=np.array(COCO17.sigmas))
    results = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert made.persons == len(results) == len(expected) == len(twice) and "OKS-NMS 0.9" in rule
    for image in {r["image_id"] for r in expected}:
        ours, theirs = (sorted(r["score"] for r in some if r["image_id"] == image) for some in (results, expected))
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_detections_that_overlap_a_better_one_are_left(tmp_path):
    boxes = [([0, 0, 100, 100], 0.5), ([5, 0, 100, 100], 0.9), ([60, 0, 100, 100], 0.6)]
    entries = [{"image_id": 1, "category_id": 1, "bbox": box, "score": score} for box, score in boxes]
    entries.append({"image_id": 1, "category_id": 3, "bbox": [300, 300, 9, 9], "score": 0.9})  # no person
    (tmp_path / "found.json").write_text(json.dumps(entries))
    assert Boxes(tmp_path / "found.json", 0.0).of("1.jpg")[1].tolist() == [0.9, 0.6]
    assert len(Boxes(tmp_path / "found.json", 0.0, overlap=1.0).of("1.jpg")[0]) == 3
    truth = {"images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": "2.jpg"}],
             "annotations": [{"image_id": 1, "bbox": box, "iscrowd": score == 0.6} for box, score in boxes]}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    assert len(Boxes(tmp_path / "truth.json", 0.0).of("1.jpg")[0]) == 2  # annotated persons may overlap; no crowd
    assert len(Boxes(tmp_path / "truth.json", 0.0).of("2.jpg")[0]) == 0


def test_without_boxes_a_hint_says_what_is_assumed(coco, tmp_path, monkeypatch, capsys):
    image = next((coco / "val2017").glob("*.jpg"))
    (tmp_path / "boxes.json").write_text(json.dumps({image.name: [[5, 5, 90, 90]]}))
    hint = "each whole image is taken as one person"
    assert hint in call(monkeypatch, capsys, "predict", image, "-o", tmp_path / "out")[2]
    for words in (("--boxes", tmp_path / "boxes.json"), ("-q",)):
        code, _, said = call(monkeypatch, capsys, "predict", image, "-o", tmp_path / "out", *words)
        assert code == 0 and hint not in said


def test_whole_image_and_a_video(coco, tmp_path, monkeypatch, capsys):
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (64, 48))
    assert writer.isOpened()
    for level in (40, 120, 200):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    code, _, said = call(monkeypatch, capsys, "predict", tmp_path / "clip.avi", "-o", tmp_path / "out")
    assert code == 0 and "3 pictures, 3 persons" in said
    assert sorted(p.name for p in (tmp_path / "out").glob("*.jpg")) == [f"clip_{n:06d}.jpg" for n in (1, 2, 3)]
    levels = [frame.image.mean() for frame in frames(tmp_path / "clip.avi")]
    np.testing.assert_allclose(levels, [40, 120, 200], atol=6)


def test_inputs(coco, tmp_path):
    images = sorted((coco / "val2017").glob("*.jpg"))
    assert find_inputs([str(coco / "val2017")]) == find_inputs([str(coco / "val2017" / "*.jpg")]) == images
    assert find_inputs([str(images[1]), str(coco / "val2017")]) == [images[1], images[0], images[2]]
    (tmp_path / "a.txt").write_text("")
    for given, message in (("nowhere", "no image or video there"), (str(tmp_path / "a.txt"), "neither image nor")):
        with pytest.raises(DataError, match=message):
            find_inputs([given])


@pytest.mark.parametrize("content", ["[3]", '[{"image_id": 1}]', '{"a.jpg": [[1, 2]]}', '{"a.jpg": 3}', "3", "{",
                                     '{"annotations": [{"image_id": 1, "bbox": [1, 2, 3, 4]}], "images": []}'])
def test_a_file_that_is_no_boxes_is_one_message(content, coco, tmp_path, monkeypatch, capsys):
    (tmp_path / "boxes.json").write_text(content)
    code, _, said = call(monkeypatch, capsys, "predict", coco / "val2017", "--boxes", tmp_path / "boxes.json", "-o",
                         tmp_path / "out")
    assert code == 2 and said.startswith("error: ") and "boxes.json" in said and "Traceback" not in said


def test_damaged_input_and_own_folder_are_one_message(coco, tmp_path, monkeypatch, capsys):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    (tmp_path / "a.mp4").write_bytes(b"no video")
    for name, message in (("a.jpg", "cannot be decoded"), ("a.mp4", "no frame of this video")):
        code, _, said = call(monkeypatch, capsys, "predict", tmp_path / name, "-o", tmp_path / "out")
        assert code == 2 and message in said and "Traceback" not in said
    code, _, said = call(monkeypatch, capsys, "predict", tmp_path / "a.jpg", "-o", tmp_path)
    assert code == 2 and "overwrite its own input" in said


def test_pack_of_nothing_is_one_message(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FLATPOSE_RUNS", str(tmp_path))
    code, _, said = call(monkeypatch, capsys, "pack", "fig1", "--row", "simcc_s8", "-o", tmp_path / "out")
    assert code == 2 and "no finished run with weights" in said and "flatpose-exp run fig1 --row simcc_s8" in said


def test_lines_are_outlined_on_black_and_on_white():
    points = np.array([[[20.0 + 9 * i, 30.0 + 4 * i] for i in range(17)]])
    for level in (0, 255):
        image = np.full((120, 200, 3), level, np.uint8)
        drawn = draw_poses(image, np.array([[5.0, 5.0, 190.0, 110.0]]), points, np.ones((1, 17)), COCO17, threshold=0.5)
        brightness = drawn.astype(int).mean(-1)
        assert brightness.max() > 150 and brightness.min() < 30 and (image == level).all()
    none = draw_poses(image, np.array([[5.0, 5.0, 190.0, 110.0]]), points * 1e9, np.ones((1, 17)), COCO17, threshold=2)
    assert (none[60:110, 60:150] == 255).all()


def test_numbers_stand_on_plates_that_are_inside_and_apart():
    image = np.full((120, 200, 3), 255, np.uint8)
    boxes = np.array([[5.0, 2.0, 60, 90], [6.0, 3.0, 60, 90], [170.0, 0.0, 60, 90], [-40.0, -40.0, 60, 60]])
    drawn = draw_poses(image, boxes, np.full((4, 17, 2), 60.0), np.full((4, 17), 0.5), COCO17, threshold=2)
    dark = (drawn == PLATE).all(-1).astype(np.uint8)
    plates: list = []
    for left, top, wide, _ in boxes.round().astype(int).tolist():
        plates.append(_label(image, "0.5", [left, top], wide, 1, plates))
    for number, (left, top, right, bottom) in enumerate(plates):
        assert 0 <= left < right <= 200 and 0 <= top < bottom <= 120
        assert dark[top:bottom, left:right].mean() > 0.4 and (drawn[top:bottom, left:right] > 200).any()
        assert not any(_overlap(plates[number], other) for other in plates[:number])
    assert sum((right - left) * (bottom - top) for left, top, right, bottom in plates) > dark.sum() > 0


def test_plates_without_room_are_drawn_all_the_same():
    taken = [(0, 0, 20, 10)]
    assert _place([0, 0], 20, 10, 20, 10, taken) == (0, 0, 20, 10)
    assert _place([0, 0], 30, 10, 20, 10, taken)[:2] == (0, 0)


def test_the_pictures_of_readme_are_what_the_program_draws(tmp_path, monkeypatch, capsys):
    folder = Path(call(monkeypatch, capsys, "data", "make", "fig1", "--profile", "smoke")[1].strip()) / "coco"
    boxes = folder / "annotations" / "person_keypoints_val2017.json"
    assert call(monkeypatch, capsys, "predict", folder / "val2017", "--boxes", boxes, "--flip", "-o", tmp_path)[0] == 0
    for number in (1, 6):
        shown = cv2.imread(str(Path(__file__).parents[1] / "docs" / "img" / f"predict-{number}.jpg"))
        made = cv2.imread(str(tmp_path / f"{number:012d}.jpg"))
        assert made.shape == shown.shape and np.abs(made.astype(int) - shown).mean() < 2
