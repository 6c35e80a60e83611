"""The pictures of docs/embedded-data.md: ``python -m flatpose.data.synthetic.contact_sheet plain|wild OUT.jpg``."""

from __future__ import annotations

import sys

import cv2
import numpy as np

from flatpose.data.synthetic.levels import LEVELS
from flatpose.data.synthetic.scene import Picture, render
from flatpose.keypoints import COCO17

_CELL, _COLUMNS = 224, 6
_COLOURS = {"left": (60, 230, 60), "right": (255, 60, 40), "nose": (255, 230, 0)}


def contact_sheet(level: str, first: int = 40) -> np.ndarray:
    """Twelve training images of seed 0 in two rows, RGB; a third row repeats the second with its annotations."""
    pictures = [render(first + i, "train", 0, LEVELS[level]) for i in range(2 * _COLUMNS)]
    cells = [_fit(image) for image in [p.image for p in pictures] + [draw_truth(p) for p in pictures[_COLUMNS:]]]
    return np.vstack([np.hstack(cells[i:i + _COLUMNS]) for i in range(0, len(cells), _COLUMNS)])


def draw_truth(picture: Picture) -> np.ndarray:
    """Boxes, limbs and keypoints over an enlarged image: left green, right red, hidden ones hollow."""
    image = np.ascontiguousarray(cv2.resize(picture.image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
    for truth in picture.truths:
        points = [(round(2 * x + 0.5), round(2 * y + 0.5)) for x, y, _ in truth.joints]
        cv2.rectangle(image, [round(2 * v) for v in truth.bbox], (80, 160, 255))
        for a, b in COCO17.skeleton:
            if truth.joints[a][2] and truth.joints[b][2]:
                cv2.line(image, points[a], points[b], (235, 235, 235), 1, cv2.LINE_AA)
        for name, point, (_, _, visible) in zip(COCO17.names, points, truth.joints, strict=False):
            if visible:
                cv2.circle(image, point, 4, _COLOURS[name.split("_")[0]], -1 if visible == 2 else 1, cv2.LINE_AA)
    return image


def _fit(image: np.ndarray) -> np.ndarray:
    """Scaled and centred into a white cell."""
    zoom = _CELL / max(image.shape[:2])
    small = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    (top, bottom), (left, right) = (((_CELL - n) // 2, (_CELL - n + 1) // 2) for n in small.shape[:2])
    return cv2.copyMakeBorder(small, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(255, 255, 255))


if __name__ == "__main__":
    cv2.imwrite(sys.argv[2], contact_sheet(sys.argv[1])[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 78])
