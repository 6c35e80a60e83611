"""The truth of the rendered images, and a simulated detector's boxes, as COCO, CrowdPose or MPII files on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import flatpose.data.mpii as mpii
from flatpose.data.synthetic.levels import CROWDED, LEVELS, Level
from flatpose.data.synthetic.scene import SPLITS, VERSION
from flatpose.data.synthetic.skeleton import LABELLED
from flatpose.keypoints import COCO17, CROWDPOSE14, MPII16, KeypointSet

Records = list[dict[str, Any]]
"""Per image: ``width``, ``height`` and ``truths``, a list of ``scene.Truth`` as dicts."""


@dataclass(frozen=True)
class Layout:
    """The form of one benchmark.

    Attributes:
        folder: Image folder of each split, relative to the root.
        first_id: Id of the first image of each split.
        digits: Length of the image names.
        levels: Settings of each level of difficulty.
        files: (records by split, seed) -> content of the annotation files by path relative to the root.
    """

    folder: dict[str, str]
    first_id: dict[str, int]
    digits: int
    levels: dict[str, Level]
    files: Callable[[dict[str, Records], int], dict[str, bytes]]

    def image_name(self, split: str, index: int) -> str:
        """File name of image ``index`` of a split."""
        return f"{self.first_id[split] + index:0{self.digits}d}.jpg"


def _joints(truth: dict[str, Any], keypoint_set: KeypointSet) -> list[list[float]]:
    """x, y, visibility of the joints of a benchmark; MPII calls the neck upper_neck."""
    return [truth["joints"][LABELLED.index(name.removeprefix("upper_"))] for name in keypoint_set.names]


def annotation(truth: dict[str, Any], keypoint_set: KeypointSet, image_id: int, person_id: int) -> dict[str, Any]:
    """One person in COCO's form with the keypoints of ``keypoint_set``."""
    keypoints = [value for x, y, visible in _joints(truth, keypoint_set) for value in (x, y, int(visible))]
    return {"id": person_id, "image_id": image_id, "category_id": 1, "iscrowd": 0, "bbox": truth["bbox"],
            "area": truth["area"], "keypoints": keypoints, "num_keypoints": sum(v > 0 for v in keypoints[2::3])}


def _coco_like(layout: Layout, records: Records, split: str, seed: int, keypoint_set: KeypointSet) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, record in enumerate(records):
        image_id = layout.first_id[split] + index
        images.append({"id": image_id, "file_name": layout.image_name(split, index), "width": record["width"],
                       "height": record["height"]})
        for truth in record["truths"]:
            annotations.append(annotation(truth, keypoint_set, image_id, len(annotations) + 1))
    info = {"description": "flatpose embedded data: generated people", "version": VERSION, "seed": seed, "split": split}
    return {"info": info, "licenses": [], "images": images, "annotations": annotations,
            "categories": [keypoint_set.category()]}


def _with_people(content: dict[str, Any]) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Every image and its annotations."""
    people: dict[int, list] = {image["id"]: [] for image in content["images"]}
    for person in content["annotations"]:
        people[person["image_id"]].append(person)
    return [(image, people[image["id"]]) for image in content["images"]]


def _detect(content: dict[str, Any], seed: int) -> bytes:
    return _json([row for image, people in _with_people(content) for row in detections((VERSION, seed), image, people)])


def _coco_files(records: dict[str, Records], seed: int) -> dict[str, bytes]:
    files = {split: _coco_like(COCO, records[split], split, seed, COCO17) for split in SPLITS}
    return {**{f"coco/annotations/person_keypoints_{split}2017.json": _json(files[split]) for split in SPLITS},
            "coco/person_detection_results/embedded_val2017_detections.json": _detect(files["val"], seed)}


def _crowdpose_files(records: dict[str, Records], seed: int) -> dict[str, bytes]:
    """As in the original, people have no ``area`` and images a ``crowdIndex``."""
    files = {split: _coco_like(CROWDPOSE, records[split], split, seed, CROWDPOSE14) for split in SPLITS}
    for content in files.values():
        for image, people in _with_people(content):
            image["crowdIndex"] = crowd_index(people)
        for person in content["annotations"]:
            del person["area"]
    return {"crowdpose/json/crowdpose_trainval.json": _json(files["train"]),
            "crowdpose/json/crowdpose_test.json": _json(files["val"]),
            "crowdpose/json/embedded_test_detections.json": _detect(files["val"], seed)}


def crowd_index(people: list[dict[str, Any]]) -> float:
    """Mean over people of (others' joints inside the person's box) / (own joints), at most 1 (CrowdPose, eq. 1)."""
    joints = [np.array(p["keypoints"], dtype=np.float64).reshape(-1, 3) for p in people]
    joints = [j[j[:, 2] > 0, :2] for j in joints]
    ratios = []
    for i, person in enumerate(people):
        low = np.array(person["bbox"][:2])
        high = low + person["bbox"][2:]
        others = np.concatenate([j for k, j in enumerate(joints) if k != i] or [np.zeros((0, 2))])
        if len(joints[i]):
            ratios.append(((others >= low) & (others <= high)).all(axis=1).sum() / len(joints[i]))
    return round(float(min(1.0, np.mean(ratios))), 2) if ratios else 0.0


def _mpii_files(records: dict[str, Records], seed: int) -> dict[str, bytes]:
    """HRNet's ``annot`` folder, and the ``gt_valid.mat`` that the official metric reads."""
    train, _, _ = _mpii_people(records["train"], "train")
    rows, joints, heads = _mpii_people(records["val"], "val")
    triples = np.array(joints).reshape(-1, 16, 3)
    truth = mpii.Truth(triples[..., :2], triples[..., 2] > 0, np.array(heads).reshape(-1, 2, 2))
    return {"mpii/annot/train.json": _json(train), "mpii/annot/valid.json": _json(rows),
            "mpii/annot/gt_valid.mat": truth.to_mat()}


def _mpii_people(records: Records, split: str) -> tuple[list[dict[str, Any]], list[NDArray], list[NDArray]]:
    """Rows of HRNet's form, joints (16, 3) and head boxes (2, 2) of people with a head and six joints, from pixel 1."""
    rows, all_joints, heads = [], [], []
    for index, record in enumerate(records):
        for truth in record["truths"]:
            joints = np.array(_joints(truth, MPII16))
            joints[joints[:, 2] > 0, :2] += 1
            if (joints[:, 2] > 0).sum() >= 6 and (joints[8:10, 2] > 0).all():
                rows.append(_mpii_row(MPII.image_name(split, index), joints, truth["height"], split == "val"))
                all_joints.append(joints)
                heads.append(np.array(truth["head"]).reshape(2, 2) + 1)
    return rows, all_joints, heads


def _mpii_row(image: str, joints: NDArray, height: float, valid: bool) -> dict[str, Any]:
    """One person in HRNet's form: 1-based pixels, scale = upright height / 200, centre before HRNet's shift down.

    As in the original, ``joints_vis`` marks every labelled joint in train, and only the visible ones in valid.
    """
    shown = joints[joints[:, 2] > 0, :2]
    least = 2 if valid else 1
    center = (shown.min(axis=0) + shown.max(axis=0)) / 2 - [0, 15 * height / 200]
    return {"image": image, "center": center.round(2).tolist(), "scale": round(height / 200, 6),
            "joints": joints[:, :2].round(2).tolist(), "joints_vis": (joints[:, 2] >= least).astype(int).tolist()}


def detections(seed: tuple[int, ...], image: dict[str, Any], annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A simulated detector's answer on one image in COCO's results format, best first, from its COCO annotations.

    Boxes are jittered, persons are missed or found twice, and there are false alarms; the scores are informative.
    """
    rng = np.random.Generator(np.random.PCG64([*seed, image["id"]]))
    size = np.array([image["width"], image["height"]])
    found: list[tuple[NDArray, float]] = []
    for person in annotations:
        found += _boxes_of(rng, np.array(person["bbox"]), float(np.mean(np.array(person["keypoints"][2::3]) == 2)))
    for _ in range(rng.poisson(0.6)):
        height = rng.uniform(0.15, 0.8) * size[1]
        box = np.array([0, 0, height * rng.uniform(0.25, 0.8), height])
        box[:2] = rng.random(2) * (size - 0.5 * box[2:])
        found.append((box, rng.normal(0.12, 0.15)))
    rows = [{"image_id": image["id"], "category_id": 1, "bbox": _clip(box, size).round(2).tolist(),
             "score": round(float(np.clip(score, 0.01, 0.999)), 4)} for box, score in found]
    return sorted(rows, key=lambda row: -row["score"])


def _boxes_of(rng: np.random.Generator, box: NDArray, visible: float) -> list[tuple[NDArray, float]]:
    """No, one or two boxes (xywh) of a person with a share of ``visible`` keypoints, each with its score."""
    ease = 1.6 + 2.6 * visible + 0.8 * np.log(max(np.sqrt(box[2] * box[3]), 4) / 60) + rng.normal(0, 0.8)
    if rng.random() > 1 / (1 + np.exp(-ease)):
        return []
    spread = rng.gamma(2.0, 0.02) * (1.7 - visible)
    found = [(_jitter(rng, box, spread), ease / 4.5 - 2.5 * spread + rng.normal(0, 0.1))]
    if rng.random() < 0.08:
        found.append((_jitter(rng, box, 0.15), ease / 9 + rng.normal(-0.15, 0.1)))
    return found


def _jitter(rng: np.random.Generator, box: NDArray, spread: float) -> NDArray:
    """Each side moved by its own error, as a fraction of the box."""
    left, top, right, bottom = rng.normal(0, spread, 4) * np.tile(box[2:], 2)
    return np.array([box[0] + left, box[1] + top, max(2.0, box[2] - left + right), max(2.0, box[3] - top + bottom)])


def _clip(box: NDArray, size: NDArray[np.int64]) -> NDArray:
    low = np.clip(box[:2], 0, size - 2)
    high = np.clip(box[:2] + box[2:], low + 1, size)
    return np.concatenate([low, high - low])


def _json(value: Any) -> bytes:
    return (json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n").encode()


COCO = Layout({"train": "coco/train2017", "val": "coco/val2017"}, {"train": 1, "val": 1}, 12, LEVELS, _coco_files)
CROWDPOSE = Layout(dict.fromkeys(SPLITS, "crowdpose/images"), {"train": 100001, "val": 500001}, 6, CROWDED,
                   _crowdpose_files)
MPII = Layout(dict.fromkeys(SPLITS, "mpii/images"), {"train": 1, "val": 500000001}, 9, LEVELS, _mpii_files)
LAYOUTS = {"coco": COCO, "crowdpose": CROWDPOSE, "mpii": MPII}
