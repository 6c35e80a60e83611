"""Poses drawn into a picture: every line has a dark outline, so that it is legible on any background."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from flatpose.keypoints import KeypointSet

LEFT, RIGHT, MIDDLE, BOX, OUTLINE = (0, 114, 178), (213, 94, 0), (240, 228, 66), (255, 255, 255), (0, 0, 0)  # RGB
SMALLEST = 7
"""Pixels: digits that are lower cannot be read."""
MARGIN = 1 << 14
"""Pixels: OpenCV's coordinates are integers of limited size, and a wild answer may lie anywhere."""


def draw_poses(image: NDArray[np.uint8], boxes: NDArray[np.floating], keypoints: NDArray[np.floating],
               scores: NDArray[np.floating], keypoint_set: KeypointSet, *, threshold: float) -> NDArray[np.uint8]:
    """A copy of ``image`` (h, w, 3) RGB with N boxes, skeletons and the mean score of each person.

    Keypoints (N, K, 2) whose score (N, K) is below ``threshold`` are not drawn. Left is blue, right is orange.
    """
    picture = np.ascontiguousarray(image).copy()
    width = max(1, round(max(image.shape[:2]) / 400))
    for box, points, score in zip(boxes, keypoints, scores, strict=True):
        shown, points = score >= threshold, np.clip(points, -MARGIN, MARGIN)
        corners = np.clip([box[:2], box[:2] + box[2:]], -MARGIN, MARGIN).round().astype(int)
        first, last = corners.tolist()
        for colour, extra in ((OUTLINE, 2), (BOX, 0)):
            cv2.rectangle(picture, first, last, colour, width + extra, cv2.LINE_AA)
        _skeleton(picture, points, shown, keypoint_set, width)
        _label(picture, f"{score.mean():.2g}", corners, width)
    return picture


def _skeleton(picture: NDArray[np.uint8], points: NDArray[np.floating], shown: NDArray[np.bool_],
              keypoint_set: KeypointSet, width: int) -> None:
    """All outlines first, so that no outline cuts a line that crosses it."""
    pixels = [tuple(p) for p in points.round().astype(int).tolist()]
    limbs = [(a, b) for a, b in keypoint_set.skeleton if shown[a] and shown[b]]
    for extra in (2, 0):
        for a, b in limbs:
            colour = _side(keypoint_set.names[a], keypoint_set.names[b]) if not extra else OUTLINE
            cv2.line(picture, pixels[a], pixels[b], colour, 2 * width + extra, cv2.LINE_AA)
    for index in np.flatnonzero(shown):
        cv2.circle(picture, pixels[index], 2 * width + 1, OUTLINE, -1, cv2.LINE_AA)
        cv2.circle(picture, pixels[index], 2 * width, _side(keypoint_set.names[index]), -1, cv2.LINE_AA)


def _side(*names: str) -> tuple[int, int, int]:
    """Blue where all are left, orange where all are right, else yellow."""
    return next((c for side, c in (("left", LEFT), ("right", RIGHT)) if all(n.startswith(side) for n in names)), MIDDLE)


def _label(picture: NDArray[np.uint8], text: str, corners: NDArray[np.int_], width: int) -> None:
    """Text above the box, no wider than it where it can still be read, moved into the picture."""
    size = 0.4 + 0.1 * width
    (long, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, width)
    size *= float(np.clip((corners[1, 0] - corners[0, 0]) / long, SMALLEST / high, 1.0))
    (long, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, width)
    x = int(np.clip(corners[0, 0], 0, max(0, picture.shape[1] - long)))
    y = int(np.clip(corners[0, 1] - 2 * width, high + width, picture.shape[0]))
    for colour, extra in ((OUTLINE, 2), (BOX, 0)):
        cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, colour, width + extra, cv2.LINE_AA)
