"""What the generated images show and how they are annotated."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from flatpose.data import synthetic
from flatpose.data.synthetic.camera import sample_camera
from flatpose.data.synthetic.formats import crowd_index
from flatpose.data.synthetic.poses import sample_poses
from flatpose.data.synthetic.scene import render_picture
from flatpose.data.synthetic.skeleton import INDEX, Bodies, pose_joints
from flatpose.data.synthetic.solids import SCALE, lay, shade, things
from flatpose.keypoints import COCO17

SAMPLE = 60


@pytest.fixture(scope="module")
def rendered():
    return [synthetic.render(i, "train", 0) for i in range(SAMPLE)]


@pytest.fixture(scope="module")
def people(rendered):
    """(image, annotation, keypoints (17, 3)) of every person."""
    return [(image, a, np.array(a["keypoints"]).reshape(17, 3)) for image, anns in rendered for a in anns]


def test_render_is_pure():
    first, second = synthetic.render(3, "val", 7), synthetic.render(3, "val", 7)
    assert np.array_equal(first[0], second[0]) and first[1] == second[1]
    for other in ((4, "val", 7), (3, "train", 7), (3, "val", 8)):
        assert synthetic.render(*other)[1] != first[1]


def test_version_is_raised_when_annotations_change():
    """A cached set is found again by its VERSION; whoever changes what is generated must raise it and this hash."""
    content = json.dumps([synthetic.render(i, "train", 0)[1] for i in range(3)])
    assert (synthetic.VERSION, hashlib.sha256(content.encode()).hexdigest()[:12]) == (1, "d9d3d7331c96")


def test_annotations_are_consistent(people):
    for image, entry, points in people:
        height, width = image.shape[:2]
        x, y, w, h = entry["bbox"]
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height and w > 0 and h > 0
        assert 0 < entry["area"] <= w * h
        labelled, seen = points[:, 2] > 0, points[:, 2] == 2
        assert entry["num_keypoints"] == labelled.sum()
        assert (points[~labelled] == 0).all()
        assert ((points[labelled, :2] >= 0) & (points[labelled, :2] <= (width - 1, height - 1))).all()
        # Seen joints lie on the visible mask, so inside its box but for rounding and a nose tip's width.
        slack = 2 + 0.02 * max(w, h)
        assert (points[seen, :2] >= (x - slack, y - slack)).all()
        assert (points[seen, :2] <= (x + w + slack, y + h + slack)).all()


def test_every_visibility_occurs(people):
    shares = np.bincount(np.concatenate([p[:, 2] for *_, p in people]).astype(int), minlength=3) / (17 * len(people))
    assert (shares > [0.05, 0.15, 0.4]).all(), shares


def test_images_hold_one_to_six_people(rendered):
    counts = [len(anns) for _, anns in rendered]
    assert max(counts) <= 6 and min(counts) >= 0 and len(set(counts)) >= 4


def test_colour_does_not_tell_left_from_right(people):
    """Mean difference of the pixels at left and right joints, over its standard error."""
    differences = []
    for image, _, points in people:
        for left, right in COCO17.flip_pairs[2:]:
            if (points[[left, right], 2] == 2).all():
                a, b = (image[tuple(points[i, 1::-1].round().astype(int))].astype(float) for i in (left, right))
                differences.append(a - b)
    differences = np.array(differences)
    assert len(differences) > 100
    error = differences.std(axis=0) / np.sqrt(len(differences))
    assert (np.abs(differences.mean(axis=0)) < 4 * error).all()


def test_left_is_the_persons_own_left():
    """Someone upright who faces the camera has the left shoulder on the image's right; turned away, on its left."""
    one = np.ones(1)
    body = Bodies(1.7 * one, one, one, one, one, 0.11 * one, 0.07 * one)
    pose = {name: np.zeros_like(angle) for name, angle in sample_poses(np.random.default_rng(0), 1).items()}
    camera = sample_camera(np.random.default_rng(1), (256, 256), 1.7, 0.85)
    for yaw, sign in ((0.0, 1), (np.pi, -1)):
        joints, _ = pose_joints(body, pose | {"yaw": np.array([yaw])}, np.zeros(1))
        pixels = camera.project(camera.view(joints))[0]
        for name in ("shoulder", "hip", "ear", "ankle"):
            assert sign * (pixels[INDEX[f"left_{name}"], 0] - pixels[INDEX[f"right_{name}"], 0]) > 0
        assert pixels[INDEX["head_top"], 1] < pixels[INDEX["pelvis"], 1] < pixels[INDEX["left_ankle"], 1]


def test_nearer_solids_hide_farther_ones():
    camera = sample_camera(np.random.default_rng(1), (64, 64), 1.7, 0.85)
    ends = np.array([[-1.0, 0, 3], [0, -1, 2]])
    solids = things(ends, ends * [-1, -1, 1], np.array([0.2, 0.2]), np.full((2, 3, 3), 200.0),
                    square=np.zeros(2, bool), texture=np.zeros(2, int))
    layers = lay(solids, camera, np.array([0.0, 0, -1]))
    middle = layers.ids[64, 64]
    assert layers.ids.shape == (64 * SCALE, 64 * SCALE)
    assert layers.solids.a[middle - 1, 2] == 2
    assert layers.surface_depth(np.array([middle]), np.array([63.5]), np.array([63.5])) == pytest.approx(1.8, abs=0.02)
    rgba = shade(layers, 0.5, 0.5)
    assert set(np.unique(rgba[..., 3])) > {0, 255}, "edges are antialiased"
    assert (rgba[rgba[..., 3] == 0] == 0).all()


def test_crowded_images_hold_more_people():
    crowded = [render_picture(i, "train", 0, crowd=True).truths for i in range(30)]
    usual = [render_picture(i, "train", 0).truths for i in range(30)]
    assert sum(map(len, crowded)) > 1.2 * sum(map(len, usual))


def test_crowd_index_by_hand():
    def person(box, *points):
        return {"bbox": box, "keypoints": [v for p in points for v in (*p, 2)]}

    alone = person([0, 0, 10, 10], (1, 1), (2, 2))
    visitor = person([100, 0, 10, 10], (5, 5), (101, 1))
    assert crowd_index([alone, visitor]) == 0.25  # one of the visitor's joints in a box of two own; none the other way
    assert crowd_index([]) == 0
