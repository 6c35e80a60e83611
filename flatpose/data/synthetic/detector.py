"""A simulated person detector: jittered boxes, misses, duplicates and false alarms, with scores that mostly know."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def detect(rng: np.random.Generator, boxes: Array, seen: Array, size: tuple[int, int]) -> list[tuple[Array, float]]:
    """Detections of one image as (bbox_xywh (4,), score), best first.

    Args:
        rng: The image's own stream.
        boxes: (N, 4) true boxes, xywh pixels.
        seen: (N,) share of the 17 keypoints that are visible; little seen is often missed and badly boxed.
        size: Image (width, height).
    """
    found = []
    for box, share in zip(boxes, seen, strict=True):
        ease = 1.6 + 2.6 * share + 0.8 * np.log(max(np.sqrt(box[2] * box[3]), 4) / 60) + rng.normal(0, 0.8)
        if rng.random() > 1 / (1 + np.exp(-ease)):
            continue
        spread = rng.gamma(2.0, 0.02) * (1.7 - share)
        found.append((_jitter(rng, box, spread), ease / 4.5 - 2.5 * spread + rng.normal(0, 0.1)))
        if rng.random() < 0.08:
            found.append((_jitter(rng, box, 0.15), ease / 9 + rng.normal(-0.15, 0.1)))
    for _ in range(rng.poisson(0.6)):
        height = rng.uniform(0.15, 0.8) * size[1]
        width = height * rng.uniform(0.25, 0.8)
        corner = rng.random(2) * (size[0] - 0.5 * width, size[1] - 0.5 * height)
        found.append((np.array([*corner, width, height]), rng.normal(0.12, 0.15)))
    clipped = [(_inside(box, size), float(np.clip(score, 0.01, 0.999))) for box, score in found]
    return sorted(clipped, key=lambda item: -item[1])


def detections(seed: tuple[int, ...], image_id: int, annotations: list[dict[str, Any]],
               size: tuple[int, int]) -> list[dict[str, Any]]:
    """The detections of one image in COCO's results format, from its COCO annotations."""
    boxes = np.array([a["bbox"] for a in annotations], dtype=np.float64).reshape(-1, 4)
    seen = np.array([np.mean(np.array(a["keypoints"][2::3]) == 2) for a in annotations])
    rng = np.random.Generator(np.random.PCG64([*seed, image_id]))
    return [{"image_id": image_id, "category_id": 1, "bbox": box.round(2).tolist(), "score": round(score, 4)}
            for box, score in detect(rng, boxes, seen, size)]


def _jitter(rng: np.random.Generator, box: Array, spread: float) -> Array:
    """Each side moved by its own error, a fraction of the box."""
    left, top, right, bottom = rng.normal(0, spread, 4) * np.tile(box[2:], 2)
    return np.array([box[0] + left, box[1] + top, max(2.0, box[2] - left + right), max(2.0, box[3] - top + bottom)])


def _inside(box: Array, size: tuple[int, int]) -> Array:
    low = np.clip(box[:2], 0, np.array(size) - 2)
    high = np.clip(box[:2] + box[2:], low + 1, size)
    return np.concatenate([low, high - low])
