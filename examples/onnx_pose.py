"""Poses from an exported network with onnxruntime, numpy and OpenCV alone: no torch, none of this program.

    python examples/onnx_pose.py pose.onnx photo.jpg --box 120 40 180 420 --out pose.jpg

pose.onnx.json, which the export wrote beside the network, says what the network's input is.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime


def crop_matrix(box: np.ndarray, facts: dict) -> np.ndarray:
    """Image pixels to crop pixels (2, 3): the box widened to the input's aspect and padded, not rotated."""
    size = np.array(facts["image_size"], dtype=np.float64)
    aspect = size[0] / size[1]
    width = max(box[2], box[3] * aspect)
    scale = np.array([width, width / aspect]) * facts["padding"]
    size -= 1.0 if facts["udp"] else 0.0
    zoom, center = size / scale, box[:2] + box[2:] / 2
    return np.array([[zoom[0], 0, size[0] / 2 - zoom[0] * center[0]], [0, zoom[1], size[1] / 2 - zoom[1] * center[1]]])


def predict(session: onnxruntime.InferenceSession, facts: dict, image: np.ndarray, boxes: np.ndarray
            ) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (N, K, 2) in image pixels and scores (N, K) of boxes (N, 4) in an RGB image (h, w, 3)."""
    mats = [crop_matrix(box, facts) for box in boxes]
    crops = np.stack([cv2.warpAffine(image, mat, tuple(facts["image_size"]), flags=cv2.INTER_LINEAR) for mat in mats])
    keypoints, scores = session.run(["keypoints", "scores"], {facts["input"]: crops})
    if facts["calibration"]:  # knots of the map from scores to probabilities
        scores = np.interp(scores, *np.transpose(facts["calibration"]))
    shift, zoom = np.stack([m[:, 2] for m in mats]), np.stack([m[:, :2].diagonal() for m in mats])
    return (keypoints - shift[:, None]) / zoom[:, None], scores


def main() -> None:
    """Read, predict, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--box", type=float, nargs=4, action="append", metavar=("LEFT", "TOP", "WIDTH", "HEIGHT"))
    parser.add_argument("--out", type=Path, default=Path("pose.jpg"))
    given = parser.parse_args()
    facts = json.loads(given.network.with_name(given.network.name + ".json").read_text(encoding="utf-8"))
    picture = cv2.imread(str(given.image))
    if picture is None:
        parser.error(f"{given.image} cannot be read as an image")
    boxes = np.array(given.box or [[0, 0, picture.shape[1], picture.shape[0]]], dtype=np.float64)
    session = onnxruntime.InferenceSession(str(given.network), providers=["CPUExecutionProvider"])
    keypoints, scores = predict(session, facts, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), boxes)
    for person in keypoints.round().astype(int).tolist():
        for a, b in facts["skeleton"]:
            for colour, width in (((0, 0, 0), 4), ((66, 228, 240), 2)):
                cv2.line(picture, person[a], person[b], colour, width, cv2.LINE_AA)
    cv2.imwrite(str(given.out), picture)
    print(json.dumps({"keypoints": keypoints.round(2).tolist(), "scores": scores.round(4).tolist()}))


if __name__ == "__main__":
    main()
