"""A simulated person detector: jittered boxes, misses, duplicates and false alarms, with informative scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def detections(seed: tuple[int, ...], image: dict[str, Any], annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The detections of one image in COCO's results format, best first, from its COCO annotations."""
    rng = np.random.Generator(np.random.PCG64([*seed, image["id"]]))
    size = np.array([image["width"], image["height"]])
    found: list[tuple[Array, float]] = []
    for person in annotations:
        found += _detect(rng, np.array(person["bbox"]), float(np.mean(np.array(person["keypoints"][2::3]) == 2)))
    for _ in range(rng.poisson(0.6)):
        height = rng.uniform(0.15, 0.8) * size[1]
        box = np.array([0, 0, height * rng.uniform(0.25, 0.8), height])
        box[:2] = rng.random(2) * (size - 0.5 * box[2:])
        found.append((box, rng.normal(0.12, 0.15)))
    rows = [{"image_id": image["id"], "category_id": 1, "bbox": _clip(box, size).round(2).tolist(),
             "score": round(float(np.clip(score, 0.01, 0.999)), 4)} for box, score in found]
    return sorted(rows, key=lambda row: -row["score"])


def _detect(rng: np.random.Generator, box: Array, visible: float) -> list[tuple[Array, float]]:
    """No, one or two boxes (xywh) of a person with a share of ``visible`` keypoints, each with its score."""
    ease = 1.6 + 2.6 * visible + 0.8 * np.log(max(np.sqrt(box[2] * box[3]), 4) / 60) + rng.normal(0, 0.8)
    if rng.random() > 1 / (1 + np.exp(-ease)):
        return []
    spread = rng.gamma(2.0, 0.02) * (1.7 - visible)
    found = [(_jitter(rng, box, spread), ease / 4.5 - 2.5 * spread + rng.normal(0, 0.1))]
    if rng.random() < 0.08:
        found.append((_jitter(rng, box, 0.15), ease / 9 + rng.normal(-0.15, 0.1)))
    return found


def _jitter(rng: np.random.Generator, box: Array, spread: float) -> Array:
    """Each side moved by its own error, as a fraction of the box."""
    left, top, right, bottom = rng.normal(0, spread, 4) * np.tile(box[2:], 2)
    return np.array([box[0] + left, box[1] + top, max(2.0, box[2] - left + right), max(2.0, box[3] - top + bottom)])


def _clip(box: Array, size: NDArray[np.int64]) -> Array:
    low = np.clip(box[:2], 0, size - 2)
    high = np.clip(box[:2] + box[2:], low + 1, size)
    return np.concatenate([low, high - low])
