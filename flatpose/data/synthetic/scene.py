"""One image: people, place and camera drawn from the image's own random stream, rendered, and annotated honestly.

Image i of a split is a pure function of (VERSION, seed, split, i). Geometry and annotations come from one stream and
looks from another, so that neither the OpenCV version nor any change of the backdrop can move an annotation.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flatpose.data.synthetic.backdrop import draw_backdrop, expose, light_field, place_things
from flatpose.data.synthetic.camera import Camera, place_people, sample_camera
from flatpose.data.synthetic.people import People
from flatpose.data.synthetic.skeleton import INDEX, LABELLED, Bodies
from flatpose.data.synthetic.solids import SCALE, Layers, join, lay, shade, to_buffer

VERSION = 1
SPLITS = ("train", "val")
_SIZES = ((320, 240), (240, 320), (256, 256), (288, 224), (224, 288), (320, 256), (256, 320))
_HEADCOUNT = (0.33, 0.25, 0.18, 0.12, 0.07, 0.05)
"""Chances of one to six people."""
_MIN_AREA = 24.0
"""Persons with fewer visible pixels are not annotated: nobody could have labelled them."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """One visible person.

    ``joints`` (len(LABELLED), 3) x, y in pixels and visibility 0 / 1 / 2; ``bbox_xywh`` (4,) tight box and ``area``
    of the visible mask; ``head`` (4,) x1, y1, x2, y2 around the whole head, seen or not; ``height`` in pixels that the
    person would have standing upright where it is.
    """

    joints: Array
    bbox_xywh: Array
    area: float
    head: Array
    height: float


@dataclass(frozen=True)
class Picture:
    """An image (h, w, 3) uint8 RGB as the sensor sees it, the JPEG quality it is to be stored with, and its truth."""

    image: NDArray[np.uint8]
    quality: int
    truths: list[Truth]


def render_picture(index: int, split: str, seed: int, *, crowd: bool = False) -> Picture:
    """Image ``index`` of a split. ``crowd`` puts more people closer together (CrowdPose)."""
    key = [VERSION, seed, SPLITS.index(split), index, int(crowd)]
    geometry, looks = (np.random.Generator(np.random.PCG64([*key, stream])) for stream in (0, 1))
    size = _SIZES[geometry.integers(len(_SIZES))]
    count = int(geometry.integers(2, 7)) if crowd else 1 + int(geometry.choice(6, p=_HEADCOUNT))
    people = People(geometry, count)
    top = people.joints[0, :, 1].max()
    camera = sample_camera(geometry, size, max(top, 0.6 * people.bodies.stature[0]), top / 2)
    places = place_people(geometry, camera, count, 0.7 * geometry.random() if crowd else 0.5)
    solids, joints = people.solids(camera, places)
    depth = joints[:, INDEX["pelvis"], 2]
    objects = place_things(geometry, camera, float(depth.min()), float(depth.max()))
    light = geometry.normal(size=3) * [1, 0.5, 0.6] + [0, -0.8, -0.6]
    layers = lay(solids if objects is None else join([solids, objects]), camera, light / np.linalg.norm(light))
    image = _compose(looks, camera, layers, joints)
    quality = int(looks.choice([30, 50, 65, 75, 85, 92], p=[0.07, 0.13, 0.2, 0.25, 0.2, 0.15]))
    return Picture(image, quality, _annotate(layers, camera, joints, people.bodies))


def _compose(rng: np.random.Generator, camera: Camera, layers: Layers, joints: Array) -> NDArray[np.uint8]:
    """Shaded solids over the backdrop, antialiased, through the sensor."""
    ambient = rng.uniform(0.3, 0.65)
    rgba = shade(layers, ambient, rng.uniform(1.0, 1.15) - ambient * 0.6)
    ankles = joints[:, [INDEX["left_ankle"], INDEX["right_ankle"]]].reshape(-1, 3)
    ankles = ankles[ankles[:, 2] > 0.5]
    feet = np.concatenate([camera.project(ankles), 0.2 * camera.focal / ankles[:, 2:]], axis=1)
    field = light_field(rng, camera, feet)
    alpha = rgba[..., 3]
    field *= np.float32(1) - alpha * np.float32(1 / 255)
    backdrop = cv2.multiply(draw_backdrop(rng, camera), cv2.merge([field, field, field]), dtype=cv2.CV_8U)
    return expose(rng, cv2.add(backdrop, cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB)))


def _annotate(layers: Layers, camera: Camera, joints: Array, bodies: Bodies) -> list[Truth]:
    """Truth of every person with enough visible pixels, in the order they were placed."""
    labelled = joints[:, :len(LABELLED)]
    pixels = camera.project(labelled)
    visible = _visibility(layers, camera, labelled, pixels, bodies)
    owner = np.append(-1, layers.solids.owner).astype(np.int8).take(layers.ids, mode="clip")
    truths = []
    for person in range(len(joints)):
        mask = owner == person
        area = np.count_nonzero(mask) / SCALE**2
        if area < _MIN_AREA:
            continue
        filled = [np.flatnonzero(mask.any(axis=axis)) for axis in (0, 1)]
        low, high = (np.array([f[end] + (end != 0) for f in filled]) / SCALE for end in (0, -1))
        triples = np.concatenate([pixels[person], visible[person][:, None]], axis=1)
        triples[visible[person] == 0] = 0
        height = bodies.stature[person] * camera.focal / joints[person, INDEX["pelvis"], 2]
        head = _head_box(camera, joints[person], bodies.stature[person] * bodies.head[person])
        truths.append(Truth(triples.round(2), np.concatenate([low, high - low]), area, head, round(float(height), 2)))
    return truths


def _visibility(layers: Layers, camera: Camera, joints: Array, pixels: Array, bodies: Bodies) -> NDArray[np.int64]:
    """0 outside the image, 1 hidden, 2 seen, for joints (N, K, 3) at pixels (N, K, 2).

    A joint is hidden when at most of five points around it someone else, or a thing, is on top, or an own part whose
    surface lies clearly in front of it: more than the flesh around a joint explains.
    """
    size = np.array(camera.size)
    inside = ((pixels >= 0) & (pixels <= size - 1)).all(axis=-1) & (joints[..., 2] > 0.35)
    spread = 0.012 * bodies.stature[:, None] * camera.focal / joints[..., 2].clip(0.35)
    star = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1.0]])
    points = pixels[:, :, None] + star * spread[..., None, None]
    cells = to_buffer(points).round().clip(0, size * SCALE - 1)
    cells = np.where(inside[..., None, None], cells, 0).astype(np.int64)
    ids = layers.ids[cells[..., 1], cells[..., 0]]
    owner = np.concatenate([[-2], layers.solids.owner])[ids]
    surface = layers.surface_depth(np.maximum(ids, 1), cells[..., 0], cells[..., 1])
    flesh = (_FLESH * (bodies.stature * np.maximum(bodies.girth, bodies.head).clip(1))[:, None])[..., None]
    own = owner == np.arange(len(joints))[:, None, None]
    covered = np.where(own, surface < joints[..., 2, None] - flesh, ids > 0)
    return np.where(inside, np.where(covered.sum(axis=-1) >= 3, 1, 2), 0)


_THICK = {"nose": .03, "eye": .03, "ear": .035, "shoulder": .075, "elbow": .055, "wrist": .05, "hip": .105,
          "knee": .075, "ankle": .06, "head_top": .08, "neck": .1, "thorax": .11, "pelvis": .13}
_FLESH = np.array([_THICK[name.removeprefix("left_").removeprefix("right_")] for name in LABELLED])


def _head_box(camera: Camera, joints: Array, stature: float) -> Array:
    """x1, y1, x2, y2 around the skull's two balls, clear of the visibility."""
    ends = joints[[INDEX["skull_lo"], INDEX["skull_hi"]]]
    radius = np.array([0.05, 0.06])[:, None] * stature * camera.focal / ends[:, 2:].clip(0.35)
    pixels = camera.project(ends)
    return np.concatenate([(pixels - radius).min(axis=0), (pixels + radius).max(axis=0)]).round(2)
