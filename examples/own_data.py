"""A data set of one's own, made up: beetles with six keypoints, as COCO-format JSON and a keypoint-set file.

    python examples/own_data.py beetles

The folder then holds all that the program asks of anybody's data: keypoints.json, annotations/train.json and val.json,
train/ and val/.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np

NAMES = ["head", "tail", "left_front", "right_front", "left_back", "right_back"]
SHAPE = np.array([[0, -1.0], [0, 0.9], [-0.75, -0.5], [0.75, -0.5], [-0.7, 0.65], [0.7, 0.65]])
"""Keypoints of a beetle of length 2 that looks up, in its own frame."""
KEYPOINT_SET = {
    "name": "beetle6",
    "keypoints": NAMES,
    "flip_pairs": [["left_front", "right_front"], ["left_back", "right_back"]],
    "skeleton": [["head", "tail"], ["head", "left_front"], ["head", "right_front"], ["tail", "left_back"],
                 ["tail", "right_back"]],
    "upper_body": ["head", "left_front", "right_front"],
    "sigmas": [0.05, 0.05, 0.07, 0.07, 0.07, 0.07],
}
SIZE = (200, 160)


def beetle(rng: np.random.Generator, image: np.ndarray) -> dict:
    """Draw one and return its annotation."""
    length, angle = rng.uniform(22, 40), rng.uniform(-0.7, 0.7)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = rng.uniform([45, 45], [SIZE[0] - 45, SIZE[1] - 45])
    points = (SHAPE + rng.normal(0, 0.06, SHAPE.shape)) * length @ turn.T + centre
    shell, legs = (tuple(int(v) for v in rng.integers(0, 120, 3)) for _ in range(2))
    for foot in points[2:]:
        cv2.line(image, centre.astype(int).tolist(), foot.astype(int).tolist(), legs, 3, cv2.LINE_AA)
    axes = (round(0.4 * length), round(0.8 * length))
    cv2.ellipse(image, centre.astype(int).tolist(), axes, np.degrees(angle), 0, 360, shell, -1, cv2.LINE_AA)
    cv2.circle(image, points[0].astype(int).tolist(), round(0.2 * length), legs, -1, cv2.LINE_AA)
    left, top = points.min(axis=0) - 6
    width, height = np.ptp(points, axis=0) + 12
    return {"bbox": [float(v) for v in (left, top, width, height)], "area": float(width * height), "iscrowd": 0,
            "category_id": 1, "num_keypoints": 6, "keypoints": np.c_[points, np.full(6, 2)].ravel().tolist()}


def main(folder: Path) -> None:
    """300 pictures to train on and 60 to evaluate."""
    rng = np.random.default_rng(0)
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / "keypoints.json").write_text(json.dumps(KEYPOINT_SET, indent=1))
    for split, count in (("train", 300), ("val", 60)):
        (folder / split).mkdir(exist_ok=True)
        images, annotations = [], []
        for number in range(1, count + 1):
            noise = rng.integers(120, 256, (8, 10, 3), dtype=np.uint8)
            image = cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC)
            annotations.append({"id": number, "image_id": number, **beetle(rng, image)})
            images.append({"id": number, "file_name": f"{number:06d}.jpg", "width": SIZE[0], "height": SIZE[1]})
            cv2.imwrite(str(folder / split / images[-1]["file_name"]), image)
        category = {"id": 1, "name": "beetle", "keypoints": NAMES, "skeleton": []}
        content = {"images": images, "annotations": annotations, "categories": [category]}
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
