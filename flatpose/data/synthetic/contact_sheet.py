"""The pictures of docs/embedded-data.md: ``python -m flatpose.data.synthetic.contact_sheet plain|wild OUT.jpg``."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from flatpose.data.synthetic.levels import LEVELS
from flatpose.data.synthetic.scene import Picture, render
from flatpose.io import write_bytes
from flatpose.keypoints import COCO17

_CELL, _COLUMNS = 224, 6
_LEFT, _RIGHT, _MIDDLE = (60, 230, 60), (255, 60, 40), (255, 230, 0)


def contact_sheet(level: str, first: int = 40) -> NDArray[np.uint8]:
    """Twelve training images of seed 0 in two rows, RGB; a third row repeats the second with its annotations."""
    pictures = [render(first + i, "train", 0, LEVELS[level]) for i in range(2 * _COLUMNS)]
    cells = [_fit(image) for image in [p.image for p in pictures] + [draw_truth(p) for p in pictures[_COLUMNS:]]]
    return np.vstack([np.hstack(cells[i:i + _COLUMNS]) for i in range(0, len(cells), _COLUMNS)])


def draw_truth(picture: Picture) -> NDArray[np.uint8]:
    """Boxes, limbs and keypoints over an enlarged image: left green, right red, hidden ones hollow."""
    image = np.ascontiguousarray(cv2.resize(picture.image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
    for truth in picture.truths:
        joints = np.array(truth.joints)
        points = np.round(2 * joints[:, :2] + 0.5).astype(int).tolist()
        x, y, w, h = np.round(2 * np.array(truth.bbox)).astype(int).tolist()
        cv2.rectangle(image, (x, y), (x + w - 1, y + h - 1), (80, 160, 255), 1)
        for a, b in COCO17.skeleton:
            if joints[a, 2] and joints[b, 2]:
                cv2.line(image, points[a], points[b], (235, 235, 235), 1, cv2.LINE_AA)
        for k, name in enumerate(COCO17.names):
            if joints[k, 2]:
                colour = _LEFT if name.startswith("left") else _RIGHT if name.startswith("right") else _MIDDLE
                cv2.circle(image, points[k], 4, colour, -1 if joints[k, 2] == 2 else 1, cv2.LINE_AA)
    return image.astype(np.uint8, copy=False)


def _fit(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scaled and centred into a white cell."""
    zoom = _CELL / max(image.shape[:2])
    small = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    cell = np.full((_CELL, _CELL, 3), 255, np.uint8)
    top, left = (_CELL - small.shape[0]) // 2, (_CELL - small.shape[1]) // 2
    cell[top:top + small.shape[0], left:left + small.shape[1]] = small
    return cell


if __name__ == "__main__":
    encoded = cv2.imencode(".jpg", contact_sheet(sys.argv[1])[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 78])[1]
    write_bytes(Path(sys.argv[2]), encoded.tobytes())
