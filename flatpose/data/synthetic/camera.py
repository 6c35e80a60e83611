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
    """A camera that shows a person of ``height`` metres at the world's origin whole (mostly), cut off, or small."""
    focal = max(size) * rng.uniform(0.9, 2.1)
    low, high = level.framing or ((0.25, 0.5), (0.5, 0.95), (0.95, 1.7))[rng.choice(3, p=(0.15, 0.65, 0.2))]
    distance = max(1.3, focal * height / (size[1] * rng.uniform(low, high)))
    pitch = rng.uniform(0.4, 0.9) if rng.random() < level.steep else rng.normal(0.1, 0.17)
    target = height * (0.5 + rng.normal(0, 0.06) + (0.2 if high > 1 else 0))
    above = max(0.15, target + distance * np.sin(pitch))
    horizontal = np.sqrt(max(distance**2 - (above - target) ** 2, 0.25))
    aside = size[0] / focal * distance * rng.normal(0, 0.16)
    tilt = np.arctan2(above - target, horizontal)
    # In the world z points to the camera and y up; half a turn about x gives the axes of the camera frame.
    to_camera = rotation("z", rng.normal(0, 0.07)) @ rotation("x", tilt) @ np.diag([1.0, -1.0, -1.0])
    return Camera(focal, (np.array(size) - 1) / 2, size, np.array([aside, above, horizontal]), to_camera)


def crop_to(rng: np.random.Generator, camera: Camera, points: Array, margin: float,
            framing: tuple[float, float]) -> Camera:
    """The camera zoomed and shifted, as by cropping a larger photograph, so that all ``points`` are in the image.

    Args:
        rng: Source of randomness.
        camera: To be changed.
        points: (M, 3) in the camera frame.
        margin: Distance in metres kept around the points.
        framing: Range of the height of the points' box, margin included, as a share of the image height.
    """
    around = margin * camera.focal / points[:, 2:]
    pixels = camera.project(points)
    low, high = (pixels - around).min(axis=0), (pixels + around).max(axis=0)
    size = np.array(camera.size)
    zoom = min(rng.uniform(*framing) * size[1] / (high - low)[1], framing[1] * size[0] / (high - low)[0])
    corner = rng.random(2) * (size - 1 - zoom * (high - low))
    return replace(camera, focal=camera.focal * zoom, center=corner + zoom * (camera.center - low))


def place_people(rng: np.random.Generator, level: Level, camera: Camera, count: int) -> Array:
    """Ground positions (count, 3) in metres; the first person stands at the origin."""
    places = np.zeros((count, 3))
    for i in range(1, count):
        if level.spacing is not None:
            places[i] = places[i - 1] + [rng.uniform(*level.spacing), 0, rng.normal(0, 0.15)]
            continue
        for _ in range(6):
            places[i] = _candidate(rng, level, camera, places[rng.integers(i)])
            # People one behind the other hide each other, so a distance in depth counts less.
            gaps = np.linalg.norm((places[:i] - places[i]) * [1, 1, 0.3], axis=1)
            if gaps.min() > level.gap and places[i, 2] < camera.position[2] - 1.2:
                break
    return places


def _candidate(rng: np.random.Generator, level: Level, camera: Camera, neighbour: Array) -> Array:
    """A position next to ``neighbour`` or anywhere in view."""
    if rng.random() < level.closeness:
        return neighbour + np.array([rng.normal(0, 0.8), 0, rng.normal(0, 0.6)])
    depth = rng.uniform(-3.0, 0.8)
    reach = (camera.position[2] - depth) * camera.size[0] / camera.focal
    return np.array([camera.position[0] + reach * rng.uniform(-0.5, 0.5), 0, depth])
