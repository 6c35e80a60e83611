"""What the generated images show and how they are annotated."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import numpy as np
import pytest

from flatpose.data import synthetic
from flatpose.data.synthetic.camera import sample_camera
from flatpose.data.synthetic.formats import annotation, crowd_index
from flatpose.data.synthetic.levels import LEVELS, PLAIN, WILD
from flatpose.data.synthetic.poses import sample_poses
from flatpose.data.synthetic.scene import render
from flatpose.data.synthetic.skeleton import INDEX, Bodies, pose_joints
from flatpose.keypoints import COCO17


def annotations(index, level, split="train", seed=0):
    return [annotation(asdict(t), COCO17, index, i) for i, t in enumerate(render(index, split, seed, level).truths)]


@pytest.fixture(scope="module")
def people():
    """Per level: (image, annotation, keypoints (17, 3)) of every person of 60 images."""
    out = {}
    for name, level in LEVELS.items():
        pictures = [render(i, "train", 0, level) for i in range(60)]
        out[name] = [(p.image, a, np.array(a["keypoints"]).reshape(17, 3)) for i, p in enumerate(pictures)
                     for a in [annotation(asdict(t), COCO17, i, 1) for t in p.truths]]
    return out


def test_render_is_a_pure_function_of_level_seed_split_and_index():
    first, second = render(3, "val", 7, WILD), render(3, "val", 7, WILD)
    assert np.array_equal(first.image, second.image) and first.truths == second.truths
    for other in ((4, "val", 7, WILD), (3, "train", 7, WILD), (3, "val", 8, WILD), (3, "val", 7, PLAIN)):
        assert render(*other).truths != first.truths


@pytest.mark.parametrize(("level", "digest"), [("plain", "8cc85f8bd1fe"), ("wild", "5bc2213ddf58")])
def test_version_is_raised_when_annotations_change(level, digest):
    """A cached set is found by its VERSION; a change of what is generated must raise it, and these hashes with it."""
    content = json.dumps([annotations(i, LEVELS[level]) for i in range(3)])
    assert (synthetic.VERSION, hashlib.sha256(content.encode()).hexdigest()[:12]) == (2, digest)


@pytest.mark.parametrize("level", LEVELS)
def test_annotations_are_consistent(people, level):
    for image, entry, points in people[level]:
        height, width = image.shape[:2]
        x, y, w, h = entry["bbox"]
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height and w > 0 and h > 0
        assert 0 < entry["area"] <= w * h
        labelled, seen = points[:, 2] > 0, points[:, 2] == 2
        assert entry["num_keypoints"] == labelled.sum()
        assert (points[~labelled] == 0).all()
        assert ((points[labelled, :2] >= 0) & (points[labelled, :2] <= (width - 1, height - 1))).all()
        # Visible joints lie on the visible mask, so inside its box but for rounding and the tip of the nose.
        slack = 2 + 0.02 * max(w, h)
        assert (points[seen, :2] >= (x - slack, y - slack)).all()
        assert (points[seen, :2] <= (x + w + slack, y + h + slack)).all()


def test_bodies_fill_their_boxes_as_in_coco(people):
    """Segment area over box area is 0.51 in COCO, and 0.48 for people with at least 15 visible keypoints."""
    for entries in people.values():
        assert 0.45 < np.mean([a["area"] / (a["bbox"][2] * a["bbox"][3]) for _, a, _ in entries]) < 0.55


def test_plain_people_are_whole_upright_and_face_the_camera(people):
    for image, entry, points in people["plain"]:
        height, width = image.shape[:2]
        x, y, w, h = entry["bbox"]
        assert x > 0 and y > 0 and x + w < width and y + h < height and h <= 0.95 * height
        assert (points[:, 2] > 0).all()
        assert points[[0, 1, 2], 1].max() < points[[15, 16], 1].max(), "the face is above the feet"
    assert 0.1 < np.mean([len(render(i, "train", 0, PLAIN).truths) == 2 for i in range(60)]) < 0.3
    backdrops = [image[:2].reshape(-1, 3) for image, _, _ in people["plain"]]
    assert all((b == b[0]).all() for b in backdrops), "one colour"


def test_left_is_the_persons_own_left():
    """The left shoulder is on the right of the image when the person faces the camera, and on the left when turned."""
    one = np.ones(1)
    body = Bodies(1.7 * one, one, one, one, one, 0.11 * one, 0.07 * one)
    pose = {name: np.zeros_like(angle) for name, angle in sample_poses(np.random.default_rng(0), 1, PLAIN).items()}
    camera = sample_camera(np.random.default_rng(1), PLAIN, (256, 256), 1.7)
    for yaw, sign in ((0.0, 1), (np.pi, -1)):
        joints, _ = pose_joints(body, pose | {"yaw": np.array([yaw])})
        pixels = camera.project(camera.view(joints))[0]
        for name in ("shoulder", "hip", "ear", "ankle"):
            assert sign * (pixels[INDEX[f"left_{name}"], 0] - pixels[INDEX[f"right_{name}"], 0]) > 0
        assert pixels[INDEX["head_top"], 1] < pixels[INDEX["pelvis"], 1] < pixels[INDEX["left_ankle"], 1]


def test_crowd_index_by_hand():
    def person(box, *points):
        return {"bbox": box, "keypoints": [v for p in points for v in (*p, 2)]}

    alone = person([0, 0, 10, 10], (1, 1), (2, 2))
    visitor = person([100, 0, 10, 10], (5, 5), (101, 1))
    assert crowd_index([alone, visitor]) == 0.25  # one of the visitor's joints in a box of two own; none the other way
    assert crowd_index([]) == 0
