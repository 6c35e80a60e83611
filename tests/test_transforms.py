"""Augmentation: keypoints stay on the pixels they mark, whatever the warp; mirroring swaps sides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.special import ndtr

from experiments import systems_cnn
from flatpose.config import AugmentConfig
from flatpose.data.instances import Person
from flatpose.data.loader import Crops
from flatpose.data.transforms import change_pixels, crop, crop_keypoints, plain_view, random_view, view_matrix
from flatpose.keypoints import COCO17
from flatpose.pipeline import _final_augment

SIZE = (96, 128)
STRONG = AugmentConfig(rotation=45, scale=0.35, shift=0.1, half_body=0.5, rotation_probability=1.0)


def person(keypoints: np.ndarray, visible: int = 2) -> Person:
    return Person(1, Path("x.jpg"), 1, np.array([40.0, 30.0, 120.0, 150.0]), keypoints, np.full(17, visible), 9000.0)


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_the_marked_pixel_moves_with_its_keypoint(udp, seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform((60, 60), (140, 150), (17, 2)).round()
    who = person(points)
    view = random_view(who, SIZE, STRONG, COCO17, rng)
    mat = view_matrix(view, SIZE, udp=udp)
    keypoints, _ = crop_keypoints(who, view, mat, COCO17)
    for index in (0, 5, 10):
        image = np.zeros((220, 220, 3), np.uint8)
        x, y = points[index].astype(int)
        cv2.circle(image, (int(x), int(y)), 4, (255, 255, 255), -1)
        weight = crop(image, mat, SIZE)[..., 0].astype(float)
        # Mirroring gives the pixel the name of its partner.
        name = COCO17.flip_index[index] if view.flip else index
        if weight.sum() == 0 or not (keypoints[name] > 10).all() or not (keypoints[name] < np.array(SIZE) - 10).all():
            continue
        rows, columns = np.indices(weight.shape)
        centroid = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        assert np.abs(centroid - keypoints[name]).max() < 0.5


def test_mirroring_swaps_weights_of_the_two_sides():
    who = person(np.full((17, 2), 80.0), visible=0)
    who.keypoints_visible[5] = 2
    view = replace(plain_view(who, SIZE), flip=True)
    _, weights = crop_keypoints(who, view, view_matrix(view, SIZE, udp=False), COCO17)
    assert weights.nonzero()[0].tolist() == [6]


def test_zero_strength_changes_nothing():
    who = person(np.random.default_rng(0).uniform(50, 150, (17, 2)))
    none = AugmentConfig(flip=0, rotation=0, scale=0, shift=0, half_body=0)
    view, plain = random_view(who, SIZE, none, COCO17, np.random.default_rng(3)), plain_view(who, SIZE)
    assert np.array_equal(view_matrix(view, SIZE, udp=False), view_matrix(plain, SIZE, udp=False))


@pytest.mark.parametrize("share", [AugmentConfig().half_body_upper, 0.7])
def test_the_upper_half_is_preferred_as_often_as_the_authors_do(share):
    """HRNet, SimCC: a standard normal draw below 0.5; mmpose 1.x: 70 %."""
    points = np.random.default_rng(0).uniform(60, 70, (17, 2))
    points[list(COCO17.lower_body)] += (0, 80)
    config = AugmentConfig(flip=0, rotation=0, scale=0, half_body=1.0, half_body_upper=share)
    views = [random_view(person(points), SIZE, config, COCO17, np.random.default_rng(s)) for s in range(3000)]
    assert np.mean([view.center[1] < 100 for view in views]) == pytest.approx(share, abs=0.03)
    assert AugmentConfig().half_body_upper == pytest.approx(ndtr(0.5), abs=1e-4)


def test_the_shift_is_a_share_of_the_padded_box_whatever_its_rescaling():
    """mmpose 1.x: up to 0.16 of 1.25 x the box, drawn and applied before aspect fix and rescaling."""
    who, box = person(np.full((17, 2), 80.0)), 1.25 * np.array([120.0, 150.0])
    views = [[random_view(who, SIZE, AugmentConfig(flip=0, rotation=0, half_body=0, scale=scale, shift=0.16,
                                                   truncated=True), COCO17, np.random.default_rng(seed))
              for seed in range(200)] for scale in (0.0, 0.5)]
    offsets = [np.array([view.center for view in some]) - [100.0, 105.0] for some in views]
    assert np.array_equal(*offsets) and not np.array_equal(views[0][0].scale, views[1][0].scale)
    assert (np.abs(offsets[0]).max(0) <= 0.16 * box).all() and (np.abs(offsets[0]).max(0) > 0.12 * box).all()


def test_forgotten_flip_pairs_mirror_nothing():
    """Otherwise the flip would teach that left is right."""
    names = replace(COCO17, flip_pairs=())
    config = AugmentConfig(flip=1.0)
    assert not any(random_view(person(np.full((17, 2), 80.0)), SIZE, config, names, np.random.default_rng(s)).flip
                   for s in range(5))


def test_half_body_needs_enough_labelled_keypoints():
    points = np.random.default_rng(0).uniform(60, 170, (17, 2))
    who = person(points)
    who.keypoints_visible[:9] = 0
    only_half = AugmentConfig(flip=0, rotation=0, scale=0, half_body=1.0)
    view = random_view(who, SIZE, only_half, COCO17, np.random.default_rng(0))
    assert np.array_equal(view.center, plain_view(who, SIZE).center)


def test_truncated_changes_stay_within_one_deviation():
    who = person(np.random.default_rng(0).uniform(60, 140, (17, 2)))
    config = AugmentConfig(rotation=80.0, rotation_probability=1.0, scale=0.4, shift=0.16, half_body=0.0,
                           truncated=True)
    plain = plain_view(who, SIZE)
    views = [random_view(who, SIZE, config, COCO17, np.random.default_rng(i)) for i in range(400)]
    turns = np.array([view.rotation for view in views])
    ratios = np.array([(view.scale / plain.scale)[0] for view in views])
    shifts = np.array([(view.center - plain.center) / (1.25 * who.bbox_xywh[2:]) for view in views])
    assert np.abs(turns).max() <= 80 and np.abs(turns).max() > 70
    assert ratios.min() >= 0.6 and ratios.max() <= 1.4 and not np.isin(ratios, [0.6, 1.4]).any()
    assert np.abs(shifts).max() <= 0.16
    assert 0.2 < (shifts[:, 0] != 0).mean() < 0.4  # the probability of a shift is 0.3
    # A normal distribution cut at one deviation has deviation 0.5396 of the uncut one's.
    assert turns.std() == pytest.approx(0.5396 * 80, rel=0.08)


def test_blur_changes_pixels_only_when_asked():
    pixels = np.random.default_rng(0).integers(0, 256, (128, 96, 3), dtype=np.uint8)
    off = change_pixels(pixels.copy(), AugmentConfig(), np.random.default_rng(0))
    assert np.array_equal(off, pixels)
    blurred = change_pixels(pixels.copy(), AugmentConfig(blur=1.0), np.random.default_rng(0))
    assert blurred.shape == pixels.shape and blurred.std() < pixels.std()


def test_the_final_stage_starts_at_its_epoch():
    run = systems_cnn.rtmpose("m")
    assert _final_augment(run) == (390, systems_cnn.AUGMENT_RTMPOSE_FINAL)
    assert _final_augment(systems_cnn.hrnet()) is None
    still = AugmentConfig(flip=0.0, rotation_probability=0.0, scale=0.0, half_body=0.0)
    mirror = replace(still, flip=1.0)
    crops = Crops([person(np.full((17, 2), 80.0))], COCO17, (64, 64), udp=False, augment=still, final=(5, mirror))
    crops.cache.images[Path("x.jpg")] = np.zeros((220, 220, 3), np.uint8)
    before, after = crops[(4, 0)]["keypoints"], crops[(5, 0)]["keypoints"]
    np.testing.assert_allclose(after[:, 0], 63 - before[:, 0], atol=1e-4)
