"""Everything but the people: the place behind them, objects in front of them, and the camera's sensor."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from flatpose.data.synthetic.camera import Camera
from flatpose.data.synthetic.people import random_colours
from flatpose.data.synthetic.solids import SOLID
from flatpose.data.synthetic.textures import GROUND_TILE, cloth_bank, grain, ground_bank

Image = np.ndarray


def one_colour(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """The backdrop (h, w, 3) of level plain."""
    return np.full((size[1], size[0], 3), random_colours(rng, (), 0.6).astype(np.uint8))


def cluttered(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """Wall and floor with boards, lines and discs, unevenly lit; (h, w, 3) RGB."""
    width, height = size
    image = _surface(rng, width, height)
    edge = int(rng.uniform(0.3, 1.2) * height)
    if edge < height:
        image[edge:] = _surface(rng, width, height - edge)
    for _ in range(rng.integers(2, 12)):
        _add_clutter(rng, image)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 2.2))
    light = cv2.resize(rng.uniform(0.65, 1.2, (3, 4)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    return cv2.multiply(image, cv2.merge([light, light, light]), dtype=cv2.CV_8U)


def _surface(rng: np.random.Generator, width: int, height: int) -> Image:
    """A crop of a random pattern between two colours: (height, width, 3)."""
    y, x = rng.integers(GROUND_TILE, size=2)
    crop = ground_bank()[rng.integers(len(ground_bank())), y:y + height, x:x + width]
    ends = random_colours(rng, (2,), 0.6)
    ends[1] = ends[0] + (ends[1] - ends[0]) * rng.uniform(0.15, 1)
    ramp = np.linspace(ends[0], ends[1], 256).clip(0, 255).astype(np.uint8)
    return cv2.applyColorMap(np.ascontiguousarray(crop), ramp.reshape(256, 1, 3))


def _add_clutter(rng: np.random.Generator, image: Image) -> None:
    """Draw one patterned board, frame, line or disc."""
    height, width = image.shape[:2]
    x, y = int(rng.integers(-20, width)), int(rng.integers(-20, height))
    w, h = (int(v) for v in rng.exponential((width * 0.16, height * 0.2)) + 4)
    colour = tuple(float(v) for v in random_colours(rng, (), 0.8))
    kind = rng.choice(["board", "frame", "line", "disc"], p=(0.35, 0.25, 0.25, 0.15))
    if kind == "board":
        board = image[max(y, 0):max(y + h, 0), max(x, 0):max(x + w, 0)]
        if board.size:
            board[:] = _surface(rng, board.shape[1], board.shape[0])
    elif kind == "frame":
        cv2.rectangle(image, (x, y), (x + w, y + h), colour, -1 if rng.random() < 0.6 else int(rng.integers(1, 6)))
    elif kind == "line":
        end = np.array([x, y]) + rng.uniform(-1, 1, 2) * width
        cv2.line(image, (x, y), tuple(end.astype(int).tolist()), colour, int(rng.integers(1, 7)), cv2.LINE_AA)
    else:
        cv2.ellipse(image, (x, y), (w // 2 + 1, h // 2 + 1), rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)


def sample_objects(rng: np.random.Generator, camera: Camera, mean: float, near: float, far: float) -> NDArray[np.void]:
    """Objects among and in front of the people: stumps, posts, and bent limbs without a body.

    Args:
        rng: Source of randomness.
        camera: Converts pixels to metres.
        mean: Mean number of objects.
        near: Depth of the nearest person, metres.
        far: Depth of the farthest.
    """
    width, height = camera.size
    objects = [np.zeros(0, SOLID)]
    for _ in range(rng.poisson(mean)):
        kind = rng.choice(["stump", "post", "limb"])
        depth = near * rng.uniform(0.6, 0.97) if rng.random() < 0.45 else rng.uniform(near, far + 1.5)
        turns = rng.uniform(0, 2 * np.pi) + np.array([0, rng.uniform(0, 2)]) if kind == "limb" else [np.pi / 2]
        reach, radius = {"stump": (rng.uniform(0.06, 0.3) * height, rng.uniform(0.04, 0.15) * width),
                         "post": (400, rng.uniform(1.5, 9)), "limb": (0.15 * height, 0.03 * height)}[kind]
        points = [np.array([rng.uniform(0, width), rng.uniform(0.35, 1.05) * height - (200 if kind == "post" else 0)])]
        for turn in turns:
            points.append(points[-1] + reach * np.array([np.cos(turn + rng.normal(0, 0.1)), np.sin(turn)]))
        metres = depth / camera.focal
        corners = np.insert((np.array(points) - camera.center) * metres, 2, depth, axis=1)
        solids = np.zeros(len(turns), SOLID)
        solids["a"], solids["b"] = corners[:-1], corners[1:]
        solids["radii_a"] = solids["radii_b"] = radius * metres
        solids["frame"], solids["owner"], solids["roundness"], solids["paint_level"] = np.eye(3), -1, 0.25, 9
        solids["colours"], solids["texels"] = random_colours(rng, (3,)), 60
        solids["texture"] = 0 if kind == "limb" else rng.integers(len(cloth_bank()))
        objects.append(solids)
    return np.concatenate(objects)


def expose(rng: np.random.Generator, image: Image) -> Image:
    """Exposure, gamma, colour cast, defocus and sensor noise of a cheap camera."""
    gain = np.exp(rng.normal(0, 0.18)) * np.exp(rng.normal(0, 0.06, 3))
    levels = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.18))
    floor = rng.uniform(0, 0.08)
    table = ((floor + (1 - floor) * levels * gain) * 255).clip(0, 255).astype(np.uint8)
    image = cv2.LUT(image, table.reshape(256, 1, 3))
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.3))
    strength = abs(rng.normal(0, 0.2))
    y, x = rng.integers(GROUND_TILE, size=2)
    noise = grain()[y:y + image.shape[0], x:x + image.shape[1]]
    return cv2.addWeighted(image, 1.0, noise, strength, -128 * strength)
