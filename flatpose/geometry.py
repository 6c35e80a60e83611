"""Boxes, crops and the affine map between an image and the network's input.

Two conventions are in use. Plain (HRNet, SimCC, RTMPose): a pixel is a cell, the crop's width is ``w``. UDP
(TokenPose, ViTPose, SHaRPose): a pixel is a point, the crop's width is ``w - 1``, so that mirroring is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def box_to_center_scale(bbox_xywh: Array, image_size: tuple[int, int], padding: float = 1.25) -> tuple[Array, Array]:
    """Centre and size of the crop around a box: widened to the input's aspect, then padded.

    Args:
        bbox_xywh: (..., 4) left, top, width, height in image pixels.
        image_size: Network input (width, height).
        padding: Factor on the box after the aspect fix.

    Returns:
        center (..., 2) and scale (..., 2): width and height of the crop in image pixels.
    """
    box = np.asarray(bbox_xywh, dtype=np.float64)
    center = box[..., :2] + 0.5 * box[..., 2:]
    aspect = image_size[0] / image_size[1]
    width = np.maximum(box[..., 2], box[..., 3] * aspect)
    return center, np.stack([width, width / aspect], axis=-1) * padding


def warp_matrix(center: Array, scale: Array, rotation_deg: float, image_size: tuple[int, int], *,
                udp: bool = False) -> Array:
    """The maps (..., 2, 3) that take image pixels to crop pixels.

    ``center`` and ``scale`` (..., 2) are those of :func:`box_to_center_scale`; the crop window turns counter-clockwise.
    With ``udp`` sizes are measured between pixel centres (size - 1) instead of pixel edges.
    """
    size = np.asarray(image_size, dtype=np.float64) - (1.0 if udp else 0.0)
    angle = np.deg2rad(rotation_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    zoom = size / np.asarray(scale, dtype=np.float64)
    linear = zoom[..., None] * np.array([[cos, -sin], [sin, cos]])
    return np.concatenate([linear, 0.5 * size[:, None] - linear @ np.asarray(center)[..., None]], axis=-1)


def crop_matrices(bbox_xywh: Array, image_size: tuple[int, int], *, udp: bool) -> tuple[Array, Array]:
    """The unrotated maps (N, 2, 3) from image to crop pixels of boxes (N, 4), and the areas (N,) of the crops."""
    center, scale = box_to_center_scale(bbox_xywh, image_size)
    return warp_matrix(center, scale, 0.0, image_size, udp=udp), scale.prod(-1)


def invert_matrix(mat: Array) -> Array:
    """Inverse of affine maps (..., 2, 3), as (..., 2, 3)."""
    linear = np.linalg.inv(mat[..., :2])
    return np.concatenate([linear, -linear @ mat[..., 2:]], axis=-1)


def transform_points(mat: Array, points: Array) -> Array:
    """Apply maps (..., 2, 3) to points (..., P, 2)."""
    return points @ np.swapaxes(mat[..., :2], -1, -2) + mat[..., None, :, 2]
