"""From an image and a person to the network's crop: random changes are folded into one affine warp."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.special import ndtr, ndtri

from flatpose.config import AugmentConfig
from flatpose.data.instances import Person
from flatpose.geometry import box_to_center_scale, transform_points, warp_matrix
from flatpose.keypoints import KeypointSet

cv2.setNumThreads(0)  # the loader's workers are the parallelism; OpenCV's own threads would compete with them

HALF_BODY_MIN_KEYPOINTS = 8
PADDING, HALF_BODY_PADDING = 1.25, 1.5
SHIFT_PROBABILITY = 0.3
LEVELS = np.arange(256, dtype=np.uint8)
"""All pixel values: a change of single values is computed once per value and looked up."""


@dataclass(frozen=True, slots=True)
class View:
    """The window that becomes a crop: centre and size (2,) in image pixels, rotation in degrees, mirrored or not."""

    center: np.ndarray
    scale: np.ndarray
    rotation: float = 0.0
    flip: bool = False


def plain_view(person: Person, image_size: tuple[int, int]) -> View:
    """The unchanged crop around a person's box."""
    return View(*box_to_center_scale(person.bbox_xywh, image_size))


def random_view(person: Person, image_size: tuple[int, int], config: AugmentConfig, keypoint_set: KeypointSet,
                rng: np.random.Generator) -> View:
    """The crop with the random changes of ``config``.

    Every draw is made whether or not it is used, so that one probability does not shift the other random numbers.
    """
    draw, normal = rng.random(8), rng.standard_normal(2)
    offset, stretch, turn = 2 * draw[3:5] - 1, np.clip(normal[0], -1, 1), np.clip(normal[1], -2, 2)
    if config.truncated:
        noise = _truncated_normal(rng.random(4))
        offset, stretch, turn = noise[:2], noise[2], noise[3]
    center, box = person.bbox_xywh[:2] + 0.5 * person.bbox_xywh[2:], PADDING * person.bbox_xywh[2:]
    if draw[0] < config.half_body:
        center, box = _half_body(person, keypoint_set, draw[1] < config.half_body_upper) or (center, box)
    _, scale = box_to_center_scale(np.concatenate([center - box / 2, box]), image_size, padding=1.0)
    if draw[2] < SHIFT_PROBABILITY:  # mmpose shifts before it rescales; 1.x also before it fixes the aspect
        center = center + config.shift * offset * (box if config.truncated else scale)
    rotation = config.rotation * turn if draw[5] < config.rotation_probability else 0.0
    flip = bool(draw[6] < config.flip) and keypoint_set.can_flip
    return View(center, scale * (1 + config.scale * stretch), float(rotation), flip)


def _truncated_normal(uniform: np.ndarray) -> np.ndarray:
    """Standard normal values within one deviation, from uniform ones."""
    low, high = ndtr(-1.0), ndtr(1.0)
    return ndtri(low + uniform * (high - low))


def view_matrix(view: View, image_size: tuple[int, int], *, udp: bool) -> np.ndarray:
    """The 2x3 matrix from image pixels to crop pixels, mirroring included."""
    mat = warp_matrix(view.center, view.scale, view.rotation, image_size, udp=udp)
    if view.flip:
        mat[0] = -mat[0]
        mat[0, 2] += image_size[0] - 1
    return mat


def crop(image: np.ndarray, mat: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Warp (h, w, 3) uint8 into the crop (H, W, 3) uint8, bilinear, black outside."""
    return cv2.warpAffine(image, mat, image_size, flags=cv2.INTER_LINEAR)


def crop_keypoints(person: Person, view: View, mat: np.ndarray, keypoint_set: KeypointSet
                   ) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (K, 2) in crop pixels and weights (K,): 1 where labelled. Mirroring swaps left and right."""
    keypoints = transform_points(mat, person.keypoints)
    weights = (person.keypoints_visible > 0).astype(np.float32)
    if view.flip:
        keypoints, weights = keypoints[keypoint_set.flip_index], weights[keypoint_set.flip_index]
    return keypoints.astype(np.float32), weights


def change_pixels(pixels: np.ndarray, config: AugmentConfig, rng: np.random.Generator) -> np.ndarray:
    """Random gain and offset, a random grey rectangle, colour shifts and blur, as ``config`` asks."""
    draw = rng.random(7)
    if config.brightness:
        gain, offset = 1 + config.brightness * (2 * draw[0] - 1), 128 * config.brightness * (2 * draw[1] - 1)
        table = np.clip(LEVELS * np.float32(gain) + np.float32(offset), 0, 255).astype(np.uint8)
        pixels = cv2.LUT(pixels, table)
    if draw[2] < config.cutout:
        height, width = pixels.shape[:2]
        size = (0.2 + 0.2 * draw[3:5]) * (width, height)
        x, y = (draw[5:7] * (np.array([width, height]) - size)).astype(int)
        pixels[y:y + int(size[1]), x:x + int(size[0])] = 127
    if any(config.hsv):
        pixels = _shift_hsv(pixels, config.hsv, rng)
    return _blur(pixels, config.blur, rng) if config.blur else pixels


def _shift_hsv(pixels: np.ndarray, limits: tuple[float, float, float], rng: np.random.Generator) -> np.ndarray:
    """Add one random number to each of hue (circular), saturation and value, each with probability one half."""
    shift = (np.array(limits) * (2 * rng.random(3) - 1) * (rng.random(3) < 0.5)).astype(np.int16)
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    if shift[0]:
        hue, saturation, value = LEVELS.astype(np.int16) + shift[:, None]
        table = np.stack([hue % 180, np.clip(saturation, 0, 255), np.clip(value, 0, 255)], axis=-1).astype(np.uint8)
        hsv = cv2.LUT(hsv, table[None])
    elif shift.any():  # without a circle to close, OpenCV's own saturating sum is twice as fast
        hsv = cv2.add(hsv, np.append(shift, 0).astype(np.float64))  # a Scalar of four
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _blur(pixels: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """A box blur and a median blur, each with the probability and of 3, 5 or 7 pixels."""
    (box, median), sizes = rng.random(2) < probability, 3 + 2 * rng.integers(0, 3, size=2)
    pixels = cv2.blur(pixels, (int(sizes[0]), int(sizes[0]))) if box else pixels
    return cv2.medianBlur(np.ascontiguousarray(pixels), int(sizes[1])) if median else pixels


def _half_body(person: Person, keypoint_set: KeypointSet, prefer_upper: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """Centre and padded (w, h) of the labelled keypoints of one half of the body; None when too few are labelled."""
    labelled = person.keypoints_visible > 0
    if labelled.sum() <= HALF_BODY_MIN_KEYPOINTS:
        return None
    halves = [[i for i in part if labelled[i]] for part in (keypoint_set.upper_body, keypoint_set.lower_body)]
    chosen = halves[0] if prefer_upper and len(halves[0]) > 2 else halves[1]
    if len(chosen) < 3:
        chosen = halves[0]
    points = person.keypoints[chosen]
    size = np.ptp(points, axis=0) if len(chosen) else np.zeros(2)
    if len(chosen) < 3 or not (size > 0).all():
        return None
    return points.mean(0), HALF_BODY_PADDING * size
