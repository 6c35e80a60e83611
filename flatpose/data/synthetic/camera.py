"""A pinhole camera of varied height, pitch, roll and focal length, and where people stand in front of it.

Camera frame: x right, y down, z forward, metres. Pixels: the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flatpose.data.synthetic.skeleton import rot_x, rot_z

Array = NDArray[np.float64]
NEAR = 0.3


@dataclass(frozen=True)
class Camera:
    """Focal length in pixels, image size (w, h), position (3,) in the world, rotation (3, 3) world -> camera."""

    focal: float
    size: tuple[int, int]
    position: Array
    rotation: Array

    def view(self, points: Array) -> Array:
        """World points (..., 3) in the camera frame."""
        return (points - self.position) @ self.rotation.T

    def project(self, points: Array) -> Array:
        """Points (..., 3) in the camera frame -> pixels (..., 2)."""
        center = (np.array(self.size) - 1) / 2
        return self.focal * points[..., :2] / np.maximum(points[..., 2:], NEAR) + center

    @property
    def horizon(self) -> float:
        """Row of the horizon in the middle of the image; far outside when looking straight down."""
        ahead = -self.rotation[:, 2]
        return (self.size[1] - 1) / 2 + self.focal * ahead[1] / max(ahead[2], 0.05)


def sample_camera(rng: np.random.Generator, size: tuple[int, int], stature: float, middle: float) -> Camera:
    """A camera that sees the person at the world's origin at a typical size: whole (most), cut off, or small.

    Args:
        rng: Source of chance.
        size: Image (width, height).
        stature: Height of the main person when upright, metres.
        middle: Height of the middle of its body above the ground.
    """
    focal = max(size) * rng.uniform(0.9, 2.1)
    framing = rng.random()
    low, high = (0.25, 0.5) if framing < 0.15 else (0.5, 0.95) if framing < 0.8 else (0.95, 1.7)
    distance = max(1.3, focal * stature / (size[1] * rng.uniform(low, high)))
    pitch = rng.normal(0.1, 0.17) if rng.random() < 0.9 else rng.uniform(0.4, 0.9)
    target = middle + stature * rng.normal(0, 0.06) + (0.2 * stature if high > 1 else 0)
    height = max(0.15, target + distance * np.sin(pitch))
    horizontal = np.sqrt(max(distance**2 - (height - target) ** 2, 0.25))
    aside = size[0] / focal * distance * rng.normal(0, 0.16)
    tilt = np.arctan2(height - target, horizontal)
    # World z points to the camera and y up; half a turn about x brings both into the camera's frame.
    rotation = rot_z(rng.normal(0, 0.07)) @ rot_x(tilt) @ np.diag([1.0, -1.0, -1.0])
    return Camera(focal, size, np.array([aside, height, horizontal]), rotation)


def place_people(rng: np.random.Generator, camera: Camera, count: int, closeness: float) -> Array:
    """Ground positions (count, 3); the first person stands at the origin.

    ``closeness`` (0..1) is the chance that a person is put next to an earlier one rather than anywhere in view.
    """
    places = np.zeros((count, 3))
    for i in range(1, count):
        for _ in range(6):
            places[i] = _candidate(rng, camera, places[rng.integers(i)], closeness)
            if np.linalg.norm(places[:i] - places[i], axis=1).min() > 0.38 and places[i, 2] < camera.position[2] - 1.2:
                break
    return places


def _candidate(rng: np.random.Generator, camera: Camera, neighbour: Array, closeness: float) -> Array:
    if rng.random() < closeness:
        return neighbour + np.array([rng.normal(0, 0.55), 0, rng.normal(0, 0.55)])
    depth = rng.uniform(-3.0, 0.8)
    reach = (camera.position[2] - depth) * camera.size[0] / camera.focal
    return np.array([camera.position[0] + reach * rng.uniform(-0.5, 0.5), 0, depth])
