"""``Pose``: pictures and boxes in, keypoints in image pixels and scores out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_pose import IMAGE, tiny_checkpoint

from flatpose.codecs import build_codec
from flatpose.config import HeatmapCodecConfig, SimCCCodecConfig
from flatpose.errors import FlatPoseError
from flatpose.keypoints import COCO17
from flatpose.predict import Pose, perfect_score

BOXES = [[10.0, 5.0, 40.0, 70.0], [60.0, 20.0, 30.0, 60.0], [-5.0, -5.0, 200.0, 40.0]]


@pytest.fixture(scope="module")
def pose() -> Pose:
    return Pose(tiny_checkpoint(), device="cpu")


def test_batches_and_order_do_not_change_answers(pose):
    keypoints, scores = pose(IMAGE, BOXES)
    assert keypoints.shape == (3, 17, 2) and scores.shape == (3, 17) and 0 <= scores.min() <= scores.max() <= 1
    np.testing.assert_allclose(pose(IMAGE, BOXES[1:2])[0][0], keypoints[1], atol=1e-3)
    np.testing.assert_allclose(pose(IMAGE, BOXES, batch_size=1)[1], scores, atol=1e-4)
    assert [a.shape for a in pose(IMAGE, [])] == [(0, 17, 2), (0, 17)]


def test_a_path_a_pil_image_and_an_array_alone_or_in_a_list(pose, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), IMAGE[..., ::-1])
    forms = [IMAGE, Image.fromarray(IMAGE), tmp_path / "a.png", str(tmp_path / "a.png")]
    answers = pose(forms, [BOXES] * 4)
    for keypoints, scores in (*answers, *(pose(form, BOXES) for form in forms)):
        np.testing.assert_array_equal(keypoints, answers[0][0])
        np.testing.assert_array_equal(scores, answers[0][1])
    with pytest.raises(FlatPoseError, match="boxes of 1 images for 2 images"):
        pose([IMAGE, IMAGE], [BOXES])


def test_keypoints_are_in_image_pixels(pose):
    """Box and picture moved together move the answer with them."""
    wide = np.zeros((190, 220, 3), np.uint8)
    wide[60:150, 30:150] = IMAGE
    box = np.array([[30.0, 20.0, 40.0, 40.0]])  # its padded crop lies inside the picture
    moved = pose(wide, box + np.array([30, 60, 0, 0]))[0]
    np.testing.assert_allclose(moved, pose(IMAGE, box)[0] + np.array([30, 60]), atol=0.1)


def test_flip_test_is_symmetric_under_mirroring(pose):
    """Of the averaged outputs: a mirrored picture has the same scores with left and right exchanged."""
    square, found = np.ascontiguousarray(IMAGE[:90, :90]), pose.checkpoint
    run = replace(found.run, codec=replace(found.run.codec, udp=True))
    pose = Pose(found.model_copy(update={"run": run}), device="cpu")
    scores = pose(square, flip_test=True)[1]
    mirrored = pose(np.ascontiguousarray(square[:, ::-1]), flip_test=True)[1]
    np.testing.assert_allclose(mirrored, scores[:, COCO17.flip_index], rtol=0.02, atol=1e-3)
    assert not np.allclose(pose(square)[1], scores, rtol=1e-3)


@pytest.mark.parametrize("config", [SimCCCodecConfig(), SimCCCodecConfig(sigma=3.0, split_ratio=1.0),
                                    HeatmapCodecConfig(stride=4)])
def test_a_perfect_answer_scores_one(config):
    codec = build_codec(config, (96, 128), 2)
    perfect = codec.perfect(torch.tensor([[[40.0, 60.0], [20.0, 88.0]]]))
    np.testing.assert_allclose(codec.decode(perfect)[1] / perfect_score(codec), 1, atol=0.01)


@pytest.mark.parametrize("image, boxes, message", [
    (IMAGE.astype(float), None, "an image of form float64"), (3, None, "an image of form int"),
    (IMAGE, [[1, 2, 3]], r"boxes of shape \(1, 3\)"), (IMAGE, [[1, 2, 0, 3]], "has no area"),
    (IMAGE, [[1, 2, float("nan"), 3]], "has no area"), (IMAGE, [["a"] * 4], "not numbers")])
def test_wrong_arguments_are_named(pose, image, boxes, message):
    with pytest.raises(FlatPoseError, match=message):
        pose(image, boxes)


def test_device_names_and_a_drawing(pose):
    assert pose.to("cpu") is pose and pose.keypoint_names[0] == "nose"
    with pytest.raises(FlatPoseError, match="no device 'nowhere'"):
        pose.to("nowhere")
    keypoints, scores = pose(IMAGE, BOXES)
    assert (pose.draw(IMAGE, keypoints, scores, threshold=1.1) == IMAGE).all()
    assert (pose.draw(IMAGE, keypoints, scores, np.array(BOXES), threshold=0) != IMAGE).any()


def test_the_notebook_runs(monkeypatch):
    docs, names = Path(__file__).parents[1] / "docs", {}
    monkeypatch.chdir(docs)
    for cell in json.loads((docs / "first-pose.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert names["keypoints"].shape == (2, 17, 2)
