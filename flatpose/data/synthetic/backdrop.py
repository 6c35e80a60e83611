"""Everything but the people: the place behind them, objects in front of them, and the camera's sensor."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from flatpose.data.synthetic.camera import Camera
from flatpose.data.synthetic.people import random_colours, skin_tones
from flatpose.data.synthetic.solids import SOLID
from flatpose.data.synthetic.textures import GROUND_TILE, cloth_bank, grain, ground_bank

Array = NDArray[np.float64]
Image = np.ndarray


def one_colour(rng: np.random.Generator, camera: Camera) -> Image:
    """The backdrop (h, w, 3) of level plain."""
    return np.full((camera.size[1], camera.size[0], 3), random_colours(rng, (), 0.6).astype(np.uint8))


def cluttered(rng: np.random.Generator, camera: Camera, feet: Array) -> Image:
    """Wall and floor with boards, lines and discs, unevenly lit, with soft shadows under the feet; (h, w, 3) RGB.

    Args:
        rng: Source of randomness.
        camera: Gives size and horizon.
        feet: (S, 3) pixels x, y and width of the shadows.
    """
    width, height = camera.size
    image = _surface(rng, width, height, rng.uniform(0.15, 1))
    edge = int(np.clip(camera.horizon + rng.uniform(0, 0.45) * height, 0, height))
    if edge < height - 4 and rng.random() < 0.8:
        image[edge:] = _surface(rng, width, height - edge, rng.uniform(0.15, 1))
    for _ in range(rng.integers(2, 12)):
        _add_clutter(rng, image)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 2.2))
    light = cv2.resize(rng.uniform(0.65, 1.2, (3, 4)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    shadow = np.ones_like(light)
    for x, y, r in feet.clip(-2000, 2000):
        cv2.ellipse(shadow, (int(x), int(y)), (max(1, int(r)), max(1, int(r * 0.3))), 0, 0, 360, 0.55, -1)
    light *= cv2.blur(shadow, (17, 9))
    return cv2.multiply(image, cv2.merge([light, light, light]), dtype=cv2.CV_8U)


def _surface(rng: np.random.Generator, width: int, height: int, contrast: float) -> Image:
    """A crop of a random pattern between two colours: (height, width, 3)."""
    y, x = rng.integers(GROUND_TILE, size=2)
    crop = ground_bank()[rng.integers(len(ground_bank())), y:y + height, x:x + width]
    ends = random_colours(rng, (2,), 0.6)
    ends[1] = ends[0] + (ends[1] - ends[0]) * contrast
    ramp = np.linspace(ends[0], ends[1], 256).clip(0, 255).astype(np.uint8)
    return cv2.applyColorMap(np.ascontiguousarray(crop), ramp.reshape(256, 1, 3))


def _add_clutter(rng: np.random.Generator, image: Image) -> None:
    """Draw one board, frame, line or disc."""
    height, width = image.shape[:2]
    x, y = int(rng.integers(-20, width)), int(rng.integers(-20, height))
    w, h = (int(v) for v in rng.exponential((width * 0.16, height * 0.2)) + 4)
    colour = tuple(float(v) for v in random_colours(rng, (), 0.8))
    kind = rng.choice(4, p=(0.35, 0.25, 0.25, 0.15))
    if kind == 0:
        board = image[max(y, 0):y + h, max(x, 0):x + w]
        if board.size:
            board[:] = _surface(rng, board.shape[1], board.shape[0], rng.uniform(0.1, 1))
    elif kind == 1:
        cv2.rectangle(image, (x, y), (x + w, y + h), colour, -1 if rng.random() < 0.6 else int(rng.integers(1, 6)))
    elif kind == 2:
        end = np.array([x, y]) + rng.uniform(-1, 1, 2) * width
        cv2.line(image, (x, y), tuple(end.astype(int).tolist()), colour, int(rng.integers(1, 7)), cv2.LINE_AA)
    else:
        cv2.ellipse(image, (x, y), (w // 2 + 1, h // 2 + 1), rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)


def sample_objects(rng: np.random.Generator, camera: Camera, mean: float, near: float, far: float) -> NDArray[np.void]:
    """Objects among and in front of the people: stumps, posts, plants, and limbs that belong to nobody.

    Args:
        rng: Source of randomness.
        camera: Converts sizes in the image to sizes in space.
        mean: Mean number of objects.
        near: Depth of the nearest person, metres.
        far: Depth of the farthest.
    """
    return np.concatenate([np.zeros(0, SOLID), *[_sample_object(rng, camera, near, far) for _ in range(rng.poisson(mean))]])


def _sample_object(rng: np.random.Generator, camera: Camera, near: float, far: float) -> NDArray[np.void]:
    """Capsules between pixels at a random depth; in front of everybody in 45 % of the cases."""
    kind = rng.choice(["stump", "post", "plant", "limb"], p=[0.35, 0.2, 0.2, 0.25])
    width, height = camera.size
    depth = near * rng.uniform(0.6, 0.97) if rng.random() < 0.45 else rng.uniform(near, far + 1.5)
    at = np.array([rng.uniform(0, width), rng.uniform(0.35, 1.05) * height])
    if kind == "stump":
        pieces, radii = [[at, at + [0, rng.uniform(0.06, 0.3) * height]]], [rng.uniform(0.04, 0.15) * width]
    elif kind == "post":
        lean = np.array([rng.normal(0, 0.12), 1.0]) if rng.random() < 0.7 else np.array([1.0, rng.normal(0, 0.2)])
        pieces, radii = [[at - lean * 400, at + lean * 400]], [rng.uniform(1.5, 9)]
    elif kind == "plant":
        tips = at + rng.normal(0, 1, (6, 2)) * height * 0.13 - [0, 0.1 * height]
        pieces, radii = [[at, tip] for tip in tips], list(rng.uniform(2, 7, 6))
    else:
        turn, reach = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.06, 0.2) * height
        joint = at + reach * np.array([np.cos(turn[0]), np.sin(turn[0])])
        end = joint + reach * np.array([np.cos(turn.sum()), np.sin(turn.sum())])
        pieces, radii = [[at, joint], [joint, end]], [reach * 0.25, reach * 0.2]
    out = np.zeros(len(pieces), SOLID)
    ends = (np.array(pieces) - camera.center) * depth / camera.focal
    out["a"], out["b"] = (np.insert(ends[:, i], 2, depth, axis=1) for i in (0, 1))
    out["radii_a"] = out["radii_b"] = (np.array(radii) * depth / camera.focal)[:, None]
    out["frame"], out["owner"], out["roundness"], out["texels"], out["paint_level"] = np.eye(3), -1, 0.25, 60, 9
    out["colours"] = random_colours(rng, (3,))
    if kind == "limb" and rng.random() < 0.6:
        out["colours"] = skin_tones(rng, 1)
    elif kind != "limb":
        out["texture"] = rng.integers(len(cloth_bank()))
    return out


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
