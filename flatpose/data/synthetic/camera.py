"""A pinhole camera of varied height, pitch, roll and focal length, and where people stand in front of it.

Camera frame: x right, y down, z forward, metres. Pixels: the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flatpose.data.synthetic.levels import Level
from flatpose.data.synthetic.skeleton import rotation

Array = NDArray[np.float64]
NEAR = 0.3


@dataclass(frozen=True)
class Camera:
    """Focal length and principal point (2,) in pixels, image size (w, h), position (3,) in the world, and rotation
    (3, 3) from world to camera."""

    focal: float
    center: Array
    size: tuple[int, int]
    position: Array
    rotation: Array

    def view(self, points: Array) -> Array:
        """World points (..., 3) in the camera frame."""
        return (points - self.position) @ self.rotation.T

    def project(self, points: Array) -> Array:
        """Points (..., 3) in the camera frame -> pixels (..., 2)."""
        return self.focal * points[..., :2] / np.maximum(points[..., 2:], NEAR) + self.center


def sample_camera(rng: np.random.Generator, level: Level, size: tuple[int, int], height: float) -> Camera:
    """A camera aimed at a person of ``height`` metres at the world's origin, mostly from the height of its eyes."""
    focal = max(size) * rng.uniform(0.9, 2.1)
    distance = max(1.6, focal * height / (size[1] * rng.uniform(0.5, 1)))
    pitch = rng.uniform(0.4, 0.9) if rng.random() < level.steep else rng.normal(0.1, 0.17)
    above = max(0.15, 0.5 * height + distance * np.sin(pitch))
    tilt = np.arctan2(above - 0.5 * height, distance)
    # In the world z points to the camera and y up; half a turn about x gives the axes of the camera frame.
    to_camera = rotation("z", rng.normal(0, 0.07)) @ rotation("x", tilt) @ np.diag([1.0, -1.0, -1.0])
    return Camera(focal, (np.array(size) - 1) / 2, size, np.array([rng.normal(0, 0.3), above, distance]), to_camera)


def crop_to(rng: np.random.Generator, level: Level, camera: Camera, points: Array, margin: float) -> Camera:
    """The camera zoomed and shifted at random, as by cropping a larger photograph, for one of the level's framings.

    Args:
        rng: Source of randomness.
        level: Ranges of the height of the points' box as a share of the image height.
        camera: To be changed.
        points: (M, 3) in the camera frame; all of them stay in the image if the share is below 1.
        margin: Distance in metres kept around the points.
    """
    around = margin * camera.focal / points[:, 2:]
    pixels = camera.project(points)
    low, high = (pixels - around).min(axis=0), (pixels + around).max(axis=0)
    size, framing = np.array(camera.size), level.framings[rng.integers(len(level.framings))]
    zoom = min(rng.uniform(*framing) * size[1] / (high - low)[1], framing[1] * size[0] / (high - low)[0])
    corner = rng.random(2) * (size - 1 - zoom * (high - low))
    return replace(camera, focal=camera.focal * zoom, center=corner + zoom * (camera.center - low))


def place_people(rng: np.random.Generator, level: Level, count: int) -> Array:
    """Ground positions (count, 3) in metres; the first person stands at the origin, the others to its sides."""
    places = np.zeros((count, 3))
    side = rng.choice([-1, 1], count)
    for i in range(1, count):
        ends = places[:i, 0].max() if side[i] > 0 else places[:i, 0].min()
        places[i] = [ends + side[i] * rng.uniform(*level.spacing), 0, -abs(rng.normal(0, level.depth))]
    return places
