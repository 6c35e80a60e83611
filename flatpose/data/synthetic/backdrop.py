"""What is not a person: the place behind, things in front, and the camera's sensor."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from flatpose.data.synthetic.camera import Camera
from flatpose.data.synthetic.people import random_colours, skin_tones
from flatpose.data.synthetic.solids import Solids, join, things
from flatpose.data.synthetic.textures import GROUND_TILE, cloth_bank, grain, ground_bank

Array = NDArray[np.float64]
Image = np.ndarray


def _surface(rng: np.random.Generator, width: int, height: int, contrast: float) -> Image:
    """A crop of a random pattern, coloured between two colours: (height, width, 3)."""
    bank = ground_bank()
    step = 1 if rng.random() < 0.7 or max(width, height) > GROUND_TILE else 2
    kind, y, x = rng.integers(len(bank)), rng.integers(GROUND_TILE), rng.integers(GROUND_TILE)
    if step == 2:
        y, x = y // 2, x // 2
    crop = bank[kind, y:y + height * step:step, x:x + width * step:step]
    ends = random_colours(rng, (2,), 0.6)
    ends[1] = ends[0] + (ends[1] - ends[0]) * contrast
    ramp = np.linspace(ends[0], ends[1], 256).clip(0, 255).astype(np.uint8)
    return cv2.applyColorMap(np.ascontiguousarray(crop), ramp.reshape(256, 1, 3))


def draw_backdrop(rng: np.random.Generator, camera: Camera) -> Image:
    """Wall and floor (or sky and field) with clutter: boxes, boards, lines, discs; (h, w, 3) RGB."""
    width, height = camera.size
    image = _surface(rng, width, height, rng.uniform(0.15, 1))
    edge = int(np.clip(camera.horizon + rng.uniform(0, 0.45) * height, 0, height))
    if edge < height - 4 and rng.random() < 0.8:
        image[edge:] = _surface(rng, width, height - edge, rng.uniform(0.15, 1))
    for _ in range(rng.integers(2, 12)):
        _clutter(rng, image)
    if rng.random() < 0.5:
        sigma = rng.uniform(0.6, 2.2)
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    return image


def _clutter(rng: np.random.Generator, image: Image) -> None:
    height, width = image.shape[:2]
    x, y = int(rng.integers(-20, width)), int(rng.integers(-20, height))
    w, h = (int(v) for v in rng.exponential((width * 0.16, height * 0.2)) + 4)
    colour = tuple(float(v) for v in random_colours(rng, (), 0.8))
    kind = rng.random()
    if kind < 0.35:
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
        if x1 > x0 and y1 > y0:
            image[y0:y1, x0:x1] = _surface(rng, x1 - x0, y1 - y0, rng.uniform(0.1, 1))
    elif kind < 0.55:
        cv2.rectangle(image, (x, y), (x + w, y + h), colour, -1 if rng.random() < 0.6 else int(rng.integers(1, 6)))
    elif kind < 0.75:
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(20, width)
        end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
        cv2.line(image, (x, y), end, colour, int(rng.integers(1, 7)), cv2.LINE_AA)
    elif kind < 0.88:
        cv2.ellipse(image, (x, y), (w // 2 + 1, h // 2 + 1), rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
    else:
        corners = np.array([x, y]) + rng.uniform(-1, 1, (4, 2)) * (w, h)
        cv2.fillPoly(image, [corners.astype(np.int32)], colour, cv2.LINE_AA)


def place_things(rng: np.random.Generator, camera: Camera, near: float, far: float) -> Solids | None:
    """Things among and before the people: boards, posts, plants, and limbs that belong to nobody.

    Args:
        rng: Source of chance.
        camera: Gives sizes in the view their size in space.
        near: Depth of the nearest person, metres.
        far: Depth of the farthest.
    """
    groups = [_one_thing(rng, camera, near, far) for _ in range(rng.poisson(2.0))]
    return join(groups) if groups else None


def _one_thing(rng: np.random.Generator, camera: Camera, near: float, far: float) -> Solids:
    kind = rng.choice(4, p=[0.35, 0.2, 0.2, 0.25])
    width, height = camera.size
    depth = near * rng.uniform(0.6, 0.97) if rng.random() < 0.45 else rng.uniform(near, far + 1.5)
    at = np.array([rng.uniform(0, width), rng.uniform(0.35, 1.05) * height])
    if kind == 0:
        size = np.array([rng.uniform(0.08, 0.3) * width, rng.uniform(0.06, 0.3) * height])
        foot = at + np.array([0.02 * size[1] * rng.normal(), size[1]])
        pieces, radius = [[at, foot]], [size[0] / 2]
    elif kind == 1:
        lean = np.array([rng.normal(0, 0.12), 1.0]) if rng.random() < 0.7 else np.array([1.0, rng.normal(0, 0.2)])
        pieces, radius = [[at - lean * 400, at + lean * 400]], [rng.uniform(1.5, 9)]
    elif kind == 2:
        tips = at + rng.normal(0, 1, (6, 2)) * height * 0.13 - [0, 0.1 * height]
        pieces, radius = [[at, tip] for tip in tips], list(rng.uniform(2, 7, 6))
    else:
        turn, reach = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.06, 0.2) * height
        joint, end = (at + reach * np.array([np.cos(turn[:i]).sum(), np.sin(turn[:i]).sum()]) for i in (1, 2))
        pieces, radius = [[at, joint], [joint, end]], [reach * 0.2, reach * 0.15]
    return _in_space(rng, camera, np.array(pieces), np.array(radius), depth, square=kind == 0, limb=kind == 3)


def _in_space(rng: np.random.Generator, camera: Camera, pieces: Array, radius: Array, depth: float, *, square: bool,
              limb: bool) -> Solids:
    """Solids that appear at pixels ``pieces`` (M, 2 ends, 2) with ``radius`` (M,) pixels when ``depth`` metres away."""
    count = len(pieces)
    center = (np.array(camera.size) - 1) / 2
    flat = (pieces - center) * depth / camera.focal
    points = np.concatenate([flat, np.full((count, 2, 1), depth)], axis=2)
    colours = np.repeat(random_colours(rng, (1, 3)), count, axis=0)
    if limb:
        colours[:] = skin_tones(rng, 1) if rng.random() < 0.6 else colours
    texture = np.full(count, 0 if limb else rng.integers(len(cloth_bank())))
    return things(points[:, 0], points[:, 1], radius * depth / camera.focal, colours, square=np.full(count, square),
                  texture=texture)


def light_field(rng: np.random.Generator, camera: Camera, feet: Array) -> Image:
    """How brightly the backdrop is lit (h, w): uneven light, and soft shadows where people stand.

    Args:
        rng: Source of chance.
        camera: Gives the size.
        feet: (S, 3) pixels x, y and width of the shadows.
    """
    width, height = camera.size
    small = cv2.resize(rng.uniform(0.65, 1.2, (3, 4)).astype(np.float32), (width // 4, height // 4),
                       interpolation=cv2.INTER_CUBIC)
    shadow = np.ones_like(small)
    for x, y, r in feet.clip(-2000, 2000) / 4:
        cv2.ellipse(shadow, (int(x), int(y)), (max(1, int(r)), max(1, int(r * 0.3))), 0, 0, 360, 0.55, -1)
    return cv2.resize(small * cv2.blur(shadow, (5, 3)), (width, height))


def expose(rng: np.random.Generator, image: Image) -> Image:
    """Exposure, gamma, colour cast, focus, motion blur and sensor noise of a cheap camera."""
    gain = np.exp(rng.normal(0, 0.18)) * np.exp(rng.normal(0, 0.06, 3))
    levels = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.18))
    floor = rng.uniform(0, 0.08)
    table = ((floor + (1 - floor) * levels * gain) * 255).clip(0, 255).astype(np.uint8)
    image = cv2.LUT(image, table.reshape(256, 1, 3))
    blur = rng.random()
    if blur < 0.5:
        sigma = rng.uniform(0.3, 1.1) if blur < 0.45 else rng.uniform(1.1, 1.8)
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    elif blur < 0.55:
        line: Image = np.zeros((5, 5), np.float32)
        line[2] = 1
        line = cv2.warpAffine(line, cv2.getRotationMatrix2D((2, 2), rng.uniform(0, 180), 1), (5, 5))
        image = cv2.filter2D(image, -1, line / line.sum())
    strength = abs(rng.normal(0, 0.2))
    y, x = rng.integers(GROUND_TILE, size=2)
    noise = grain()[y:y + image.shape[0], x:x + image.shape[1]]
    return cv2.addWeighted(image, 1.0, noise, strength, -128 * strength)
