"""``flatpose-exp predict`` and ``pack``: files in, pictures and COCO results out."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny import write_coco

from flatpose.drawing import draw_poses
from flatpose.errors import DataError
from flatpose.harness import cli
from flatpose.keypoints import COCO17
from flatpose.predict_files import Boxes, find_inputs, frames


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
                               "predictions": str(tmp_path / "out" / "predictions.json")}
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
