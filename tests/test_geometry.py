"""Crop geometry: round trips, known corners, mirroring."""

from __future__ import annotations

import numpy as np
import pytest

from flatpose.geometry import box_to_center_scale, crop_matrices, invert_matrix, transform_points, warp_matrix

SIZE = (192, 256)


def test_box_gets_the_input_aspect_and_the_padding():
    center, scale = box_to_center_scale(np.array([10.0, 20.0, 100.0, 30.0]), SIZE)
    assert center.tolist() == [60.0, 35.0] and scale == pytest.approx([125.0, 125.0 * 256 / 192])


@pytest.mark.parametrize("udp", [False, True])
def test_unrotated_crop_maps_its_corners_to_the_input_corners(udp):
    mat = warp_matrix(np.array([50.0, 60.0]), np.array([30.0, 40.0]), 0.0, SIZE, udp=udp)
    corners = transform_points(mat, np.array([[35.0, 40.0], [65.0, 80.0]]))
    last = np.array(SIZE) - (1 if udp else 0)
    np.testing.assert_allclose(corners, [[0, 0], last], atol=1e-9)


@pytest.mark.parametrize("rotation", [0.0, 37.0, -90.0])
def test_inverse_undoes_the_warp(rotation):
    mat = warp_matrix(np.array([50.0, 60.0]), np.array([30.0, 40.0]), rotation, SIZE, udp=True)
    points = np.random.default_rng(0).uniform(-50, 200, (20, 2))
    np.testing.assert_allclose(transform_points(invert_matrix(mat), transform_points(mat, points)), points, atol=1e-8)


def test_rotation_turns_the_crop_window_counter_clockwise():
    mat = warp_matrix(np.array([0.0, 0.0]), np.array([192.0, 256.0]), 90.0, SIZE)
    right_of_centre = transform_points(mat, np.array([[10.0, 0.0]]))[0]
    np.testing.assert_allclose(right_of_centre, [96.0, 128.0 + 10.0], atol=1e-9)


def test_many_matrices_equal_one_by_one():
    boxes = np.random.default_rng(1).uniform(20, 90, (5, 4))
    together, areas = crop_matrices(boxes, SIZE, udp=True)
    for box, mat, area in zip(boxes, together, areas, strict=True):
        center, scale = box_to_center_scale(box, SIZE)
        np.testing.assert_array_equal(mat, warp_matrix(center, scale, 0.0, SIZE, udp=True))
        assert area == scale.prod()
