"""``flatpose-exp predict``: files and boxes in, pictures, videos and COCO results out."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import torch
from accelerate import Accelerator
from tiny import annotations, write, write_coco

from flatpose.benchmarks import COCO
from flatpose.boxes import BoxFile, Detector
from flatpose.errors import DataError, FlatPoseError
from flatpose.evaluate import predict
from flatpose.keypoints import COCO17
from flatpose.metrics import to_results
from flatpose.predict import Pose
from flatpose.predict_files import Job, find_inputs, frames
from flatpose.progress import SILENT


@pytest.fixture(scope="module")
def coco(tmp_path_factory) -> Path:
    return write_coco(tmp_path_factory.mktemp("coco")) / "coco"


def test_a_folder_with_annotated_boxes(coco, tmp_path, cli):
    truth = json.loads(annotations(coco.parent).read_text())
    for image in truth["images"]:
        image["id"] += 1000  # ids need not be the numbers of the names
    for entry in truth["annotations"]:
        entry["image_id"] += 1000
    boxes = write(tmp_path / "truth.json", truth)
    code, out, said = cli("predict", coco / "val2017", "--boxes", boxes, "--flip", "-o",
                           tmp_path / "out", "--json")
    assert code == 0, said
    assert json.loads(out) == {"pictures": 3, "persons": len(truth["annotations"]),
                               "predictions": str(tmp_path / "out" / "predictions.json"), "left_out": []}
    results = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert sorted(r["image_id"] for r in results) == sorted(a["image_id"] for a in truth["annotations"])
    assert all(len(r["keypoints"]) == 51 and 0 <= r["score"] <= 1 for r in results)
    listing = json.loads((tmp_path / "out" / "images.json").read_text())
    for image in listing["images"]:
        assert cv2.imread(str(tmp_path / "out" / image["file_name"])).shape == (image["height"], image["width"], 3)
    code, out, said = cli("score", "--task", "coco", "--annotations", boxes, "--predictions",
                           tmp_path / "out" / "predictions.json", "--json")
    assert code == 0 and "AP" in json.loads(out), said


def test_an_image_without_a_person_and_a_damaged_one_cost_no_other(coco, tmp_path, cli):
    shutil.copytree(coco / "val2017", tmp_path / "in")
    names = sorted(p.name for p in (tmp_path / "in").iterdir())
    (tmp_path / "in" / "000000000000.jpg").write_bytes((tmp_path / "in" / names[0]).read_bytes()[:300])  # comes first
    truth = json.loads(annotations(coco.parent).read_text())
    truth["annotations"] = [a for a in truth["annotations"] if a["image_id"] != 1]
    code, out, said = cli("predict", tmp_path / "in", "--boxes", write(tmp_path / "b", truth),
                           "-o", tmp_path / "out", "--json")
    found = json.loads(out)
    assert code == 1 and found["pictures"] == 3 and found["persons"] == len(truth["annotations"])
    assert "000000000000.jpg: image cannot be decoded" in said and len(found["left_out"]) == 1
    assert sorted(p.name for p in (tmp_path / "out").glob("*.jpg")) == names
    assert 1 not in {r["image_id"] for r in json.loads((tmp_path / "out" / "predictions.json").read_text())}


def test_persons_are_scored_and_suppressed_as_in_evaluation(coco, tmp_path):
    pose, found = Pose.load(), next((coco / "person_detection_results").iterdir())
    twice = json.loads(found.read_text())
    boxes = BoxFile(write(tmp_path / "twice.json", twice + [{**d, "score": 0.8} for d in twice]), 0.0, overlap=1.0)
    made = Job(pose, tmp_path / "out", boxes, flip_test=True).run(sorted((coco / "val2017").glob("*.jpg")), SILENT)
    data, run = COCO.load(coco.parent), pose.checkpoint.run
    persons = predict(pose.network, pose.codec, data.detections, data, run, Accelerator(cpu=True), SILENT)
    expected, _ = to_results(persons, rescore=run.eval.rescore, score_threshold=run.codec.score_threshold,
                             nms=run.eval.nms, nms_threshold=run.eval.nms_threshold, sigmas=np.array(COCO17.sigmas))
    assert len(made.results) == len(expected) == len(twice)
    for image in {r["image_id"] for r in expected}:
        ours, theirs = (sorted(r["score"] for r in some if r["image_id"] == image) for some in (made.results, expected))
        np.testing.assert_allclose(ours, np.clip(np.array(theirs) / pose.perfect, 0, 1), atol=1e-5)


@pytest.mark.parametrize("stated, asked", [
    ("part/a.jpg", "/data/part/a.jpg"), ("./part//a.jpg", "part/a.jpg"), ("part/a.jpg", "/elsewhere/a.jpg"),
    ("a.jpg", "/data/deep/a.jpg"), ("COCO_val2014_000000000139.jpg", "000000000139.jpg"),
    ("000000000139.jpg", "x/COCO_val2014_000000000139.jpg")])
def test_pictures_are_found_by_name(tmp_path, stated, asked):
    truth = {"images": [{"id": 7.0, "file_name": stated}, {"id": 8, "file_name": "other/b.jpg"}],
             "annotations": [{"image_id": 7, "bbox": [1, 2, 3, 4]}, {"image_id": 8, "bbox": [5, 6, 7, 8]}]}
    key, boxes, _ = BoxFile(write(tmp_path / "b.json", truth), 0.0).of(asked)
    assert key == 7 and boxes.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("field, values", [
    ("image_id", [139, 139.0, "139", "000000000139"]),
    *((field, ["COCO_val2014_000000000139", "COCO_val2014_000000000139.jpg", "part/000000000139.jpg",
               "./000000000139.jpg", "139.0"]) for field in ("image_id", "file_name"))])
def test_detections_are_found_by_id_or_name(tmp_path, field, values):
    """The others are numbered: without a match the picture would silently have nobody."""
    for value in values:
        content = [{field: value, "bbox": [1, 2, 3, 4], "score": 0.9},
                   {"image_id": 7, "bbox": [5, 6, 7, 8], "score": 0.9}]
        boxes = BoxFile(write(tmp_path / "b.json", content), 0.0)
        for name in ("/data/part/000000000139.jpg", "COCO_val2014_000000000139.jpg", "139.png"):
            assert boxes.of(name)[1].tolist() == [[1, 2, 3, 4]], (value, name)
        assert boxes.of("7.jpg")[1].tolist() == [[5, 6, 7, 8]]
        assert len(boxes.of("140.jpg")[1]) == 0, "a detector found nobody there"
    for name in ("photo139.jpg", "a.jpg"):
        with pytest.raises(DataError, match="no boxes for"):
            boxes.of(name)


@pytest.mark.parametrize("second", [{"id": 2, "file_name": "./a.jpg"}, {"id": "1", "file_name": "b.jpg"}])
def test_a_boxes_file_with_an_image_twice_is_refused(tmp_path, second):
    content = {"images": [{"id": 1, "file_name": "a.jpg"}, second], "annotations": []}
    with pytest.raises(DataError, match="two images have the same"):
        BoxFile(write(tmp_path / "b.json", content), 0.0)


def test_equal_names_in_two_folders_are_not_confused(tmp_path):
    content = {"a/x.jpg": [[1, 1, 5, 5]], "b/x.jpg": [[2, 2, 5, 5]]}
    boxes = BoxFile(write(tmp_path / "b.json", content), 0.0)
    assert boxes.of("/data/b/x.jpg")[1].tolist() == [[2, 2, 5, 5]]
    with pytest.raises(DataError, match="2 images of this file are named"):
        boxes.of("/data/c/x.jpg")


def test_only_persons_that_overlap_no_better_one(tmp_path):
    given = [([0, 0, 100, 100], 0.5), ([5, 0, 100, 100], 0.9), ([60, 0, 100, 100], 0.6)]
    entries = [{"image_id": 1, "category_id": 1, "bbox": box, "score": score} for box, score in given]
    entries.append({"image_id": 1, "category_id": 3, "bbox": [9, 9, 9, 9], "score": 0.9})
    path = write(tmp_path / "a.json", entries)
    assert BoxFile(path, 0.0).of("1.jpg")[2].tolist() == [0.9, 0.6]
    assert BoxFile(path, 0.55, overlap=1.0).of("1.jpg")[2].tolist() == [0.9, 0.6]
    truth = {"images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": "2.jpg"}], "annotations": [
        {"image_id": 1, "bbox": box, "iscrowd": score == 0.6, "category_id": 5 if score > 0.8 else 0}
        for box, score in given], "categories": [{"id": 0, "name": "Person"}, {"id": 5, "name": "bicycle"}]}
    boxes = BoxFile(write(tmp_path / "b.json", truth), 0.0)
    assert [len(boxes.of(name)[1]) for name in ("1.jpg", "2.jpg")] == [1, 0]
    truth["categories"] = [{"id": 0, "name": "a"}, {"id": 5, "name": "b"}]
    with pytest.raises(DataError, match="which category is the person"):
        BoxFile(write(tmp_path / "c.json", truth), 0.0)
    numbered = [{**e, "category_id": n} for e, n in zip(entries, (0, 0, 0, 2), strict=True)]
    assert len(BoxFile(write(tmp_path / "d.json", numbered[:3]), 0.0).of("1.jpg")[1]) == 2, "the only category"
    for other in (1, 2):  # a file that counts from 0 has its person at 0, or at 1
        numbered[3]["category_id"] = other
        with pytest.raises(DataError, match=f"which category is the person.*0, {other}"):
            BoxFile(write(tmp_path / "d.json", numbered), 0.0)


def test_a_detector_with_given_weights_finds_boxes(coco, tmp_path, cli):
    from torchvision.models import get_model

    name, image = "ssdlite320_mobilenet_v3_large", next((coco / "val2017").glob("*.jpg"))
    torch.manual_seed(0)
    torch.save(get_model(name, weights=None, weights_backbone=None).state_dict(), tmp_path / "weights.pth")
    detector = Detector(name, tmp_path / "weights.pth", 0.0)
    boxes, scores = detector(cv2.imread(str(image)))
    assert boxes.shape == (len(scores), 4) and (boxes[:, 2:] > 0).all() and (boxes[:, :2] + boxes[:, 2:] <= 161).all()
    code, out, said = cli("predict", image, "--detector", name, "--detector-weights",
                           tmp_path / "weights.pth", "--min-box-score", 0.99, "-o", tmp_path / "out", "--json")
    assert code == 0 and json.loads(out)["persons"] == 0 and json.loads(out)["pictures"] == 1, said
    with pytest.raises(FlatPoseError, match="not the weights of fasterrcnn_mobilenet_v3_large_320_fpn"):
        Detector("fasterrcnn_mobilenet_v3_large_320_fpn", tmp_path / "weights.pth", 0.0)
    with pytest.raises(FlatPoseError, match="did you mean 'fasterrcnn_resnet50_fpn_v2'"):
        Detector("fasterrcnn_resnet50", None, 0.0)


def test_a_video_becomes_a_video(tmp_path, cli):
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (64, 48))
    assert writer.isOpened()
    for level in (40, 80, 120, 160, 200):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    assert [round(image.mean(), -1) for _, _, image in frames(tmp_path / "clip.avi", 2)] == [40, 120, 200]
    code, out, said = cli("predict", tmp_path / "clip.avi", "--whole-image", "--every", 2, "-o",
                           tmp_path / "out", "--device", "cpu", "--json")
    assert code == 0 and json.loads(out)["pictures"] == json.loads(out)["persons"] == 3, said
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["clip.mp4", "images.json", "predictions.json"]
    made = list(frames(tmp_path / "out" / "clip.mp4"))
    assert len(made) == 3 and made[0][1] == pytest.approx(2.5) and made[0][2].shape == (48, 64, 3)
    listing = json.loads((tmp_path / "out" / "images.json").read_text())["images"]
    assert [i["file_name"] for i in listing] == [f"clip_{n:06d}.jpg" for n in (1, 3, 5)]
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "clip.avi", tmp_path / "other")
    found = Job(Pose.from_pretrained(device="cpu"), tmp_path / "both").run(
        [tmp_path / "clip.avi", tmp_path / "other" / "clip.avi"], SILENT)
    assert len(found.images) == len(found.results) == 5 and "of this name" in str(found.left_out[0])


def test_a_video_is_shown_upright(tmp_path):
    """The rotation flag of a phone: the display matrix of the file's track turns the frames by 90 degrees."""
    writer = cv2.VideoWriter(str(tmp_path / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 5, (64, 48))
    for _ in range(3):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    plain, turned = ((65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30), (0, 65536, 0, -65536, 0, 0, 48 << 16, 0, 1 << 30))
    content = (tmp_path / "clip.mp4").read_bytes()
    track = content.index(b"tkhd")
    start = content.index(struct.pack(">9i", *plain), track)
    (tmp_path / "phone.mp4").write_bytes(content[:start] + struct.pack(">9i", *turned) + content[start + 36:])
    boxes = BoxFile(write(tmp_path / "b.json", {"phone_000002.jpg": [[5, 5, 30, 40]]}), 0.0)
    made = Job(Pose.load(), tmp_path / "out", boxes).run([tmp_path / "phone.mp4"], SILENT)
    assert [image.shape for _, _, image in frames(tmp_path / "out" / "phone.mp4")] == [(64, 48, 3)] * 3
    assert len(made.images) == 3 and [r["image_id"] for r in made.results] == [2], "frames without a box have no pose"


def test_pictures_that_the_boxes_are_not_of(coco, tmp_path):
    shutil.copytree(coco / "val2017", tmp_path / "in")
    first, *others = files = sorted((tmp_path / "in").iterdir())
    cv2.imwrite(str(first), cv2.resize(cv2.imread(str(first)), (80, 60)))
    made = Job(Pose.load(), tmp_path / "out", BoxFile(annotations(coco.parent), 0.0)).run(files, SILENT)
    assert len(made.images) == len(others) and "80 x 60" in str(made.left_out[0])
    boxes = BoxFile(write(tmp_path / "b.json", [{"image_id": 77, "bbox": [1, 2, 3, 4], "score": 0.9}]), 0.0)
    with pytest.raises(DataError, match="has boxes for none of the 2 pictures"):
        Job(Pose.load(), tmp_path / "none", boxes).run(others, SILENT)


@pytest.mark.parametrize("content", ["[3]", '[{"image_id": 1}]', '{"a.jpg": [[1, 2]]}', '{"a.jpg": 3}', "3", "{",
                                     '{"annotations": [{"image_id": 1, "bbox": [1, 2, 3, 4]}], "images": []}'])
def test_a_file_that_is_no_boxes_is_one_message(content, coco, tmp_path, cli):
    (tmp_path / "boxes.json").write_text(content)
    code, _, said = cli("predict", coco / "val2017", "--boxes", tmp_path / "boxes.json", "-o", tmp_path / "out")
    assert code == 2 and said.startswith("error: ") and "boxes.json" in said and "Traceback" not in said


def test_wrong_inputs_are_one_message(coco, tmp_path, cli):
    images = sorted((coco / "val2017").glob("*.jpg"))
    assert find_inputs([str(images[1]), str(coco / "val2017")]) == [images[1], images[0], images[2]]
    for name in ("a.jpg", "a.mp4", "a.txt"):
        (tmp_path / name).write_bytes(b"neither image nor video")
    cli.monkeypatch.setattr("torchvision.models.get_model", Mock(side_effect=OSError("no network")))
    for words, message in (("a.jpg --whole-image -o out", "cannot be decoded"),
                           ("a.jpg -o .", "overwrite its own input"),
                           ("a.mp4 --whole-image -o out", "no frame of this video"),
                           ("a.txt --whole-image -o out", "neither image nor"),
                           ("nowhere --whole-image -o out", "no image or video there"),
                           (f"{images[0]} -o out", "--boxes FILE")):  # without the weights of a detector
        code, _, said = cli("predict", *words.split())
        assert code == 2 and message in said and "Traceback" not in said, said
