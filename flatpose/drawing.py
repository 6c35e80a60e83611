"""Poses drawn into a picture, legible on any background: lines have a dark outline, numbers a dark plate."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from flatpose.keypoints import KeypointSet

LEFT, RIGHT, MIDDLE, BOX, OUTLINE = (0, 114, 178), (213, 94, 0), (240, 228, 66), (255, 255, 255), (0, 0, 0)  # RGB
FONT, PLATE = cv2.FONT_HERSHEY_SIMPLEX, (24, 24, 24)
SMALLEST = 9
"""Height in pixels below which digits cannot be read."""
Plate = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are exclusive."""
STEPS = sorted(((x, y) for x in range(-8, 9) for y in range(-8, 9)), key=lambda s: (abs(s[0]) + abs(s[1]), s))
"""Positions to try for a plate, in its own widths and heights, nearest first."""
MARGIN = 1 << 14
"""Pixels: OpenCV's coordinates are small integers, and a prediction may lie anywhere."""


def draw_poses(image: NDArray[np.uint8], keypoints: NDArray[np.floating], scores: NDArray[np.floating],
               keypoint_set: KeypointSet, *, boxes: NDArray[np.floating] | None = None, threshold: float = 0.0
               ) -> NDArray[np.uint8]:
    """A copy of ``image`` (h, w, 3) RGB with N skeletons, their boxes (N, 4) xywh and each person's mean score.

    Keypoints (N, K, 2) whose score (N, K) is below ``threshold`` are not drawn. Left is blue, right is orange. The
    numbers are drawn last, within the picture and apart from each other where there is room.
    """
    picture = np.ascontiguousarray(image).copy()
    width = max(1, round(max(image.shape[:2]) / 400))
    given = np.zeros((0, 4)) if boxes is None else boxes
    corners = np.clip(np.stack([given[:, :2], given[:, :2] + given[:, 2:]], 1), -MARGIN, MARGIN).round().astype(int)
    for first, last in corners.tolist():
        for colour, extra in ((OUTLINE, 2), (BOX, 0)):
            cv2.rectangle(picture, first, last, colour, width + extra, cv2.LINE_AA)
    for points, score in zip(keypoints, scores, strict=True):
        _skeleton(picture, np.clip(points, -MARGIN, MARGIN), score >= threshold, keypoint_set, width)
    plates: list[Plate] = []
    for (first, last), score in zip(corners.tolist(), scores, strict=False):  # without boxes no numbers
        plates.append(_label(picture, f"{score.mean():.2f}", first, last[0] - first[0], width, plates))
    return picture


def _skeleton(picture: NDArray[np.uint8], points: NDArray[np.floating], shown: NDArray[np.bool_],
              keypoint_set: KeypointSet, width: int) -> None:
    """All outlines first, so that no outline cuts a line that crosses it."""
    pixels = [tuple(p) for p in points.round().astype(int).tolist()]
    limbs = [(a, b) for a, b in keypoint_set.skeleton if shown[a] and shown[b]]
    for extra in (2, 0):
        for a, b in limbs:
            colour = OUTLINE if extra else _side(keypoint_set.names[a], keypoint_set.names[b])
            cv2.line(picture, pixels[a], pixels[b], colour, 2 * width + extra, cv2.LINE_AA)
    for index in np.flatnonzero(shown):
        cv2.circle(picture, pixels[index], 2 * width + 1, OUTLINE, -1, cv2.LINE_AA)
        cv2.circle(picture, pixels[index], 2 * width, _side(keypoint_set.names[index]), -1, cv2.LINE_AA)


def _side(*names: str) -> tuple[int, int, int]:
    """Blue where all are left, orange where all are right, else yellow."""
    return next((c for side, c in (("left", LEFT), ("right", RIGHT)) if all(n.startswith(side) for n in names)), MIDDLE)


def _label(picture: NDArray[np.uint8], text: str, corner: list[int], box_width: int, width: int,
           taken: list[Plate]) -> Plate:
    """White text on a dark plate above the box's corner, no wider than the box where it remains legible."""
    size = 0.4 + 0.1 * width
    (long, high), _ = cv2.getTextSize(text, FONT, size, width)
    shrink = float(np.clip(box_width / long, min(1.0, SMALLEST / high), 1.0))
    size, thick = size * shrink, max(1, round(width * shrink))
    (long, high), _ = cv2.getTextSize(text, FONT, size, thick)
    pad = max(2, high // 4)
    plate = _place(corner, (long + 2 * pad, high + 2 * pad), picture.shape[1::-1], taken)
    left, top, right, bottom = plate
    cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), PLATE, -1)
    cv2.putText(picture, text, (left + pad, bottom - pad - 1), FONT, size, BOX, thick, cv2.LINE_AA)
    return plate


def _place(corner: list[int], plate: tuple[int, int], picture: tuple[int, ...], taken: list[Plate]) -> Plate:
    """The free position in the picture nearest to the one above ``corner``; that one where none is free.

    ``plate`` and ``picture`` are widths and heights.
    """
    places = []
    for steps in STEPS:
        left, top = (min(max(corner[i] + (steps[i] - i) * plate[i], 0), max(picture[i] - plate[i], 0)) for i in (0, 1))
        places.append((left, top, left + plate[0], top + plate[1]))
    return next((place for place in places if not any(_overlap(place, other) for other in taken)), places[0])


def _overlap(a: Plate, b: Plate) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
