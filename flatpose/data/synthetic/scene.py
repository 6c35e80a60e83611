"""One image: people, place and camera drawn from the image's own random streams, rendered and annotated.

Image i of a split is a pure function of (VERSION, level, seed, split, i). Geometry and annotations come from one random
stream and appearance from another, so that a change of the backdrop cannot move an annotation.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flatpose.data.synthetic.backdrop import cluttered, expose, one_colour, sample_objects
from flatpose.data.synthetic.camera import Camera, crop_to, place_people, sample_camera
from flatpose.data.synthetic.levels import Level
from flatpose.data.synthetic.people import People
from flatpose.data.synthetic.skeleton import INDEX, LABELLED, Bodies
from flatpose.data.synthetic.solids import SCALE, Drawing, to_buffer

VERSION = 2
SPLITS = ("train", "val")
_MIN_AREA = 24.0
"""People with fewer visible pixels are not annotated: they are too small to label."""
_MARGIN = 0.085
"""Half thickness of a body in statures, kept around the joints of people who must be whole in the image."""
_THICK = {"nose": .03, "eye": .03, "ear": .035, "shoulder": .085, "elbow": .065, "wrist": .055, "hip": .12,
          "knee": .09, "ankle": .07, "head_top": .08, "neck": .1, "thorax": .12, "pelvis": .14}
"""Largest distance in statures between a joint and the surface of its own limb, along the line of sight."""
_FLESH = np.array([_THICK[name.removeprefix("left_").removeprefix("right_")] for name in LABELLED])
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """One visible person."""

    joints: list[list[float]]
    """x, y in pixels and visibility 0 / 1 / 2 of every joint in LABELLED."""
    bbox: list[float]
    """Tight box of the visible mask, xywh in pixels."""
    area: float
    """Number of visible pixels."""
    head: list[float]
    """x1, y1, x2, y2 around the whole head, visible or not."""
    height: float
    """Pixels that the person would measure standing upright at the same place."""


@dataclass(frozen=True)
class Picture:
    """An image (h, w, 3) uint8 RGB, the JPEG quality to store it with, and the people in it."""

    image: NDArray[np.uint8]
    quality: int
    truths: list[Truth]


def render(index: int, split: str, seed: int, level: Level) -> Picture:
    """Image ``index`` of a split."""
    key = [VERSION, seed, SPLITS.index(split), index, level.code]
    geometry, looks = (np.random.Generator(np.random.PCG64([*key, stream])) for stream in (0, 1))
    size = level.sizes[geometry.integers(len(level.sizes))]
    count = 1 + int(geometry.choice(len(level.headcount), p=level.headcount))
    people = People(geometry, count, level)
    camera = sample_camera(geometry, level, size, max(people.joints[0, :, 1].max(), 0.6 * people.bodies.stature[0]))
    places = place_people(geometry, level, count)
    joints = camera.view(people.joints + places[:, None])
    framed = joints if level.whole else joints[:1]
    margin = _MARGIN * (people.bodies.stature * people.bodies.girth).max()
    camera = crop_to(geometry, level, camera, framed.reshape(-1, 3), margin)
    depth = joints[:, INDEX["pelvis"], 2]
    objects = sample_objects(geometry, camera, level.objects, float(depth.min()), float(depth.max()))
    drawing = Drawing(np.concatenate([people.solids(camera, places), objects]), camera)
    truths = _annotate(drawing, camera, joints, people.bodies)
    return Picture(_compose(looks, level, camera, drawing), int(looks.choice(level.qualities)), truths)


def _compose(rng: np.random.Generator, level: Level, camera: Camera, drawing: Drawing) -> NDArray[np.uint8]:
    """The shaded solids over the backdrop, antialiased."""
    light = rng.normal(size=3) * [1, 0.5, 0.5] + [0, -0.8, -0.9]
    ambient = rng.uniform(0.3, 0.65)
    rgba = drawing.shade(light / np.linalg.norm(light), ambient, rng.uniform(1.0, 1.15) - ambient * 0.6)
    backdrop = (cluttered if level.photographic else one_colour)(rng, camera.size)
    through = cv2.merge([255 - rgba[..., 3]] * 3)
    image = cv2.add(cv2.multiply(backdrop, through, scale=1 / 255), rgba[..., :3])
    return np.asarray(expose(rng, image) if level.photographic else image, np.uint8)


def _annotate(drawing: Drawing, camera: Camera, joints: Array, bodies: Bodies) -> list[Truth]:
    """Truth of every person with enough visible pixels, in the order in which they were placed."""
    labelled = joints[:, :len(LABELLED)]
    pixels = camera.project(labelled)
    visible = _visibility(drawing, camera, labelled, pixels, bodies)
    triples = np.where(visible[..., None] > 0, np.concatenate([pixels, visible[..., None]], axis=2), 0).round(2)
    heights = bodies.stature * camera.focal / joints[:, INDEX["pelvis"], 2]
    heads = _head_boxes(camera, joints, bodies.stature * bodies.head).round(2)
    owners = np.append(-2, drawing.solids["owner"])[drawing.ids]
    truths = []
    for person in range(len(joints)):
        rows, columns = np.nonzero(owners == person)
        area = len(rows) / SCALE**2
        if area >= _MIN_AREA:
            low = np.array([columns.min(), rows.min()]) / SCALE
            span = (np.array([columns.max(), rows.max()]) + 1) / SCALE - low
            truths.append(Truth(triples[person].tolist(), [*low.tolist(), *span.tolist()], area, heads[person].tolist(),
                                round(float(heights[person]), 2)))
    return truths


def _visibility(drawing: Drawing, camera: Camera, joints: Array, pixels: Array, bodies: Bodies) -> NDArray[np.int64]:
    """0 outside the image, 1 hidden, 2 visible, for joints (N, K, 3) at pixels (N, K, 2).

    A joint is hidden when another person, an object, or a part of the own body that is nearer than the thickness of the
    joint's limb explains, covers at least three of five points around it.
    """
    size = np.array(camera.size)
    inside = ((pixels >= 0) & (pixels <= size - 1)).all(axis=-1) & (joints[..., 2] > 0.35)
    spread = 0.012 * bodies.stature[:, None] * camera.focal / joints[..., 2].clip(0.35)
    star = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1.0]])
    cells = to_buffer(pixels[:, :, None] + star * spread[..., None, None]).round().clip(0, size * SCALE - 1)
    x, y = np.moveaxis(np.where(inside[..., None, None], cells, 0).astype(np.int64), -1, 0)
    ids = drawing.ids[y, x]
    flesh = (_FLESH * (bodies.stature * np.maximum(bodies.girth, bodies.head).clip(1))[:, None])[..., None]
    own = np.append(-2, drawing.solids["owner"])[ids] == np.arange(len(joints))[:, None, None]
    nearer = drawing.surface_depth(np.maximum(ids, 1), x, y) < joints[..., 2, None] - flesh
    covered = np.where(own, nearer, ids > 0)
    return np.where(inside, np.where(covered.sum(axis=-1) >= 3, 1, 2), 0)


def _head_boxes(camera: Camera, joints: Array, scale: Array) -> Array:
    """x1, y1, x2, y2 (N, 4) around the two spheres of the skull; ``scale`` (N,) is the size of the head in metres."""
    ends = joints[:, [INDEX["skull_lo"], INDEX["skull_hi"]]]
    radius = np.array([0.05, 0.06])[:, None] * scale[:, None, None] * camera.focal / ends[..., 2:].clip(0.35)
    pixels = camera.project(ends)
    return np.concatenate([(pixels - radius).min(axis=1), (pixels + radius).max(axis=1)], axis=1)
